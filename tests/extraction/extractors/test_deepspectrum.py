"""DeepSpectrum features: one row a window, the same alone and in a batch, states where there is nothing to hear."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from eri.config import DeepSpectrumConfig, Runtime
from eri.data.clips import Clip
from eri.extraction.extractors.deepspectrum import DeepSpectrumExtractor
from eri.extraction.extractors.registry import create_extractor
from eri.features.records import Prepared, assemble
from eri.media.state import State
from eri.utils.errors import ConfigError
from tests.factories.media import write_clip
from tests.factories.speech import voice

RATE = 16_000


def extractor(batch_size: int = 32, **changes: Any) -> DeepSpectrumExtractor:
    settings: dict[str, Any] = {"backbone": "test_resnet", "weights": "random", "input_size": 64}
    made = create_extractor(DeepSpectrumConfig(**(settings | changes)), Runtime(device="cpu", batch_size=batch_size))
    assert isinstance(made, DeepSpectrumExtractor)
    return made


def prepare(made: DeepSpectrumExtractor, samples) -> Prepared:
    preparer = made.preparer
    states = np.where(preparer.silent(samples), State.SILENCE, State.VALID).astype(np.uint8)
    return Prepared("a", samples, preparer.times(len(samples)), states)


@pytest.mark.parametrize("batch_size", [1, 3, 64])
@pytest.mark.parametrize("precision", ["float32", "bf16"])
def test_features_are_the_same_alone_and_in_a_batch(batch_size, precision):
    made = extractor(batch_size, precision=precision)
    sounds = [voice(2.0, seed=1), voice(0.4, seed=2), voice(3.3, seed=3)]
    prepared = [prepare(made, sound) for sound in sounds]
    together = made.embed(prepared)
    assert [len(rows) for rows in together] == [3, 1, 6]
    for rows, one in zip(together, prepared, strict=True):
        alone = extractor(2, precision=precision).embed([one])[0]
        cosine = (rows * alone).sum(1) / np.linalg.norm(rows, axis=1) / np.linalg.norm(alone, axis=1)
        assert cosine.min() >= 0.9999


def test_the_challenge_features_have_1024_values():
    made = extractor(backbone="densenet121")
    assert made.dimension == 1024
    assert made.embed([prepare(made, voice(1.0))])[0].shape == (1, 1024)
    assert (made.name, made.modality) == ("deepspectrum", "audio")


def test_a_row_is_the_picture_of_its_window():
    made = extractor()
    sound = voice(2.0, seed=1)
    rows = made.embed([prepare(made, sound)])[0]
    middle = made.embed([prepare(made, sound[RATE // 2 : RATE // 2 + RATE])])[0]
    assert np.allclose(rows[1], middle[0], atol=1e-4)
    assert not np.allclose(rows[0], middle[0], atol=1e-4)


def test_silent_windows_are_left_out_and_keep_their_place():
    made = extractor()
    sound = np.concatenate([voice(1.0), np.zeros(2 * RATE, dtype=np.float32), voice(1.0, seed=4)])
    prepared = prepare(made, sound)
    features = assemble(prepared, made.embed([prepared])[0])
    assert features.states.tolist() == [0, 0, State.SILENCE, State.SILENCE, State.SILENCE, 0, 0]
    assert features.embeddings[0].any()
    assert not features.embeddings[3].any()


def test_a_clip_without_sound_gives_no_embedding(tmp_path):
    made = extractor()
    prepared = made.preparer.prepare(Clip("a", "test", video=write_clip(tmp_path / "a.mp4", 2.0, audio=False)))
    assert made.embed([prepared])[0].shape == (0, 96)
    assert assemble(prepared, made.embed([prepared])[0]).embeddings.shape == (3, 96)


def test_windows_of_a_long_sound_are_cut_from_its_memory_map(tmp_path):
    np.tile(voice(4.0), 5).tofile(tmp_path / "a.raw")
    sound = np.memmap(tmp_path / "a.raw", dtype=np.float32, mode="r")
    made = extractor(input_size=32)
    prepared = prepare(made, sound)
    assert made.embed([prepared])[0].shape == (39, 96)


def test_a_window_shorter_than_a_spectrum_is_refused():
    with pytest.raises(ConfigError, match=r"shorter than one spectrum \(0\.032 s\)\n.*audio\.window"):
        extractor(window=0.03)
