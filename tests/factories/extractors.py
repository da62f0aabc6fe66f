"""A small extractor that obeys the protocol, over "media" that are text files saying how they behave.

The first word of a clip's file decides: ``ok`` gives rows made from the file's content; ``no-face`` and ``partly``
miss faces; ``truncated`` is a damaged file; ``crash`` ends the worker by a signal; ``hang`` never returns, nor does
``seize``, which keeps the interpreter to itself; ``bug`` raises what no one foresees; ``unsendable`` raises what cannot
be sent home; ``memory`` runs out of memory; ``long`` is large and memory-mapped; ``moving`` changes its file. Every
clip that is prepared leaves a line in the log, so that tests can count.
"""

from __future__ import annotations

import ctypes
import hashlib
import os
import signal
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from eri.config import ExtractorConfig, ImageConfig, Runtime
from eri.config.tasks import ERI
from eri.data.clips import Clip, ClipTable, Split
from eri.features.records import Extractor, Prepared
from eri.media.state import State
from eri.utils.errors import MissingMediaError, NoVideoError, TruncatedMediaError, WeightsError

DIMENSION = 6


class UnsendableError(Exception):
    """An error that can be pickled but not unpickled."""

    def __init__(self, *, detail: str) -> None:
        super().__init__(detail)


@dataclass(frozen=True)
class FakePreparer:
    """Reads the text file of a clip."""

    modality: Literal["visual", "audio"]
    rows: int
    log: Path | None = None
    delay: float = 0.0

    def prepare(self, clip: Clip) -> Prepared:
        path = clip.video if self.modality == "visual" else clip.audio_source
        if path is None:
            raise NoVideoError(Path(clip.id), "no file is named")
        if self.log is not None:
            with self.log.open("a") as stream:
                stream.write(f"{clip.id} {os.getpid()}\n")
        time.sleep(self.delay)
        try:
            text = path.read_text()
        except FileNotFoundError as error:
            raise MissingMediaError(path, "no such file") from error
        word = text.split()[0]
        misbehave(word, path)
        states = np.zeros(self.rows, dtype=np.uint8)
        if word == "no-face":
            states[:] = State.NO_FACE
        elif word == "no-audio":
            states[:] = State.NO_AUDIO
        elif word == "silent":
            states[:] = State.SILENCE
        elif word == "partly":
            states[::2] = State.NO_FACE
        count = int((states == State.VALID).sum())
        seed = int.from_bytes(hashlib.sha256(text.encode()).digest()[:4], "big")
        inputs = np.random.default_rng(seed).standard_normal((count, DIMENSION)).astype(np.float32)
        if word == "long":
            inputs = mapped(np.tile(inputs, (1, 4096)))
        return Prepared(clip.id, inputs, np.arange(self.rows, dtype=np.float64) / 2, states, (f"a {word} clip",))


def misbehave(word: str, path: Path) -> None:
    if word == "truncated":
        raise TruncatedMediaError(path, "ends too early", hint="Copy it again.")
    if word == "weights":
        raise WeightsError("the detector's weights are missing", hint="Fetch them.")
    if word == "crash":
        os.kill(os.getpid(), signal.SIGSEGV)
    if word == "hang":
        time.sleep(600)
    if word == "seize":
        ctypes.PyDLL(None).sleep(600)  # unlike CDLL this does not let other threads of the interpreter run
    if word == "bug":
        raise ZeroDivisionError("no one foresaw this")
    if word == "unsendable":
        raise UnsendableError(detail="x")
    if word == "moving":
        path.write_text("something longer than before")
    if word == "memory":
        raise MemoryError


def fail_to_load() -> None:
    raise ImportError("a library is broken")


class UnloadablePreparer(FakePreparer):
    """A preparer that cannot be loaded in a worker process."""

    def __reduce__(self) -> tuple[object, ...]:
        return fail_to_load, ()


def mapped(array: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the array as a memory map whose file is gone already, the hardest kind to send."""
    with tempfile.NamedTemporaryFile() as stream:
        memory: np.memmap[Any, Any] = np.memmap(stream.name, dtype=array.dtype, mode="w+", shape=array.shape)
        memory[:] = array
        return memory


@dataclass
class FakeExtractor:
    """Embeds a row as its inputs, doubled."""

    name: str
    modality: Literal["visual", "audio"]
    settings: Mapping[str, Any]
    preparer: FakePreparer
    dimension: int = DIMENSION

    def identity(self) -> dict[str, Any]:
        return {"family": "fake", **self.settings}

    def embed(self, prepared: Sequence[Prepared]) -> list[NDArray[np.float32]]:
        for clip in prepared:
            if clip.clip_id == "unembeddable":
                raise LookupError("the model did not expect this")
            if clip.clip_id == "deadly":
                os.kill(os.getpid(), signal.SIGKILL)
        return [np.asarray(clip.inputs[:, :DIMENSION], dtype=np.float32) * 2 for clip in prepared]


def fake_config(frames: int = 5) -> ImageConfig:
    """Return the config of a fake extractor; the number of frames is a setting that matters."""
    return ImageConfig(extractor="fake", frames=frames)


def fake_extractors(log: Path | None = None, delay: float = 0.0) -> Callable[[ExtractorConfig, Runtime], Extractor]:
    """Return what stands in for ``create_extractor``."""

    def create(config: ExtractorConfig, runtime: Runtime) -> Extractor:
        rows = config.frames if isinstance(config, ImageConfig) else 3
        preparer = FakePreparer(config.modality, rows, log, delay)
        return FakeExtractor(config.extractor, config.modality, config.model_dump(mode="json"), preparer)

    return create


def fake_table(root: Path, contents: Mapping[str, str], split: Split = "train") -> ClipTable:
    """Write one text file a clip and return the table of all that are in the folder."""
    root.mkdir(parents=True, exist_ok=True)
    for clip_id, text in contents.items():
        (root / f"{clip_id}.mp4").write_text(text)
    return read_fake_table(root, split)


def read_fake_table(root: Path, split: Split = "train") -> ClipTable:
    """Return the table of the text files in a folder."""
    clips = (Clip(path.stem, split, video=path) for path in sorted(root.glob("*.mp4")))
    return ClipTable("fake", root, ERI, tuple(clips))


def logged(log: Path) -> list[str]:
    """Return the ids of the clips that were prepared, in order."""
    return [line.split()[0] for line in log.read_text().splitlines()] if log.exists() else []
