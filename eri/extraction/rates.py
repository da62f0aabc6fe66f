"""How busy the stages of an extraction were, and the rates that longer ones are planned from."""

from __future__ import annotations

import json
import os
import platform
import sys
import threading
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Any, Literal

from eri.config import Runtime
from eri.features.folder import FeatureFolder
from eri.features.problems import explained
from eri.utils.errors import DataError, StoreError
from eri.utils.files import write_json
from eri.utils.version import __version__

NAME = "rates.json"
_FORMAT = "eri-rates-1"
_KEPT = 20
"""The latest machines and settings that are kept for a feature folder."""


Stage = Literal["decode", "faces", "model", "write"]


@dataclass(frozen=True)
class StageShares:
    """The share of an extraction's time in which each stage was at work, in [0, 1].

    Decoding and faces are done by the same workers: their shares are means over these, and it is their sum that says
    whether workers are short.

    Attributes:
        decode: Opening media, decoding, and reading the source for its identity.
        faces: Finding and cropping faces.
        model: Embedding.
        write: Writing features.
        seconds: The time that they are shares of.
        workers: How many shared decoding and faces.
        busy: Seconds of processor time, over all cores.
        media_seconds: Seconds of media that were gone through.

    Examples:
        >>> shares = StageShares(decode=0.31, faces=0.08, model=0.92, write=0.01)
        >>> print(shares)
        decode 31 %, faces 8 %, model 92 %, write 1 %
        >>> shares.bound
        'model'
        >>> StageShares(decode=0.5, faces=0.4, model=0.7, write=0.0).bound
        'decode'
    """

    decode: float
    faces: float
    model: float
    write: float
    seconds: float = 0.0
    workers: int = 0
    busy: float = 0.0
    media_seconds: float = 0.0

    @property
    def bound(self) -> Stage:
        """The stage that the others wait for: the busiest; of the workers' two the longer one."""
        longer: Stage = "decode" if self.decode >= self.faces else "faces"
        busy: dict[Stage, float] = {longer: self.decode + self.faces, "model": self.model, "write": self.write}
        return max(busy, key=lambda stage: busy[stage])

    def __str__(self) -> str:
        shares = {"decode": self.decode, "faces": self.faces, "model": self.model, "write": self.write}
        return ", ".join(f"{name} {100 * share:.0f} %" for name, share in shares.items() if name != "faces" or share)


class StageClock:
    """Adds up the seconds of each stage, from any thread."""

    def __init__(self) -> None:
        self._seconds: dict[Stage, float] = {"decode": 0.0, "faces": 0.0, "model": 0.0, "write": 0.0}
        self._busy = 0.0
        self._media = 0.0
        self._lock = threading.Lock()

    def add(self, stage: Stage, seconds: float) -> None:
        """Add what a stage took for something."""
        with self._lock:
            self._seconds[stage] += seconds

    def count(self, *, busy: float = 0.0, media: float = 0.0) -> None:
        """Add seconds of processor time, and seconds of media."""
        with self._lock:
            self._busy += busy
            self._media += media

    def seconds(self) -> dict[Stage, float]:
        """Return what each stage took so far."""
        with self._lock:
            return dict(self._seconds)

    @contextmanager
    def timing(self, stage: Stage) -> Iterator[None]:
        """Add the time that a block takes."""
        begun = time.perf_counter()
        try:
            yield
        finally:
            self.add(stage, time.perf_counter() - begun)

    def shares(self, seconds: float, workers: int) -> StageShares | None:
        """Return how busy each stage was.

        Args:
            seconds: Length of the extraction.
            workers: How many shared decoding and faces.

        Returns:
            None where nothing was done.
        """
        if seconds <= 0 or not any(self._seconds.values()):
            return None
        preparing = seconds * max(1, workers)
        return StageShares(
            decode=self._seconds["decode"] / preparing,
            faces=self._seconds["faces"] / preparing,
            model=self._seconds["model"] / seconds,
            write=self._seconds["write"] / seconds,
            seconds=seconds,
            workers=workers,
            busy=self._busy,
            media_seconds=self._media,
        )


