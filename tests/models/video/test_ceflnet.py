"""CEFLNet: its equations by hand, its size, its ablation rows, and that it learns."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from pydantic import ValidationError
from torch.nn.functional import cross_entropy, mse_loss
from torch.utils.flop_counter import FlopCounterMode

from eri.config.models import CEFLNetConfig
from eri.models.video.ceflnet import CEFLNet, EmotionalActivation, LocalGlobalRelation, SelfAttention, complement_loss

ROWS: dict[str, dict[str, Any]] = {
    "resnet18": {"self_attention": False, "relation": False, "emotional_activation": False},
    "cnn-lstm": {"self_attention": False, "relation": False, "emotional_activation": False, "recurrent": True},
    "sal": {"relation": False, "emotional_activation": False},
    "lrl": {"emotional_activation": False},
    "eian": {},
}
"""Rows of table 6."""

TINY: dict[str, Any] = {
    "backbone": "resnet10t",
    "weights": "random",
    "seed": 0,
    "input_size": 32,
    "frames": 6,
    "sub_videos": 3,
    "sub_video_frames": 4,
    "overlap": 1,
    "starts": 3,
    "activation_channels": (8,),
    "hidden_size": 64,
}


def tiny(outputs: int = 3, **settings: Any) -> CEFLNet:
    torch.manual_seed(0)
    return CEFLNet(CEFLNetConfig(**{**TINY, **settings}), outputs)


def four_clips() -> torch.Tensor:
    """Return four clips, each of one picture with noise."""
    generator = torch.Generator().manual_seed(1)
    base = torch.randn(4, 1, 3, 32, 32, generator=generator)
    return base + 0.3 * torch.randn(4, 6, 3, 32, 32, generator=generator)


def softmax(values: Any) -> Any:
    shifted = np.exp(values - values.max(axis=-1, keepdims=True))
    return shifted / shifted.sum(axis=-1, keepdims=True)


def linear(layer: Any, values: Any) -> Any:
    return values @ layer.weight.detach().numpy().T + layer.bias.detach().numpy()


@pytest.fixture
def frames():
    return np.random.default_rng(0).normal(size=(2, 5, 4)).astype(np.float32)


@pytest.mark.parametrize("residual", [False, True])
def test_self_attention_is_equation_1(frames, residual):
    attention = SelfAttention(4, residual=residual)
    query, key, value = (linear(layer, frames) for layer in (attention.query, attention.key, attention.value))
    expected = np.stack([softmax(query[i] @ key[i].T / 2.0) @ value[i] for i in range(2)]) + residual * frames
    np.testing.assert_allclose(attention(torch.from_numpy(frames)).detach(), expected, atol=1e-5)


@pytest.mark.parametrize("pooling", ["mean", "max"])
def test_relation_is_equations_2_and_3(frames, pooling):
    relation = LocalGlobalRelation(4, pooling)
    whole = frames.mean(axis=1) if pooling == "mean" else frames.max(axis=1)
    expected, weights = [], []
    for piece, pooled in zip(frames, whole, strict=True):
        scores = [linear(relation.relation, np.concatenate([pooled, frame]))[0] for frame in piece]
        w = 1 / (1 + np.exp(-np.array(scores)))
        expected.append(linear(relation.projection, (w[:, None] * piece).sum(axis=0) / w.sum()))
        weights.append(w)
    found, found_weights = relation(torch.from_numpy(frames))
    np.testing.assert_allclose(found.detach(), np.stack(expected), atol=1e-5)
    np.testing.assert_allclose(found_weights.detach(), np.stack(weights), atol=1e-5)


def test_emotional_activation_is_equations_4_to_8(frames):
    activation = EmotionalActivation(4, (), 3, 2)
    scorer: Any = activation.scores[-1]
    weight, bias = scorer.weight.detach().numpy()[:, :, 0], scorer.bias.detach().numpy()
    for video in range(2):
        pieces = frames[video]
        weights = softmax((pieces @ weight.T + bias).T)
        expected = [(one[:, None] * pieces).max(axis=0) for one in weights]
        found, found_weights = activation(torch.from_numpy(frames[video : video + 1]))
        np.testing.assert_allclose(found_weights[0].detach(), weights, atol=1e-6)
        np.testing.assert_allclose(found[0].detach(), expected, atol=1e-6)


def test_complement_is_the_second_term_of_equation_11():
    raw = torch.tensor([[2.0, -1.0, 0.5], [60.0, -60.0, 0.0]], dtype=torch.float64)
    targets = torch.eye(3, dtype=torch.float64)[[0, 0]]
    p = torch.softmax(raw[:1], dim=1)
    expected = -(torch.log(1 - p[0, 1]) + torch.log(1 - p[0, 2]))
    assert complement_loss(raw[:1], targets[:1]).item() == pytest.approx(expected.item(), rel=1e-5)
    assert torch.isfinite(complement_loss(raw.flip(1), targets))
    assert tiny().auxiliary_loss(tiny()(torch.zeros(2, 6, 3, 32, 32)), targets.float()) is None
    whole = tiny(complement=2.0)
    output = whole(torch.zeros(2, 6, 3, 32, 32))
    assert whole.auxiliary_loss(output, targets.float()) == 2 * complement_loss(output.raw, targets.float())


def test_size_is_the_papers():
    model = CEFLNet(CEFLNetConfig(weights="random"), 6).eval().to("meta")
    parameters = sum(parameter.numel() for parameter in model.parameters())
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        model(torch.zeros(1, 35, 3, 224, 224, device="meta"))
    published = model.published
    assert published is not None
    assert published.parameters is not None
    assert published.macs is not None
    assert parameters == pytest.approx(published.parameters * 1e6, rel=0.02)
    assert counter.get_total_flops() / 2 == pytest.approx(published.macs * 1e9, rel=0.02)


@pytest.mark.parametrize("row", ROWS)
def test_ablation_rows_build_and_answer(row):
    model = tiny(outputs=7, **ROWS[row]).eval()
    output = model(torch.randn(2, 6, 3, 32, 32))
    assert output.raw.shape == (2, 7)
    assert output.embedding.shape == (2, model.dimension)
    assert set(output.parts) == {"resnet18": set(), "cnn-lstm": set(), "sal": set(), "lrl": {"relation"}}.get(
        row, {"relation", "activation"}
    )
    assert (model.published is not None) == (row == "eian")


def test_activation_weights_are_shares_of_the_pieces():
    output = tiny().eval()(torch.randn(2, 6, 3, 32, 32))
    assert output.parts["activation"].shape == (2, 3)
    torch.testing.assert_close(output.parts["activation"].sum(dim=1), torch.ones(2))
    labelled = tiny(maps="label").eval()(torch.randn(2, 6, 3, 32, 32))
    assert labelled.parts["activation"].shape == (2, 3, 3)
    torch.testing.assert_close(labelled.parts["activation"].sum(dim=2), torch.ones(2, 3))


def test_a_map_for_each_label_gives_each_its_own_representation():
    model = tiny(maps="label").eval()
    pictures = torch.randn(1, 6, 3, 32, 32)
    features = model._embed(pictures.flatten(0, 1)).view(1, 6, -1)
    assert model.emotion is not None
    videos, _ = model.emotion(model._encode(features)[0])
    expected = [(videos[0, label] * model.output.weight[label]).sum() + model.output.bias[label] for label in range(3)]
    torch.testing.assert_close(model(pictures).raw[0], torch.stack(expected))


def test_frames_are_piece_by_piece_and_the_lstms_in_time():
    model = tiny()
    assert model.choose_frames(12, None).tolist() == [2, 4, 5, 7, 8, 10]
    assert model.pieces(12).tolist() == [[1, 4], [4, 7], [7, 10]]
    assert model.pieces(5).tolist() == [[0, 3], [3, 4], [4, 4]]
    sorted_frames = tiny(**ROWS["cnn-lstm"], overlap=3).choose_frames(9, np.random.default_rng(0))
    assert (np.diff(sorted_frames) >= 0).all()
    drawn = {tuple(model.choose_frames(30, np.random.default_rng(seed))) for seed in range(20)}
    assert len(drawn) > 10


@pytest.mark.slow
@pytest.mark.parametrize("row", ["cnn-lstm", "eian"])
def test_it_learns_four_clips_by_heart(row):
    model = tiny(outputs=4, **ROWS[row])
    pictures, classes = four_clips(), torch.arange(4)
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)
    for _ in range(25 if row == "eian" else 40):
        loss = cross_entropy(model(pictures).raw, classes)
        optimizer.zero_grad()
        torch.autograd.backward(loss)
        optimizer.step()
    assert loss.item() < 0.1
    assert (model(pictures).raw.argmax(dim=1) == classes).all()


@pytest.mark.slow
def test_it_learns_intensities():
    model = tiny(outputs=2)
    pictures, intensities = four_clips(), torch.rand(4, 2, generator=torch.Generator().manual_seed(2))
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)
    losses = []
    for _ in range(25):
        losses.append(loss := mse_loss(torch.sigmoid(model(pictures).raw), intensities))
        optimizer.zero_grad()
        torch.autograd.backward(loss)
        optimizer.step()
    assert losses[-1] < 0.2 * losses[0]


def test_recomputing_changes_nothing():
    gradients = []
    for checkpoint in (False, True):
        model = tiny(checkpoint=checkpoint)
        pictures = torch.randn(2, 6, 3, 32, 32, generator=torch.Generator().manual_seed(3))
        torch.autograd.backward(model(pictures).raw.sum())
        gradients.append((model.backbone.get_parameter("layer1.0.conv1.weight").grad, model.state_dict()))
    torch.testing.assert_close(gradients[0][0], gradients[1][0])
    torch.testing.assert_close(gradients[0][1], gradients[1][1])


@pytest.mark.parametrize(("freeze", "learns"), [("none", 1.0), ("stem", 0.99), ("backbone", 0.5)])
def test_parts_can_be_frozen(freeze, learns):
    model = tiny(freeze=freeze).train()
    sizes = [(parameter.numel(), parameter.requires_grad) for parameter in model.backbone.parameters()]
    share = sum(size for size, trained in sizes if trained) / sum(size for size, _ in sizes)
    assert share == {"none": 1.0, "backbone": 0.0}.get(freeze, pytest.approx(learns, abs=0.0099))


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"overlap": 15}, "no piece moves on"),
        ({"frames": 36}, "shared out evenly"),
        ({"frames": 140}, "asks for 20 of each"),
        ({"activation_kernel": 2}, "no middle piece"),
        ({"activation_channels": (0,)}, "greater than or equal to 1"),
        ({"recurrent": True}, "takes the place"),
        ({"framse": 5}, "framse"),
    ],
)
def test_contradictions_are_refused(settings, message):
    with pytest.raises(ValidationError, match=message):
        CEFLNetConfig(**settings)


def test_the_window_is_the_papers():
    assert CEFLNetConfig().window == 75
    assert CEFLNetConfig().sampled_frames == 5
