"""MFCCs and log-mel spectra: the numbers of librosa, the same for any stretch, rows that keep to the time axis."""

from __future__ import annotations

from typing import Any

import librosa
import numpy as np
import pytest

from eri.config import LogMelConfig, MFCCConfig, Runtime
from eri.data.clips import Clip
from eri.extraction.extractors.mel import MelExtractor
from eri.extraction.extractors.registry import create_extractor
from eri.features.records import Prepared, assemble
from eri.media.state import State
from tests.factories.media import write_clip, write_wav
from tests.factories.speech import voice

RATE = 16_000
WINDOW, STEP, POINTS = 400, 160, 512


def extractor(config: MFCCConfig | LogMelConfig) -> MelExtractor:
    made = create_extractor(config, Runtime(device="cpu"))
    assert isinstance(made, MelExtractor)
    return made


def mfcc(**settings: Any) -> MelExtractor:
    return extractor(MFCCConfig(**settings))


def prepare(made: MelExtractor, samples) -> Prepared:
    states = np.where(made.preparer.silent(samples), State.SILENCE, State.VALID).astype(np.uint8)
    return Prepared("a", samples, made.preparer.times(len(samples)), states)


def embed(made: MelExtractor, samples):
    return made.embed([prepare(made, samples)])[0]


def librosa_levels(samples, bands: int, scale: str):
    """Log-mel spectra by librosa, whose windows stand in the middle of 512 samples, (bands, frames)."""
    margin = (POINTS - WINDOW) // 2
    htk = scale == "htk"
    power = librosa.feature.melspectrogram(
        y=np.pad(samples, margin),
        sr=RATE,
        n_fft=POINTS,
        hop_length=STEP,
        win_length=WINDOW,
        center=False,
        n_mels=bands,
        htk=htk,
        norm=None if htk else "slaney",
    )
    return librosa.power_to_db(power, top_db=None)


@pytest.mark.parametrize("scale", ["slaney", "htk"])
@pytest.mark.parametrize("seconds", [0.4, 1.237])
class TestNumbers:
    @pytest.mark.slow
    def test_log_mel_spectra_are_those_of_librosa(self, scale, seconds):
        sound = voice(seconds)
        rows = embed(extractor(LogMelConfig(hop=None, mel_scale=scale, mel_bands=40)), sound)
        wanted = librosa_levels(sound, 40, scale).T
        assert rows.shape == wanted.shape
        np.testing.assert_allclose(rows, wanted, atol=2e-3)

    def test_coefficients_are_those_of_librosa(self, scale, seconds):
        sound = voice(seconds)
        rows = embed(mfcc(hop=None, mel_scale=scale), sound)
        wanted = librosa.feature.mfcc(S=librosa_levels(sound, 80, scale), n_mfcc=40).T
        assert rows.shape == wanted.shape
        np.testing.assert_allclose(rows, wanted, atol=5e-3)


def test_changes_are_regressions_over_two_frames_to_either_side():
    sound = voice(0.8)
    rows = embed(mfcc(hop=None, deltas=2, coefficients=13), sound)
    values = rows[:, :13].astype(np.float64)
    for order in (1, 2):
        padded = np.pad(values, ((2, 2), (0, 0)), mode="edge")
        values = (padded[3:-1] - padded[1:-3] + 2 * (padded[4:] - padded[:-4])) / 10
        np.testing.assert_allclose(rows[:, 13 * order : 13 * (order + 1)], values, atol=1e-4)


def test_a_row_is_mean_and_deviation_of_its_frames():
    sound = voice(1.0)
    frames = embed(mfcc(hop=None, coefficients=5), sound)
    made = mfcc(hop=0.25, coefficients=5, statistics="mean-std")
    rows = embed(made, sound)
    middles = (np.arange(len(frames)) * STEP + WINDOW / 2) / RATE
    assert rows.shape == (4, 10)
    for row, values in enumerate(rows):
        own = frames[(middles >= 0.25 * row) & (middles < 0.25 * (row + 1))]
        np.testing.assert_allclose(values[:5], own.mean(axis=0), atol=1e-4)
        np.testing.assert_allclose(values[5:], own.std(axis=0), atol=1e-3)
    assert made.columns[0] == "mfcc_00_mean"
    assert made.columns[-1] == "mfcc_04_std"


def test_columns_name_every_value():
    made = mfcc(deltas=1, coefficients=2)
    assert made.columns == ["mfcc_00", "mfcc_01", "delta_mfcc_00", "delta_mfcc_01"]
    assert made.dimension == 4
    assert extractor(LogMelConfig()).dimension == 64


@pytest.mark.parametrize("deltas", [0, 2])
def test_pieces_of_a_long_sound_join_without_a_seam(tmp_path, deltas):
    made = mfcc(deltas=deltas, statistics="mean-std", hop=0.5)
    np.tile(voice(2.0), 50).tofile(tmp_path / "a.raw")
    rows = embed(made, np.memmap(tmp_path / "a.raw", dtype=np.float32, mode="r"))
    repeats = rows.reshape(50, 4, -1)[1:-1]
    np.testing.assert_allclose(repeats, np.broadcast_to(repeats[0], repeats.shape), atol=5e-3)


def test_a_clip_is_the_same_alone_and_beside_others():
    made = mfcc()
    one, other = prepare(made, voice(0.7, seed=1)), prepare(made, voice(1.9, seed=2))
    np.testing.assert_array_equal(made.embed([other, one])[1], made.embed([one])[0])


def test_silent_rows_are_left_out_and_keep_their_place():
    made = mfcc(hop=0.5)
    sound = np.concatenate([voice(1.0), np.zeros(3 * RATE // 2, dtype=np.float32), voice(1.0, seed=2)])
    prepared = prepare(made, sound)
    features = assemble(prepared, made.embed([prepared])[0])
    # The rows beside the silence hold frames that reach over its edge.
    assert features.states.tolist() == [0, 0, 0, State.SILENCE, 0, 0, 0]
    np.testing.assert_allclose(features.times, np.arange(0.25, 3.5, 0.5), atol=0.02)
    assert not features.embeddings[3].any()
    assert features.embeddings[4].any()


@pytest.mark.parametrize("samples", [1, 100, WINDOW, WINDOW + 1])
def test_sound_of_any_length_gives_a_row(samples):
    rows = embed(mfcc(deltas=2), voice(1.0)[RATE // 2 :][:samples])
    assert rows.shape == (1, 120)
    assert np.isfinite(rows).all()


def test_a_clip_without_sound_says_so(tmp_path):
    made = mfcc()
    prepared = made.preparer.prepare(Clip("a", "test", video=write_clip(tmp_path / "a.mp4", 1.0, audio=False)))
    assert set(prepared.states.tolist()) == {State.NO_AUDIO}
    assert made.embed([prepared])[0].shape == (0, 40)


def test_a_file_gives_rows_on_its_time_axis(tmp_path):
    made = mfcc(hop=0.2)
    prepared = made.preparer.prepare(Clip("a", "test", audio=write_wav(tmp_path / "a.wav", samples=voice(1.0))))
    features = assemble(prepared, made.embed([prepared])[0])
    assert features.embeddings.shape == (5, 40)
    np.testing.assert_allclose(features.times, [0.1, 0.3, 0.5, 0.7, 0.9], atol=0.02)
    assert (made.name, made.modality) == ("mfcc", "audio")