@dataclass(frozen=True)
class StageRates:
    """Sums of what the clips took that were extracted on one machine with one setting of the runtime options.

    Attributes:
        extractor: Short name.
        modality: What the features describe.
        processor: Name of the machine's processor.
        cores: Logical cores that the process could use.
        device: ``cpu``, or the name of the GPU.
        workers: Processes that decoded and found faces.
        batch_size: Batch size of the model.
        compiled: Whether the model was to be compiled.
        decoder: What decoded sampled frames.
        version: Of eri.
        clips: Clips that were extracted.
        runs: Runs that they are from.
        seconds: Wall time, from the first clip's beginning to the last one's end, of all runs.
        startup: How much of that it took to start, beyond what the clips took at the pace that came after.
        decode: Seconds of decoding, over all workers.
        faces: Seconds of finding faces, over all workers.
        model: Seconds of embedding.
        write: Seconds of writing.
        busy: Seconds of processor time, over all cores.
        media_seconds: Seconds of media.
        media_bytes: Bytes of media files.
        feature_bytes: Bytes of feature files.
    """

    extractor: str
    modality: Literal["visual", "audio"]
    processor: str
    cores: int
    device: str
    workers: int
    batch_size: int
    compiled: bool
    decoder: str
    version: str
    clips: int
    runs: int
    seconds: float
    startup: float
    decode: float
    faces: float
    model: float
    write: float
    busy: float
    media_seconds: float
    media_bytes: int
    feature_bytes: int

    @property
    def setting(self) -> tuple[object, ...]:
        """What two measurements must have in common to be added up."""
        return tuple(getattr(self, field.name) for field in fields(self)[: _names().index("clips")])

    @property
    def on_gpu(self) -> bool:
        """Whether the model ran on a GPU."""
        return self.device != "cpu"

    def __add__(self, other: StageRates) -> StageRates:
        sums = {name: getattr(self, name) + getattr(other, name) for name in _names()[_names().index("clips") :]}
        return replace(self, **sums)


def _names() -> list[str]:
    return [field.name for field in fields(StageRates)]


def measured_rates(
    extractor: str,
    modality: Literal["visual", "audio"],
    runtime: Runtime,
    shares: StageShares,
    *,
    clips: int,
    startup: float,
    media_bytes: int,
    feature_bytes: int,
) -> StageRates:
    """Return what a run took, on this machine.

    Args:
        extractor: Short name.
        modality: What the features describe.
        runtime: The run's device, workers and decoder.
        shares: How busy its stages were.
        clips: Clips that it extracted.
        startup: Seconds that the start took.
        media_bytes: Of their media files.
        feature_bytes: Of their feature files.
    """
    preparing = shares.seconds * max(1, shares.workers)
    return StageRates(
        extractor=extractor,
        modality=modality,
        processor=_processor(),
        cores=len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1,
        device=_device(runtime.device),
        workers=shares.workers,
        batch_size=runtime.batch_size,
        compiled=runtime.compiled,
        decoder=runtime.decoder,
        version=__version__,
        clips=clips,
        runs=1,
        seconds=shares.seconds,
        startup=startup,
        decode=shares.decode * preparing,
        faces=shares.faces * preparing,
        model=shares.model * shares.seconds,
        write=shares.write * shares.seconds,
        busy=shares.busy,
        media_seconds=shares.media_seconds,
        media_bytes=media_bytes,
        feature_bytes=feature_bytes,
    )


def remember_rates(folder: FeatureFolder, rates: StageRates) -> None:
    """Add what a run took to what the folder knows; a folder that cannot be written is left as it is.

    Measurements of one machine with one setting are added up; of others, the latest twenty are kept.
    """
    path = folder.path / NAME
    with suppress(StoreError), folder.lock("rates"), explained(path):
        known: dict[tuple[object, ...], StageRates] = {}
        with suppress(DataError):  # there is none yet, or it is damaged
            known = {one.setting: one for one in read_rates(path)}
        earlier = known.pop(rates.setting, None)
        known[rates.setting] = rates if earlier is None else earlier + rates
        write_json(path, encode_rates(list(known.values())[-_KEPT:]))


def encode_rates(rates: Iterable[StageRates]) -> dict[str, Any]:
    """Return rates as JSON values."""
    return {"format": _FORMAT, "measured": [asdict(one) for one in rates]}


def read_rates(path: Path) -> list[StageRates]:
    """Return the rates in a file, the latest last; those that this version does not understand are passed over.

    Raises:
        DataError: The file is missing or not one of rates.
    """
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
        listed = values["measured"] if values["format"] == _FORMAT else None
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DataError(f"{path}: no rates can be read: {error}") from error
    if not isinstance(listed, list):
        raise DataError(f"{path}: not a file of rates")
    return [rates for rates in map(_decode, listed) if rates is not None]


def _decode(values: Any) -> StageRates | None:
    if not isinstance(values, dict) or set(values) != set(_names()):
        return None
    numbers = [values[name] for name in _names()[_names().index("clips") :]]
    valid = (
        all(isinstance(number, int | float) and number >= 0 for number in numbers)
        and values["clips"] > 0
        and values["runs"] > 0
    )
    return StageRates(**values) if valid else None


def _device(asked: str) -> str:
    torch = sys.modules.get("torch")  # where no one has loaded it, no model was on a GPU
    if asked == "cpu" or torch is None or not torch.cuda.is_available():
        return "cpu"
    return str(torch.cuda.get_device_name(None if asked in ("auto", "cuda") else asked))


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor()
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()
