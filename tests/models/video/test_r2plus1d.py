"""R(2+1)D with attention and a sparse centre loss: against figures by hand, torchvision, and four clips to learn."""

from __future__ import annotations

from typing import Any, cast

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from eri.config.models import R2Plus1DConfig
from eri.models.video.r2plus1d import AxisAttention, R2Plus1DModel, SparseCenters, SpatioTemporalAttention
from eri.utils.errors import WeightsError
from tests.factories.videos import draw_clips, small_model


def create(outputs: int = 3, **settings: Any) -> R2Plus1DModel:
    return cast(R2Plus1DModel, small_model("r2plus1d-scl", outputs, **settings))


def attention(axis: Any, **settings: Any) -> AxisAttention:
    torch.manual_seed(0)
    return AxisAttention(8, axis, R2Plus1DConfig(compression=4, **settings))


@pytest.mark.parametrize("axis", ["space", "time"])
def test_attention_is_what_the_equations_say_position_by_position(axis):
    net = attention(axis)
    features = torch.randn(2, 8, 3, 2, 2)
    query, key, value = net.query(features), net.key(features), net.value(features)
    expected = torch.zeros_like(features)
    places = [(y, x) for y in range(2) for x in range(2)]
    for clip in range(2):
        for t in range(3):
            for y, x in places:
                seen = [(t, *place) for place in places] if axis == "space" else [(m, y, x) for m in range(3)]
                scores = torch.stack([query[clip, :, t, y, x] @ key[clip, :, a, b, c] for a, b, c in seen])
                weights = torch.softmax(scores, dim=0)
                expected[clip, :, t, y, x] = sum(
                    (w * value[clip, :, a, b, c] for w, (a, b, c) in zip(weights, seen, strict=True)), torch.zeros(8)
                )
    torch.testing.assert_close(net(features), expected, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("axis", ["space", "time"])
def test_a_shared_map_sums_similarities_over_the_other_axis(axis):
    net = attention(axis, attention_maps="shared")
    features = torch.randn(1, 8, 3, 2, 2)
    query, key, value = (part(features)[0].flatten(2) for part in (net.query, net.key, net.value))
    if axis == "space":
        weights = torch.softmax(torch.einsum("ctp,ctq->pq", query, key), dim=1)
        expected = torch.einsum("pq,ctq->ctp", weights, value)
    else:
        weights = torch.softmax(torch.einsum("ctp,csp->ts", query, key), dim=1)
        expected = torch.einsum("ts,csp->ctp", weights, value)
    torch.testing.assert_close(net(features)[0].flatten(2), expected, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize(("compress_values", "width"), [(False, 8), (True, 2)])
def test_channels_are_compressed_as_asked(compress_values, width):
    net = attention("space", compress_values=compress_values)
    assert (net.query.out_channels, net.key.out_channels, net.value.out_channels) == (2, 2, width)
    features = torch.randn(1, 8, 2, 3, 5)
    assert net(features).shape == features.shape


def test_gamma_adds_both_attentions_to_the_features():
    block = SpatioTemporalAttention(8, R2Plus1DConfig(gamma=0.0, compression=4))
    features = torch.randn(1, 8, 2, 3, 3)
    assert torch.equal(block(features), features)
    block.gamma.data.fill_(0.25)
    expected = features + 0.25 * (block.space(features) + block.time(features))
    torch.testing.assert_close(block(features), expected)
    torch.autograd.backward(block(features).sum())
    assert block.gamma.grad is not None


def centers(**settings: Any) -> SparseCenters:
    torch.manual_seed(0)
    config = R2Plus1DConfig(context_widths=(4,), **settings)
    return SparseCenters(2, 3, 2, config)


FEATURES = torch.tensor([[1.0, 2.0], [3.0, 0.0]])
WEIGHTS = torch.tensor([[0.5, 0.25], [1.0, 0.5]])
CLASSES = torch.tensor([0, 1])


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        # centres (1, 1) and (0, -2): distances (0, 1) and (3, 2)
        ({"center_reduction": "sum"}, (0.25 * 1 + 1.0 * 9 + 0.5 * 4) / 2),
        ({"center_reduction": "clip"}, (0.25 * 1 + 1.0 * 9 + 0.5 * 4) / 4),
        ({"center_reduction": "mean"}, (0.25 * 1 + 1.0 * 9 + 0.5 * 4) / 8),
        ({"center_reduction": "sum", "center_exponent": 1}, 0.25 * 1 + 1.0 * 3 + 0.5 * 2),
    ],
)
def test_the_centre_loss_by_hand(settings, expected):
    net = centers(**settings)
    net.centers.data = torch.tensor([[1.0, 1.0], [0.0, -2.0]])
    assert net.loss(FEATURES, WEIGHTS, CLASSES).item() == pytest.approx(expected)


def test_weights_are_the_second_share_of_a_softmax_over_two():
    net = centers()
    context = torch.randn(5, 3)
    weights = net(context)
    pairs = net.attention(context)
    torch.testing.assert_close(weights, torch.sigmoid(pairs[:, 2:] - pairs[:, :2]))
    assert ((weights > 0) & (weights < 1)).all()


