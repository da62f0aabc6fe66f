"""How busy the stages of an extraction were, and the rates that longer ones are planned from."""

from __future__ import annotations

import json
import os
import platform
import sys
import threading
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Any, Literal, get_args

from eri.config import Runtime, Stream
from eri.features.folder import FeatureFolder
from eri.features.index import Entry
from eri.features.problems import explained
from eri.utils.errors import DataError, StoreError
from eri.utils.files import write_json
from eri.utils.version import __version__

NAME = "rates.json"
_FORMAT = "eri-rates-1"
_KEPT = 20  # the latest machines and settings that are kept for a feature folder

Stage = Literal["decode", "faces", "model", "write"]


@dataclass(frozen=True)
class StageShares:
    """The share of an extraction's time in which each stage was at work, in [0, 1].

    Decoding and faces are done by the same workers: their shares are means over these, and it is their sum that says
    whether workers are short.

    Examples:
        >>> shares = StageShares(decode=0.31, faces=0.08, model=0.92, write=0.01)
        >>> print(shares)
        decode 31 %, faces 8 %, model 92 %, write 1 %
        >>> shares.bound, StageShares(decode=0.5, faces=0.4, model=0.7, write=0.0).bound
        ('model', 'decode')
    """

    decode: float  # opening media, decoding, and reading the source for its identity
    faces: float  # finding and cropping faces
    model: float
    write: float
    seconds: float = 0.0  # the time that they are shares of
    workers: int = 0  # how many shared decoding and faces
    busy: float = 0.0  # seconds of processor time, over all cores
    media_seconds: float = 0.0  # seconds of media that were gone through

    @property
    def bound(self) -> Stage:
        """The stage that the others wait for: the busiest; of the workers' two the longer one."""
        longer: Stage = "decode" if self.decode >= self.faces else "faces"
        busy: dict[Stage, float] = {longer: self.decode + self.faces, "model": self.model, "write": self.write}
        return max(busy, key=lambda stage: busy[stage])

    def __str__(self) -> str:
        shares = {stage: getattr(self, stage) for stage in get_args(Stage)}
        return ", ".join(f"{name} {100 * share:.0f} %" for name, share in shares.items() if name != "faces" or share)


class StageClock:
    """Adds up the seconds of each stage, of processor time (``busy``) and of media, from any thread."""

    def __init__(self) -> None:
        self._spent = dict.fromkeys((*get_args(Stage), "busy", "media"), 0.0)
        self._lock = threading.Lock()

    def add(self, what: Stage | Literal["busy", "media"], seconds: float) -> None:
        """Add what something took."""
        with self._lock:
            self._spent[what] += seconds

    def seconds(self) -> dict[Stage, float]:
        """Return what each stage took so far."""
        with self._lock:
            return {stage: self._spent[stage] for stage in get_args(Stage)}

    @contextmanager
    def timing(self, stage: Stage) -> Iterator[None]:
        """Add the time that a block takes."""
        begun = time.perf_counter()
        try:
            yield
        finally:
            self.add(stage, time.perf_counter() - begun)

    def shares(self, seconds: float, workers: int) -> StageShares | None:
        """Return how busy each stage was in so many seconds with so many workers; None where nothing was done."""
        spent = self.seconds()
        if seconds <= 0 or not any(spent.values()):
            return None
        preparing = seconds * max(1, workers)
        workers_two = spent["decode"] / preparing, spent["faces"] / preparing
        others = spent["model"] / seconds, spent["write"] / seconds
        return StageShares(*workers_two, *others, seconds, workers, self._spent["busy"], self._spent["media"])


@dataclass(frozen=True)
class StageRates:
    """Sums of what the clips took that were extracted on one machine with one setting of the runtime options."""

    extractor: str
    modality: Stream
    processor: str
    cores: int  # logical cores that the process could use
    device: str  # ``cpu``, or the name of the GPU
    workers: int  # processes that decoded and found faces
    batch_size: int
    compiled: bool  # whether the model was to be compiled
    decoder: str  # what decoded sampled frames
    version: str  # of eri
    clips: int
    runs: int
    seconds: float  # wall time, from the first clip's beginning to the last one's end, of all runs
    startup: float  # how much of that it took to start, beyond what the clips took at the pace that came after
    decode: float  # seconds over all workers, as of faces
    faces: float
    model: float
    write: float
    busy: float  # seconds of processor time, over all cores
    media_seconds: float
    media_bytes: int
    feature_bytes: int

    @property
    def setting(self) -> tuple[object, ...]:
        """What two measurements must have in common to be added up."""
        return tuple(getattr(self, name) for name in _SETTING)

    @property
    def on_gpu(self) -> bool:
        """Whether the model ran on a GPU."""
        return self.device != "cpu"

    def __add__(self, other: StageRates) -> StageRates:
        return replace(self, **{name: getattr(self, name) + getattr(other, name) for name in _SUMS})


_FIELDS = [field.name for field in fields(StageRates)]
_SETTING, _SUMS = _FIELDS[: _FIELDS.index("clips")], _FIELDS[_FIELDS.index("clips") :]


def measured_rates(
    extractor: str, modality: Stream, runtime: Runtime, shares: StageShares, made: Sequence[Entry], startup: float
) -> StageRates:
    """Return what a run took on this machine that made these features and needed so many seconds to start."""
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
        clips=len(made),
        runs=1,
        seconds=shares.seconds,
        startup=startup,
        decode=shares.decode * preparing,
        faces=shares.faces * preparing,
        model=shares.model * shares.seconds,
        write=shares.write * shares.seconds,
        busy=shares.busy,
        media_seconds=shares.media_seconds,
        media_bytes=sum(entry.source.size for entry in made),
        feature_bytes=sum(entry.file.size for entry in made),
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

    A file that is missing or not one of rates is a :class:`DataError`.
    """
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
        listed = values["measured"] if values["format"] == _FORMAT else None
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DataError(f"{path}: no rates can be read: {error}") from error
    if not isinstance(listed, list):
        raise DataError(f"{path}: not a file of rates")
    return [StageRates(**values) for values in listed if _is_valid(values)]


def _is_valid(values: Any) -> bool:
    if not isinstance(values, dict) or set(values) != set(_FIELDS):
        return False
    numbers = [values[name] for name in _SUMS]
    valid = all(isinstance(number, int | float) and number >= 0 for number in numbers)
    return valid and values["clips"] > 0 and values["runs"] > 0


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
