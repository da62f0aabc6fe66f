"""eGeMAPS features: openSMILE's own numbers, rows that keep to the time axis, and a clear word without the package."""

from __future__ import annotations

import importlib
import importlib.util
import pickle
import subprocess
import sys
from typing import Any

import numpy as np
import pytest

from eri.config import EGeMAPSConfig, Runtime
from eri.data.clips import Clip
from eri.extraction.extractors.egemaps import EGeMAPSExtractor, describe
from eri.extraction.extractors.registry import create_extractor
from eri.features.records import FeatureSequence, assemble
from eri.media.audio import read_audio
from eri.media.state import State
from eri.utils.errors import MissingDependencyError
from tests.factories.media import write_clip, write_wav
from tests.factories.speech import voice

RATE = 16_000


needs_opensmile = pytest.mark.skipif(
    importlib.util.find_spec("opensmile") is None, reason="needs the extra opensmile, which is not installed"
)


def extractor(**settings: Any) -> EGeMAPSExtractor:
    made = create_extractor(EGeMAPSConfig(**settings), Runtime(device="cpu"))
    assert isinstance(made, EGeMAPSExtractor)
    return made


def features(made: EGeMAPSExtractor, tmp_path, samples) -> FeatureSequence:
    clip = Clip("a", "test", audio=write_wav(tmp_path / "a.wav", samples=samples))
    prepared = made.preparer.prepare(clip)
    return assemble(prepared, made.embed([prepared])[0])


def reference(level: str) -> Any:
    opensmile = importlib.import_module("opensmile")
    return opensmile.Smile(opensmile.FeatureSet.eGeMAPSv02, getattr(opensmile.FeatureLevel, level))


@pytest.mark.slow
@needs_opensmile
def test_functionals_are_those_of_each_window(tmp_path):
    made = extractor(window=1.0, hop=0.5)
    found = features(made, tmp_path, voice(1.8))
    sound = read_audio(tmp_path / "a.wav").samples
    assert found.embeddings.shape == (3, 88)
    assert found.times.tolist() == [0.5, 1.0, 1.5]
    smile = reference("Functionals")
    for row, start in enumerate((0, 8000, 16000)):
        wanted = smile(sound[start : start + RATE], RATE)[0, :, 0]
        np.testing.assert_allclose(found.embeddings[row], wanted, rtol=1e-5)
    assert made.columns == list(smile.feature_names)


@needs_opensmile
def test_low_level_descriptors_are_averaged_over_hops(tmp_path):
    made = extractor(level="low-level", hop=0.2)
    found = features(made, tmp_path, voice(1.0))
    assert found.embeddings.shape == (5, 25)
    sound = read_audio(tmp_path / "a.wav").samples
    values = reference("LowLevelDescriptors")(sound, RATE)[0].T
    middles = (np.arange(len(values)) + 1) * 0.01
    own = values[(middles >= 0.2 - 1e-9) & (middles < 0.4 - 1e-9)]
    np.testing.assert_allclose(found.embeddings[1], own.mean(axis=0), rtol=1e-5)
    np.testing.assert_allclose(found.times, [0.1, 0.3, 0.5, 0.7, 0.9])


@needs_opensmile
@pytest.mark.slow
def test_long_sound_is_described_without_a_seam(tmp_path):
    made = extractor(level="low-level", hop=0.1)
    rows = features(made, tmp_path, np.tile(voice(2.0), 153)).embeddings
    assert len(rows) == 3060
    loudness = rows[20:3040, made.columns.index("Loudness_sma3")]
    repeated = np.tile(loudness[:20], 151)
    loudness[2999 - 20] = repeated[2999 - 20]  # the row that ends where a piece of five minutes does
    np.testing.assert_allclose(loudness, repeated, rtol=0.05, atol=0.02)


@needs_opensmile
@pytest.mark.parametrize("level", ["functionals", "low-level"])
@pytest.mark.parametrize("samples", [1, 959, 960, RATE + 1])
def test_sound_of_any_length_is_described(tmp_path, level, samples):
    settings = {"hop": 1.0} if level == "low-level" else {"hop": 1.0, "window": 1.0}
    found = features(extractor(level=level, **settings), tmp_path, voice(2.0)[2000 : 2000 + samples])
    assert len(found.states) == 1 + (samples > RATE)
    assert np.isfinite(found.embeddings).all()
    assert found.embeddings.any(axis=1).all()


@needs_opensmile
def test_full_scale_sound_does_not_wrap_round():
    smile = reference("Functionals")
    square = np.sign(voice(0.5)).astype(np.float32)
    np.testing.assert_allclose(
        describe(smile, square), describe(smile, square * np.float32(0.9999)), rtol=0.02, atol=0.02
    )


@needs_opensmile
@pytest.mark.parametrize("level", ["functionals", "low-level"])
def test_silence_and_missing_sound_are_states(tmp_path, level):
    made = extractor(level=level, hop=1.0)
    sound = np.concatenate([voice(1.0), np.zeros(2 * RATE, dtype=np.float32)])
    found = features(made, tmp_path, sound)
    assert found.states[0] == State.VALID
    assert found.states[-1] == State.SILENCE
    assert not found.embeddings[-1].any()
    mute = made.preparer.prepare(Clip("a", "test", video=write_clip(tmp_path / "a.mp4", 1.0, audio=False)))
    assert set(mute.states.tolist()) == {State.NO_AUDIO}
    assert made.embed([mute])[0].shape == (0, made.dimension)


@pytest.mark.slow
@needs_opensmile
def test_workers_describe_without_torch():
    code = (
        "import pickle, sys; pickle.loads(bytes.fromhex(sys.argv[1])); "
        "assert 'torch' not in sys.modules and 'opensmile' not in sys.modules"
    )
    preparer = pickle.dumps(extractor().preparer)
    subprocess.run([sys.executable, "-c", code, preparer.hex()], check=True)


def test_without_the_package_the_way_to_it_is_told(monkeypatch):
    monkeypatch.setitem(sys.modules, "opensmile", None)
    with pytest.raises(MissingDependencyError, match=r"pip install 'eri\[opensmile\]' .*not for commercial use"):
        extractor()