def test_running_centres_follow_their_class_while_training_and_not_otherwise():
    net = centers(center_update="running", center_rate=0.5)
    assert "centers" not in dict(net.named_parameters())
    net.eval().loss(FEATURES, WEIGHTS, CLASSES)
    assert not net.centers.any()
    features = FEATURES.clone().requires_grad_()
    torch.autograd.backward(net.train().loss(features, WEIGHTS, CLASSES))
    # one clip a class: half of the weighted difference, halved again by 1 + n
    torch.testing.assert_close(net.centers, 0.25 * WEIGHTS * FEATURES)
    torch.testing.assert_close(features.grad, WEIGHTS * FEATURES / 4)  # from the centres before the step


@pytest.mark.slow
def test_the_centre_loss_is_weighted_and_left_out_where_it_means_nothing():
    targets = torch.eye(3)[:2]
    losses = []
    for weight in (1.0, 0.5):
        model = create(center_weight=weight)
        loss = model.auxiliary_loss(model(draw_clips(model)), targets)
        assert loss is not None
        losses.append(loss.item())
    assert losses[0] == pytest.approx(2 * losses[1], rel=1e-5)
    for model in (create(center_weight=0), create(1)):
        assert model.auxiliary_loss(model(draw_clips(model)), targets) is None
        assert not any(key.startswith("centers") for key in model.state_dict())


@pytest.mark.slow
def test_the_backbone_is_torchvisions_up_to_its_stage():
    from torchvision.models.video import r2plus1d_18

    model = create(stages=4, attention=False, classifier="pooled").eval()
    whole = r2plus1d_18(weights=None).eval()
    whole.fc = nn.Identity()
    whole.load_state_dict(model.backbone.state_dict())
    pictures = draw_clips(model)
    with torch.inference_mode():
        torch.testing.assert_close(model(pictures).embedding, whole(pictures.transpose(1, 2)), rtol=1e-4, atol=1e-5)
    shorter = create(stages=3)
    assert [name for name, _ in shorter.backbone.named_children()] == ["stem", "layer1", "layer2", "layer3"]
    assert shorter.dimension == 256


@pytest.mark.slow
def test_published_weights_load_without_their_classifier_and_foreign_ones_are_refused(tmp_path):
    from torchvision.models.video import r2plus1d_18

    torch.manual_seed(7)
    whole = r2plus1d_18(weights=None)
    torch.save(whole.state_dict(), tmp_path / "kinetics.pth")
    model = create(weights=str(tmp_path / "kinetics.pth"))
    assert torch.equal(model.backbone.state_dict()["layer3.1.conv2.0.0.weight"], whole.layer3[1].conv2[0][0].weight)
    torch.save({"a": torch.zeros(1)}, tmp_path / "other.pth")
    with pytest.raises(WeightsError, match="another model"):
        create(weights=str(tmp_path / "other.pth"))
    with pytest.raises(WeightsError, match="no such file"):
        create(weights=str(tmp_path / "absent.pth"))


@pytest.mark.parametrize("frozen", ["stem", "backbone"])
def test_what_is_frozen_keeps_its_weights_and_statistics(frozen):
    model = create(freeze=frozen).train()
    before = {key: value.clone() for key, value in model.state_dict().items()}
    optimizer = torch.optim.SGD([p for p in model.parameters() if p.requires_grad], lr=0.1)
    torch.autograd.backward(functional.cross_entropy(model(draw_clips(model)).raw, torch.tensor([0, 1])))
    optimizer.step()
    after = model.state_dict()
    prefix = "backbone." if frozen == "backbone" else "backbone.stem."
    changed = {key for key in before if not torch.equal(before[key], after[key])}
    assert not {key for key in changed if key.startswith(prefix)}
    assert "classifier.weight" in changed
    assert (frozen == "backbone") != any(key.startswith("backbone.") for key in changed)


@pytest.mark.slow
@pytest.mark.parametrize(
    "settings",
    [
        {"context": "flattened", "context_widths": (8,)},
        {"classifier": "pooled", "attention_maps": "shared", "compress_values": True},
        {"center_update": "running", "stages": 4},
        {"frames": 5, "input_size": 45},
    ],
)
def test_every_option_runs(settings):
    model = create(**settings)
    output = model(draw_clips(model))
    assert output.raw.shape == (2, 3)
    assert model.auxiliary_loss(output, torch.eye(3)[:2]) is not None


@pytest.mark.slow
def test_it_learns_four_clips_by_heart():
    model = create(2, frames=4, input_size=16).train()
    clips, targets = draw_clips(model, 4), torch.eye(2)[[0, 1, 0, 1]]
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)
    for _ in range(12):
        output = model(clips)
        extra = model.auxiliary_loss(output, targets)
        assert extra is not None
        optimizer.zero_grad()
        torch.autograd.backward(functional.cross_entropy(output.raw, targets) + extra)
        optimizer.step()
    raw: Tensor = model(clips).raw
    assert raw.argmax(dim=1).tolist() == [0, 1, 0, 1]
    assert functional.cross_entropy(raw, targets) < 0.1
