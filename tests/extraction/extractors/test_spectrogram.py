"""Pictures of sound are those that librosa and matplotlib draw, and their colours follow the sound alone."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import ArrayLike, NDArray

from eri.extraction.extractors.deepspectrum import CANVAS, SpectrogramPainter
from eri.models.backbones import create_backbone
from tests.factories.spectrograms import draw
from tests.factories.speech import voice

EMODB = Path(__file__).parents[4] / "shared" / "media" / "emodb" / "audio"
RATE = 16_000

Window = NDArray[np.float32]


def paint(
    windows: Sequence[Window], side: int = 224, bands: int = 128, real: Sequence[int] | None = None
) -> torch.Tensor:
    given = torch.from_numpy(np.stack(windows))
    lengths = torch.full((len(given),), given.shape[1]) if real is None else torch.tensor(real)
    return SpectrogramPainter(bands, side).paint(given, lengths)


def cosine(left: ArrayLike, right: ArrayLike) -> NDArray[np.float64]:
    one, other = (np.asarray(item, dtype=np.float64) for item in (left, right))
    one, other = one.reshape(len(one), -1), other.reshape(len(other), -1)
    found: NDArray[np.float64] = (one * other).sum(1) / np.linalg.norm(one, axis=1) / np.linalg.norm(other, axis=1)
    return found


def windows_of_voices() -> list[Window]:
    sounds = [voice(2.0, pitch=pitch, seed=seed) for seed, pitch in enumerate((95.0, 140.0, 210.0, 280.0))]
    return [sound[start : start + RATE] for sound in sounds for start in (0, 9000)]


def windows_of_emodb() -> list[Window]:
    from eri.media.audio import read_audio

    sounds = [read_audio(path).samples for path in sorted(EMODB.glob("*.flac"))[::110]]
    return [np.array(sound[:RATE]) for sound in sounds if len(sound) >= RATE]


def check_parity(windows: Sequence[Window]) -> None:
    """Compare pictures and the embeddings of both through one seeded DenseNet-121."""
    drawn = np.stack([np.array(draw(window).resize((224, 224))) for window in windows])
    painted = paint(windows)
    pictures = cosine(painted.permute(0, 2, 3, 1).numpy(), drawn)
    made = create_backbone(
        "densenet121",
        weights="random",
        seed=0,
        input_size=224,
        precision="float32",
        device=torch.device("cpu"),
    )
    ours = made.embed(painted).numpy()
    theirs = made.embed(torch.from_numpy(drawn).permute(0, 3, 1, 2)).numpy()
    embeddings = cosine(ours, theirs)
    # What all pictures share is large in a random network; without it the comparison is of what differs.
    centre = theirs.mean(axis=0)
    centred = cosine(ours - centre, theirs - centre)
    figures = (
        f"cosine of pictures {pictures.min():.6f}, of embeddings {embeddings.min():.6f}, centred {centred.min():.4f}"
    )
    print(figures)  # noqa: T201 (pytest -s shows the parity figures)
    assert pictures.min() >= 0.9999, figures
    assert embeddings.min() >= 0.9999, figures
    assert centred.min() >= 0.98, figures


def test_every_pixel_is_where_matplotlib_draws_it():
    windows = windows_of_voices()[:2]
    drawn = np.stack([np.array(draw(window)) for window in windows]).astype(np.int64)
    painted = paint(windows, side=CANVAS).permute(0, 2, 3, 1).numpy()
    assert painted.dtype == np.uint8
    # Single precision may put a level on the other side of a step of the colour map.
    assert (painted == drawn).all(axis=-1).mean() > 0.999
    assert np.abs(painted - drawn).max() <= 3


@pytest.mark.parametrize("bands", [64, 40])
def test_other_numbers_of_bands_are_drawn_alike(bands):
    window = windows_of_voices()[0]
    painted = paint([window], side=CANVAS, bands=bands).permute(0, 2, 3, 1).numpy()
    assert cosine(painted, np.array(draw(window, bands))[None]).min() >= 0.999


@pytest.mark.slow
def test_pictures_and_embeddings_agree_with_the_original_on_generated_voices():
    check_parity(windows_of_voices()[::2])


@pytest.mark.slow
def test_pictures_and_embeddings_agree_with_the_original_on_real_voices():
    if not EMODB.is_dir():
        pytest.skip(f"no recordings at {EMODB}")
    check_parity(windows_of_emodb()[:4])


def test_loudness_does_not_change_a_picture():
    window = windows_of_voices()[0]
    assert (paint([window]).int() - paint([window / np.float32(4)]).int()).abs().float().mean() < 1


def test_a_picture_does_not_depend_on_its_batch():
    windows = windows_of_voices()
    together = paint(windows)
    for row, window in enumerate(windows):
        assert (together[row].int() - paint([window])[0].int()).abs().max() <= 4


def test_padding_is_dark_and_leaves_the_colours_of_the_sound():
    window = windows_of_voices()[0]
    padded = window.copy()
    padded[8000:] = 0
    picture = paint([padded], side=CANVAS, bands=40, real=[8000])[0].float().mean(dim=0)
    alone = paint([window[:8000]], side=CANVAS, bands=40)[0].float().mean(dim=0)
    assert picture[:, 125:].std() == 0
    shown = picture[:, :110:4].flatten()
    stretched = alone[:, : 2 * 110 : 8].flatten()
    assert np.corrcoef(shown, stretched)[0, 1] > 0.9


def test_a_flat_window_has_one_colour():
    picture = paint([np.zeros(RATE, dtype=np.float32)])[0]
    assert (picture == picture[:, :1, :1]).all()
