"""Changes to clips: exact where they can be, the same for all frames of a clip, and within bounds."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from pydantic import ValidationError
from torch import Tensor

from eri.config.training import ClipAugmentationConfig
from eri.training.image_augmentation import ClipChanges, change_clips, draw_changes

EVERYTHING = ClipAugmentationConfig(
    flip=0.5, crop=0.7, shift=0.1, rotation=30.0, brightness=(0.5, 1.5), contrast=(0.22, 2.2)
)


def clips(count: int = 3, frames: int = 4, height: int = 6, width: int = 6) -> Tensor:
    generator = torch.Generator().manual_seed(1)
    return torch.randint(0, 256, (count, frames, 3, height, width), dtype=torch.uint8, generator=generator)


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def augmented(frames: Tensor, config: ClipAugmentationConfig, draws: torch.Generator) -> Tensor:
    return change_clips(frames, draw_changes(config, len(frames), draws))


def nothing(count: int, **changed: Tensor) -> ClipChanges:
    ones, zeros = torch.ones(count), torch.zeros(count)
    given = {
        "flipped": torch.zeros(count, dtype=torch.bool),
        "scale": ones,
        "offset": torch.zeros(count, 2),
        "angle": zeros,
        "brightness": ones,
        "contrast": ones,
    }
    return ClipChanges(**{**given, **changed})


def test_switched_off_it_gives_every_value_back():
    config = ClipAugmentationConfig()
    assert not config.active
    assert torch.equal(augmented(clips(), config, generator()), clips().float())


def test_a_flip_is_exact_and_takes_the_chosen_clips_whole():
    flipped = torch.tensor([True, False, True])
    changed = change_clips(clips(), nothing(3, flipped=flipped))
    assert torch.equal(changed[0], clips()[0].float().flip(3))
    assert torch.equal(changed[1], clips()[1].float())
    assert torch.equal(augmented(clips(), ClipAugmentationConfig(flip=1.0), generator()), clips().float().flip(4))


def test_contrast_and_brightness_are_the_formulas():
    given = clips()
    changed = change_clips(given, nothing(3, contrast=torch.tensor([0.5, 2.0, 1.0])))
    for clip, factor in enumerate((0.5, 2.0, 1.0)):
        assert torch.equal(changed[clip], (127 + factor * (given[clip].float() - 127)).clamp(0, 255))
    brighter = change_clips(given, nothing(3, brightness=torch.tensor([1.5, 1.0, 0.0])))
    assert torch.equal(brighter[0], (given[0] * 1.5).clamp(0, 255))
    assert torch.equal(brighter[1], given[1].float())
    assert not brighter[2].any()


@pytest.mark.parametrize("quarter_turns", [1, 2, 3])
def test_quarter_turns_are_those_of_torch_counter_clockwise(quarter_turns):
    turned = change_clips(clips(), nothing(3, angle=torch.full((3,), quarter_turns * torch.pi / 2)))
    torch.testing.assert_close(turned, torch.rot90(clips().float(), quarter_turns, dims=(3, 4)), rtol=0, atol=0.01)


def test_a_turn_is_that_of_opencv_also_of_oblong_pictures():
    import cv2

    picture = cv2.GaussianBlur(clips(1, 1, 20, 30)[0, 0].permute(1, 2, 0).numpy().astype(np.float32), (7, 7), 2)
    matrix = cv2.getRotationMatrix2D((14.5, 9.5), 20.0, 1.0)
    expected = cv2.warpAffine(picture, matrix, (30, 20), flags=cv2.INTER_LINEAR, borderValue=(0, 0, 0))
    given = torch.from_numpy(picture).permute(2, 0, 1)[None, None]
    turned = change_clips(given, nothing(1, angle=torch.tensor([20 * torch.pi / 180])))[0, 0].permute(1, 2, 0).numpy()
    inner = (slice(8, 12), slice(8, 22))  # OpenCV rounds positions to 1/32 pixel, and treats the rim differently
    assert np.abs(turned[inner] - expected[inner]).max() < 1.0


def test_a_shift_by_whole_pixels_moves_and_brings_in_black():
    given = clips()
    two_of_six = torch.tensor([[2 * 2 / 6, 0.0]] * 3)
    moved = change_clips(given, nothing(3, offset=two_of_six))
    torch.testing.assert_close(moved[..., :4], given[..., 2:].float(), rtol=0, atol=0.01)
    assert moved[..., 4:].max() < 0.01


def test_a_crop_enlarges_a_window_inside_the_picture():
    config = ClipAugmentationConfig(crop=0.5)
    for seed in range(20):
        changes = draw_changes(config, 3, generator(seed))
        assert ((changes.scale >= 0.5) & (changes.scale <= 1)).all()
        assert (changes.offset.abs() <= 1 - changes.scale[:, None] + 1e-6).all()
        white = torch.full((3, 2, 3, 8, 8), 255.0)
        torch.testing.assert_close(change_clips(white, changes), white, rtol=0, atol=0.001)


@pytest.mark.parametrize("seed", range(5))
def test_all_frames_of_a_clip_change_alike_and_values_stay_in_range(seed):
    still = clips(3, 1).expand(3, 5, 3, 6, 6)
    changed = augmented(still, EVERYTHING, generator(seed))
    assert changed.shape == still.shape
    assert changed.dtype == torch.float32
    assert torch.equal(changed, changed[:, :1].expand(changed.shape))
    assert changed.min() >= 0
    assert changed.max() <= 255
    same = clips(1).expand(3, 4, 3, 6, 6)
    different = augmented(same, EVERYTHING, generator(seed))
    assert not torch.equal(different[0], different[1])


def test_draws_keep_to_their_ranges():
    changes = draw_changes(EVERYTHING, 2000, generator())
    assert 0.45 < changes.flipped.float().mean() < 0.55
    limits = {"brightness": (0.5, 1.5), "contrast": (0.22, 2.2), "scale": (0.7, 1.0), "angle": (-0.5236, 0.5236)}
    for name, (low, high) in limits.items():
        values = getattr(changes, name)
        assert low <= values.min() < low + 0.05 * (high - low)
        assert high - 0.05 * (high - low) < values.max() <= high


def test_the_generator_decides_and_one_option_leaves_the_other_draws():
    one, two = (augmented(clips(), EVERYTHING, generator(7)) for _ in range(2))
    assert torch.equal(one, two)
    assert not torch.equal(one, augmented(clips(), EVERYTHING, generator(8)))
    flipping = draw_changes(ClipAugmentationConfig(flip=0.5), 50, generator(3)).flipped
    assert torch.equal(flipping, draw_changes(EVERYTHING, 50, generator(3)).flipped)
    torch.manual_seed(0)
    before = torch.random.get_rng_state()
    augmented(clips(), EVERYTHING, generator())
    assert torch.equal(torch.random.get_rng_state(), before)


@pytest.mark.parametrize("wrong", [{"brightness": (1.5, 1.0)}, {"contrast": (-1.0, 1.0)}, {"crop": 0.0}, {"flip": 2.0}])
def test_ranges_that_cannot_be_are_refused(wrong):
    with pytest.raises(ValidationError):
        ClipAugmentationConfig(**wrong)
