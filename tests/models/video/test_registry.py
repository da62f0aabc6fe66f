"""Whatever video model is registered reads clips, learns from them, and is the same for the same seed."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from eri.models.video import create_video_model
from tests.factories.videos import CLASSES, NAMES, draw_clips, small_config, small_model


def test_names_are_unique_and_the_known_models_are_registered():
    assert len(set(NAMES)) == len(NAMES)
    assert {"r2plus1d-scl", "c3d", "c3d-lstm", "cnn3d", "ceflnet"} <= set(NAMES)


@pytest.mark.parametrize("kind", CLASSES, ids=NAMES)
def test_every_setting_is_described_or_speaks_for_itself(kind):
    assert kind.__doc__
    assert kind().name in NAMES


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("outputs", [1, 7])
def test_a_model_gives_one_raw_output_a_label_and_an_embedding(name, outputs):
    model = small_model(name, outputs).eval()
    with torch.inference_mode():
        output = model(draw_clips(model))
    assert output.raw.shape == (2, outputs)
    assert output.embedding.shape == (2, model.dimension)
    assert torch.isfinite(output.raw).all()
    assert all(len(part) == 2 for part in output.parts.values())


@pytest.mark.parametrize("name", NAMES)
def test_a_clip_does_not_depend_on_its_neighbours_in_evaluation(name):
    model = small_model(name).eval()
    clips = draw_clips(model, 3)
    with torch.inference_mode():
        together, alone = model(clips).raw, model(clips[1:2]).raw
    torch.testing.assert_close(together[1:2], alone, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", NAMES)
def test_every_weight_that_learns_gets_a_gradient(name):
    model = small_model(name).train()
    for parameter in model.parameters():  # a factor that starts at zero would hide what lies behind it
        if parameter.ndim == 0:
            parameter.data.fill_(0.5)
    output = model(draw_clips(model))
    targets = torch.eye(3)[:2]
    loss = torch.nn.functional.cross_entropy(output.raw, targets)
    extra = model.auxiliary_loss(output, targets)
    torch.autograd.backward(loss if extra is None else loss + extra)
    missing = [key for key, value in model.named_parameters() if value.requires_grad and value.grad is None]
    assert not missing


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_a_seed_decides_the_weights_and_leaves_the_generator_alone(name):
    torch.manual_seed(1)
    before = torch.random.get_rng_state()
    first = small_model(name).state_dict()
    assert torch.equal(torch.random.get_rng_state(), before)
    torch.manual_seed(2)
    again = small_model(name).state_dict()
    assert all(torch.equal(first[key], again[key]) for key in first)
    other = small_model(name, seed=4).state_dict()
    assert any(not torch.equal(first[key], other[key]) for key in first)


@pytest.mark.slow
def test_without_a_seed_the_generator_decides():
    config = small_config("r2plus1d-scl", seed=None)
    torch.manual_seed(5)
    first = create_video_model(config, 3).state_dict()
    second = create_video_model(config, 3).state_dict()
    torch.manual_seed(5)
    again = create_video_model(config, 3).state_dict()
    assert not torch.equal(first["classifier.weight"], second["classifier.weight"])
    assert torch.equal(first["classifier.weight"], again["classifier.weight"])


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("available", [1, 5, 40, 200])
def test_frames_are_chosen_in_order_and_evaluation_always_takes_the_same(name, available):
    model = small_model(name)
    drawn = model.choose_frames(available, np.random.default_rng(0))
    fixed = model.choose_frames(available, None)
    for chosen in (drawn, fixed):
        assert chosen.shape == (model.frames,)
        assert chosen.dtype == np.int64
        assert chosen.min() >= 0
        assert chosen.max() < available
    assert np.array_equal(fixed, model.choose_frames(available, None))
    assert np.array_equal(drawn, model.choose_frames(available, np.random.default_rng(0)))
    with pytest.raises(ValueError, match=r".+"):
        model.choose_frames(0, None)


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_recomputed_activations_change_neither_gradients_nor_statistics(name):
    plain, frugal = (small_model(name, checkpoint=flag).train() for flag in (False, True))
    assert plain.state_dict().keys() == frugal.state_dict().keys()
    targets = torch.eye(3)[:2]
    for model in (plain, frugal):
        torch.manual_seed(0)  # of dropout
        output = model(draw_clips(model))
        loss = torch.nn.functional.cross_entropy(output.raw, targets)
        extra = model.auxiliary_loss(output, targets)
        torch.autograd.backward(loss if extra is None else loss + extra)
    for (key, one), two in zip(plain.named_parameters(), frugal.parameters(), strict=True):
        assert one.grad is not None, key
        assert two.grad is not None, key
        torch.testing.assert_close(one.grad, two.grad, rtol=1e-4, atol=1e-6)
    buffers = dict(frugal.named_buffers())
    assert all(torch.equal(value, buffers[key]) for key, value in plain.named_buffers())
