"""C3D and C3D-LSTM: the shapes and weights of table 8."""

from __future__ import annotations

import pytest
import torch
from pydantic import ValidationError
from torch.nn import functional

from eri.config.models import C3DConfig
from tests.factories.videos import draw_clips, small_model


def test_the_authors_clip_gives_the_4_by_4_maps_that_the_dense_layers_read():
    from eri.models.video.c3d import _last_pool

    assert _last_pool(torch.zeros(1, 512, 2, 7, 7)).shape == (1, 512, 1, 4, 4)


@pytest.mark.slow
def test_a_checkpoint_with_the_usual_names_loads(tmp_path):
    first = small_model("c3d", 3)
    tensors = {key.removeprefix("convolutions."): value for key, value in first.state_dict().items()}
    tensors = {key: value for key, value in tensors.items() if not key.startswith("output.")}
    torch.save({**tensors, "fc8.weight": torch.zeros(487, 4096), "fc8.bias": torch.zeros(487)}, tmp_path / "c3d.pickle")
    again = small_model("c3d", 5, seed=9, weights=str(tmp_path / "c3d.pickle"))
    assert torch.equal(again.state_dict()["fc7.weight"], first.state_dict()["fc7.weight"])
    assert torch.equal(again.state_dict()["convolutions.conv5b.bias"], first.state_dict()["convolutions.conv5b.bias"])
    lstm = small_model("c3d-lstm", 5, weights=str(tmp_path / "c3d.pickle"))
    assert torch.equal(lstm.state_dict()["convolutions.conv1.weight"], first.state_dict()["convolutions.conv1.weight"])


def test_weights_that_nobody_registered_are_refused_at_once():
    with pytest.raises(ValidationError, match="no weights of C3D are registered"):
        C3DConfig(weights="pretrained")


def test_the_lstm_reads_moments_in_their_order():
    model = small_model("c3d-lstm", 3, frames=16).eval()
    clips = draw_clips(model, 1)
    with torch.inference_mode():
        assert not torch.allclose(model(clips).embedding, model(clips.flip(1)).embedding)


@pytest.mark.slow
def test_it_learns_four_clips_by_heart():
    model = small_model("c3d-lstm", 2, dropout=0.0, input_size=16).train()
    brightness = torch.tensor([1.0, -1.0, 0.5, -0.5]).view(4, 1, 1, 1, 1)
    clips, targets = draw_clips(model, 4) + brightness, torch.eye(2)[[0, 1, 0, 1]]
    optimizer = torch.optim.Adam(model.parameters(), lr=3e-4)
    for _ in range(12):
        optimizer.zero_grad()
        torch.autograd.backward(functional.cross_entropy(model(clips).raw, targets))
        optimizer.step()
    assert model(clips).raw.argmax(dim=1).tolist() == [0, 1, 0, 1]
