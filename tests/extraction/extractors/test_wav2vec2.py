"""Speech features equal those of transformers, are the same alone and in a batch, and stand on one time grid."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from eri.config import Runtime, Wav2Vec2Config
from eri.data.clips import Clip
from eri.extraction.extractors.registry import create_extractor
from eri.extraction.extractors.wav2vec2 import Wav2Vec2Extractor
from eri.features.records import Prepared, assemble
from eri.media.state import State
from eri.utils.errors import ConfigError
from tests.factories.media import write_clip, write_wav
from tests.factories.speech import FAMILIES, speech_model, voice, write_speech_model

RATE = 16_000


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    """A saved tiny model of each family."""
    root = tmp_path_factory.mktemp("models")
    return {family: write_speech_model(root / family, family) for family in FAMILIES}


def extractor(folder, batch_size: int = 32, **changes) -> Wav2Vec2Extractor:
    config = Wav2Vec2Config(model=str(folder), **changes)
    made = create_extractor(config, Runtime(device="cpu", batch_size=batch_size))
    assert isinstance(made, Wav2Vec2Extractor)
    return made


def prepare(made: Wav2Vec2Extractor, samples) -> Prepared:
    preparer = made.preparer
    states = np.where(preparer.silent(samples), State.SILENCE, State.VALID).astype(np.uint8)
    return Prepared("a", samples, preparer.times(len(samples)), states)


def hidden_states(family: str, samples):
    """Return every hidden state as transformers gives it for one waveform, the last one after its normalisation."""
    scaled = (samples - samples.mean()) / np.sqrt(samples.var() + 1e-7)
    with torch.no_grad():
        output = speech_model(family)(torch.from_numpy(scaled)[None], output_hidden_states=True)
    return [*(state[0].numpy() for state in output.hidden_states[:-1]), output.last_hidden_state[0].numpy()]


@pytest.mark.slow
@pytest.mark.parametrize("family", FAMILIES)
def test_features_equal_those_of_transformers(folders, family):
    sound = voice(1.3) + np.float32(0.02)
    states = hidden_states(family, sound)
    for layer, wanted in ((-1, states[-1]), (0, states[0]), (2, states[2]), ("mean", np.mean(states, axis=0))):
        made = extractor(folders[family], layer=layer)
        found = made.embed([prepare(made, sound)])[0]
        assert found.dtype == np.float32
        assert found == pytest.approx(wanted, abs=2e-5)


def test_the_scale_of_a_waveform_is_that_of_its_feature_extractor(folders, tmp_path):
    from transformers import Wav2Vec2FeatureExtractor

    sound = voice(1.0) + np.float32(0.1)
    made = extractor(folders["wav2vec2"])
    mean, deviation = made._scale(sound)
    wanted = Wav2Vec2FeatureExtractor()(sound, sampling_rate=RATE).input_values[0]
    assert (sound - mean) / deviation == pytest.approx(np.asarray(wanted), abs=1e-5)
    plain = write_speech_model(tmp_path / "plain", features={"do_normalize": False})
    assert extractor(plain)._scale(sound) == (0.0, 1.0)


@pytest.mark.parametrize("family", FAMILIES)
def test_weights_that_are_rounded_once_give_the_numbers_of_weights_rounded_at_every_pass(folders, family):
    sound = voice(0.8)
    made = extractor(folders[family], precision="bf16")
    assert any(parameter.dtype == torch.bfloat16 for parameter in made._model.parameters())
    rounded = made.embed([prepare(made, sound)])[0]
    made._model = speech_model(family)
    np.testing.assert_array_equal(rounded, made.embed([prepare(made, sound)])[0])


@pytest.mark.parametrize("batch_size", [1, 2, 16])
@pytest.mark.parametrize("family", ["wav2vec2", "wavlm"])
def test_features_are_the_same_alone_and_in_a_batch(folders, family, batch_size):
    made = extractor(folders[family], batch_size, chunk=1.5)
    sounds = [voice(1.0, seed=1), voice(1.7, seed=2), voice(1.0, seed=3), voice(4.1, seed=4), voice(1.003, seed=5)]
    prepared = [prepare(made, sound) for sound in sounds]
    together = made.embed(prepared)
    for rows, one in zip(together, prepared, strict=True):
        alone = extractor(folders[family], 1, chunk=1.5).embed([one])[0]
        assert rows.shape == alone.shape == (len(one.times), 32)
        cosine = (rows * alone).sum(1) / np.linalg.norm(rows, axis=1) / np.linalg.norm(alone, axis=1)
        assert cosine.min() >= 0.9999


def test_only_equal_lengths_share_a_batch(folders, monkeypatch):
    made = extractor(folders["wav2vec2"], 2)
    seen = []
    forward = made._forward

    def watch(waveforms):
        seen.append(waveforms.shape)
        return forward(waveforms)

    monkeypatch.setattr(made, "_forward", watch)
    made.embed([prepare(made, voice(seconds)) for seconds in (1.0, 1.2, 1.0, 1.0)])
    assert sorted(seen) == [(1, 16000), (1, 19200), (2, 16000)]


def test_a_batch_holds_a_bounded_amount_of_sound(folders):
    made = extractor(folders["wav2vec2"], 4)
    batches = list(made._batches([(clip, 10 * RATE) for clip in range(5)]))
    assert [len(batch) for batch in batches] == [1] * 5
    batches = list(made._batches([(clip, 4 * RATE) for clip in range(5)]))
    assert [len(batch) for batch in batches] == [4, 1]


def test_pieces_of_long_sound_leave_no_gap(folders):
    made = extractor(folders["wav2vec2"], chunk=1.5)
    whole = extractor(folders["wav2vec2"])
    sound = voice(7.3)
    prepared = prepare(made, sound)
    pieces = made._pieces(0, len(sound))
    assert len(pieces) == 5
    assert [piece.first for piece in pieces[1:]] == list(np.cumsum([piece.frames for piece in pieces])[:-1])
    assert max(piece.frames for piece in pieces) - min(piece.frames for piece in pieces) <= 1
    assert np.diff(prepared.times) == pytest.approx(0.02)
    rows = made.embed([prepared])[0]
    assert rows.shape == (364, 32)
    # A piece lacks the context beyond its ends, so the features of the whole are near, not equal.
    together = whole.embed([prepare(whole, sound)])[0]
    assert np.corrcoef(rows.ravel(), together.ravel())[0, 1] > 0.9


def test_a_hop_averages_its_frames(folders):
    sound = voice(2.0)
    every = extractor(folders["hubert"])
    frames = prepare(every, sound)
    features = every.embed([frames])[0]
    made = extractor(folders["hubert"], hop=0.5)
    prepared = prepare(made, sound)
    groups = (frames.times / 0.5).astype(int)
    wanted = [features[groups == group].mean(axis=0) for group in range(4)]
    assert made.embed([prepared])[0] == pytest.approx(np.stack(wanted), abs=1e-5)
    assert prepared.times == pytest.approx([frames.times[groups == group].mean() for group in range(4)])


def test_a_hop_may_span_pieces(folders):
    made = extractor(folders["hubert"], hop=0.8, chunk=1.5)
    frames = extractor(folders["hubert"], chunk=1.5)
    sound = voice(4.0)
    features, times = frames.embed([prepare(frames, sound)])[0], frames.preparer.times(len(sound))
    groups = (times / 0.8).astype(int)
    wanted = np.stack([features[groups == group].mean(axis=0) for group in range(5)])
    assert made.embed([prepare(made, sound)])[0] == pytest.approx(wanted, abs=1e-5)


@pytest.mark.parametrize("samples", [1, 100, 399, 400, 719])
def test_very_short_sound_gives_one_row(folders, samples):
    made = extractor(folders["wav2vec2"])
    prepared = prepare(made, voice(1.0)[4000 : 4000 + samples])
    rows = made.embed([prepared])[0]
    assert rows.shape == (1, 32)
    assert np.isfinite(rows).all()
    assert prepared.times == pytest.approx([0.0125])


def test_silence_and_missing_sound_give_states(folders, tmp_path):
    made = extractor(folders["wav2vec2"], hop=0.5)
    sound = np.concatenate([voice(1.0), np.zeros(2 * RATE, dtype=np.float32)])
    heard = made.preparer.prepare(Clip("a", "test", audio=write_wav(tmp_path / "a.wav", samples=sound)))
    deaf = made.preparer.prepare(Clip("b", "test", video=write_clip(tmp_path / "b.mp4", 1.0, audio=False)))
    silent = prepare(made, np.zeros(RATE, dtype=np.float32))
    embedded = made.embed([deaf, heard, silent])
    assert [rows.shape for rows in embedded] == [(0, 32), (2, 32), (0, 32)]
    assert assemble(heard, embedded[1]).states.tolist() == [0, 0] + [State.SILENCE] * 4
    assert assemble(deaf, embedded[0]).states.tolist() == [State.NO_AUDIO] * 2
    assert assemble(silent, embedded[2]).states.tolist() == [State.SILENCE] * 2


def test_bf16_stays_near_float32(folders):
    sound = voice(1.0)
    full, half = (extractor(folders["wav2vec2"], precision=precision) for precision in ("float32", "bf16"))
    one, other = (made.embed([prepare(made, sound)])[0] for made in (full, half))
    assert np.corrcoef(one.ravel(), other.ravel())[0, 1] > 0.99
    assert not np.array_equal(one, other)


@pytest.mark.parametrize("layer", [4, -5, 17])
def test_a_layer_that_the_model_lacks_is_refused(folders, layer):
    with pytest.raises(ConfigError, match=rf"layer {layer}: the model has the hidden states 0 to 3\n.*audio\.layer"):
        extractor(folders["wav2vec2"], layer=layer)


def test_a_hop_shorter_than_a_frame_is_refused(folders):
    with pytest.raises(ConfigError, match=r"a hop of 0\.01 s is shorter than the model's frames of 0\.02 s"):
        extractor(folders["wav2vec2"], hop=0.01)
