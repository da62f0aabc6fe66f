"""How long pictures of sound and hidden states of speech models take, beside the ways that are written first.

The backbone and the speech model have random weights: what they compute takes as long as with trained ones.
"""

from __future__ import annotations

import functools
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from benchmarks.harness import Bar, Row, alternate
from eri.config import DeepSpectrumConfig, Runtime, Wav2Vec2Config
from eri.extraction.extractors.deepspectrum import DeepSpectrumExtractor, SpectrogramPainter
from eri.extraction.extractors.wav2vec2 import Wav2Vec2Extractor
from eri.features.records import Prepared
from eri.media.audio import SAMPLE_RATE
from eri.media.state import State
from tests.factories.spectrograms import draw
from tests.factories.speech import voice

Rows = NDArray[Any]


@dataclass(frozen=True)
class Size:
    """How much sound: clips and their seconds, rounds, and the sizes of the models."""

    clips: int
    seconds: float
    rounds: int
    backbone: str
    speech: dict[str, Any]


FULL = Size(12, 4.0, 5, "densenet121", {})
SMALL = Size(
    2,
    1.5,
    1,
    "resnet18",
    {
        "hidden_size": 32,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "intermediate_size": 64,
        "conv_dim": (32,) * 7,
    },
)


def run(quick: bool) -> list[Row]:
    """Measure both kinds of features."""
    size = SMALL if quick else FULL
    sounds = [voice(size.seconds, pitch=90.0 + 20 * number, seed=number) for number in range(size.clips)]
    return [*_deepspectrum(size, sounds), *_wav2vec2(size, sounds)]


def _deepspectrum(size: Size, sounds: Sequence[NDArray[np.float32]]) -> list[Row]:
    config = DeepSpectrumConfig(backbone=size.backbone, weights="random")
    made = DeepSpectrumExtractor(config, Runtime(device="cpu"))
    clips = [_prepare(made, sound) for sound in sounds]
    window, hop = round(config.window * SAMPLE_RATE), round(config.hop * SAMPLE_RATE)
    pieces = [clip.inputs[row * hop :][:window] for clip in clips for row in np.flatnonzero(clip.states == State.VALID)]
    windows = [np.pad(piece, (0, window - len(piece))) for piece in pieces]
    painter = SpectrogramPainter(config.mel_bands, config.input_size)
    lengths = torch.tensor([len(piece) for piece in pieces])

    def drawn() -> NDArray[np.uint8]:
        return np.stack([np.asarray(draw(piece).resize((config.input_size, config.input_size))) for piece in windows])

    def painted() -> NDArray[np.uint8]:
        return painter.paint(torch.from_numpy(np.stack(windows)), lengths).permute(0, 2, 3, 1).numpy()

    one = DeepSpectrumExtractor(config, Runtime(device="cpu", batch_size=1))
    pictures = torch.from_numpy(drawn()).permute(0, 3, 1, 2)
    theirs = np.concatenate([one._backbone.embed(picture[None]).numpy() for picture in pictures])
    ours = np.concatenate(made.embed(clips))
    what = f"DeepSpectrum, {len(windows)} windows"

    def written() -> None:
        for picture in torch.from_numpy(drawn()).permute(0, 3, 1, 2):
            one._backbone.embed(picture[None])

    apart = alternate(painted, drawn, size.rounds)
    both = alternate(lambda: made.embed(clips), written, min(2, size.rounds), warm_up=0)
    return [
        Row(f"{what}: pictures", *apart, "s", Bar("at_least", 20), "reference: matplotlib"),
        Row(f"{what}: pictures and {size.backbone}", *both, "s", None, "reference: matplotlib, float32 one by one"),
        _likeness(f"{what}: pictures", painted().reshape(len(windows), -1), drawn().reshape(len(windows), -1), 0.99),
        _likeness(f"{what}: {size.backbone} features", ours, theirs, 0.99),
        _likeness(f"{what}: the same less their mean", ours - theirs.mean(axis=0), theirs - theirs.mean(axis=0), None),
    ]


def _wav2vec2(size: Size, sounds: Sequence[NDArray[np.float32]]) -> list[Row]:
    from transformers import Wav2Vec2Config as Architecture
    from transformers import Wav2Vec2Model
    from transformers.utils import logging

    logging.disable_progress_bar()
    with tempfile.TemporaryDirectory() as folder:
        torch.manual_seed(0)
        Wav2Vec2Model(Architecture(**size.speech)).save_pretrained(folder)
        create = functools.partial(_speech_model, Path(folder))
        plain, whole, rounded = create(1, "float32"), create(16, "float32"), create(16, "bf16")
    clips = [_prepare(plain, sound) for sound in sounds]
    one: Callable[[], object] = lambda: [plain.embed([clip]) for clip in clips]  # noqa: E731
    what = f"wav2vec 2.0 base, {len(clips)} clips of {size.seconds:g} s"
    exact, near, reference = (np.concatenate(made.embed(clips)) for made in (whole, rounded, plain))
    note = "reference: clip by clip in float32"
    return [
        Row(f"{what}: bf16, together", *alternate(lambda: rounded.embed(clips), one, size.rounds), "s", None, note),
        _likeness(f"{what}: bf16, together", near, reference, 0.999),
        Row(f"{what}: float32, together", *alternate(lambda: whole.embed(clips), one, size.rounds), "s", None, note),
        _likeness(f"{what}: float32, together", exact, reference, 0.99999),
    ]


def _speech_model(folder: Path, batch_size: int, precision: Any) -> Wav2Vec2Extractor:
    config = Wav2Vec2Config(model=str(folder), precision=precision)
    return Wav2Vec2Extractor(config, Runtime(device="cpu", batch_size=batch_size))


def _prepare(made: DeepSpectrumExtractor | Wav2Vec2Extractor, samples: NDArray[np.float32]) -> Prepared:
    times = made.preparer.times(len(samples))
    states = np.where(made.preparer.silent(samples), State.SILENCE, State.VALID).astype(np.uint8)
    return Prepared("clip", samples, times, states)


def _likeness(what: str, ours: Rows, theirs: Rows, least: float | None) -> Row:
    """Return the row of how alike two lists of vectors are, judged by the worst pair."""
    left, right = ours.astype(np.float64), theirs.astype(np.float64)
    norms = np.linalg.norm(left, axis=1) * np.linalg.norm(right, axis=1)
    worst = float(((left * right).sum(axis=1) / norms).min())
    bar = None if least is None else Bar("at_least", least, of="ours")
    return Row(f"{what}, cosine to the reference", (worst,), (), "", bar, "the worst of them")
