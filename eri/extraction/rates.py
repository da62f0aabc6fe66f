"""What an extraction took, stage by stage: left beside the features, so that longer ones can be planned from it."""

from __future__ import annotations

import json
import os
import platform
import sys
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Any, Literal

from eri.config import Runtime
from eri.extraction.stages import StageShares
from eri.features.folder import FeatureFolder
from eri.features.problems import explained
from eri.utils.errors import DataError, StoreError
from eri.utils.files import write_json
from eri.utils.version import __version__

NAME = "rates.json"
_FORMAT = "eri-rates-1"
_KEPT = 20
"""Machines and settings that are remembered for a feature folder; the latest are."""


@dataclass(frozen=True)
class StageRates:
    """What the clips took that were extracted on one machine with one setting of the knobs; sums over all of them.

    Attributes:
        extractor: Short name.
        modality: What the features describe.
        processor: Name of the machine's processor.
        cores: Logical cores that the process could use.
        device: ``cpu``, or the name of the GPU.
        workers: Processes that decoded and found faces.
        batch_size: Model inputs a forward pass.
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
        runtime: The run's knobs.
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
        with suppress(DataError):  # there is none yet, or it is spoilt
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
    sound = (
        all(isinstance(number, int | float) and number >= 0 for number in numbers)
        and values["clips"] > 0
        and values["runs"] > 0
    )
    return StageRates(**values) if sound else None


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
