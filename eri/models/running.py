"""How models run: the device, the precision, rows of many clips in batches, and the versions that shape numbers."""

from __future__ import annotations

import importlib.metadata
import logging
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from eri.config import Precision, Runtime
from eri.media.on_device import require_torchcodec
from eri.utils.errors import ConfigError, DeviceMemoryError

_LOG = logging.getLogger(__name__)


def resolve_device(name: str) -> torch.device:
    """Return the device of a name: ``auto`` (the first CUDA device, else the CPU), ``cpu``, ``cuda`` or ``cuda:<n>``.

    ConfigError for an unknown name, or a device that this machine lacks.
    """
    if name == "auto":
        return torch.device("cuda", 0) if torch.cuda.is_available() else torch.device("cpu")
    kind, colon, index = name.partition(":")
    if kind not in ("cpu", "cuda") or (colon and (kind == "cpu" or not index.isdigit())):
        raise ConfigError(f"device '{name}' is unknown", hint="Use auto, cpu, cuda or cuda:<n>.")
    if kind == "cpu":
        return torch.device("cpu")
    if not torch.cuda.is_available():
        raise ConfigError(
            f"device '{name}': no CUDA device can be used here", hint="Use --device cpu or auto, or see `eri doctor`."
        )
    if int(index or 0) >= torch.cuda.device_count():
        raise ConfigError(
            f"device '{name}': this machine has {torch.cuda.device_count()} CUDA device(s), counted from 0",
            hint="Use --device auto, or see `eri doctor`.",
        )
    return torch.device("cuda", int(index or 0))


def decoding_device(runtime: Runtime) -> str | None:
    """Return the device on which torchcodec is to decode; None where PyAV is to.

    MissingDependencyError where torchcodec or FFmpeg's libraries are not installed.
    """
    if runtime.decoder == "pyav":
        return None
    require_torchcodec()
    return str(resolve_device(runtime.device))


@contextmanager
def forward_mode(device: torch.device, precision: Precision) -> Iterator[None]:
    """Run models without gradients, in the asked-for precision on every device.

    On CUDA, ``float32`` means float32: TF32 is switched off, so that a device changes the numbers no more than a
    batch size does.
    """
    with ExitStack() as stack:
        stack.enter_context(torch.inference_mode())
        if device.type == "cuda":
            stack.enter_context(torch.backends.cudnn.flags(enabled=True, allow_tf32=False))
        stack.enter_context(torch.autocast(device.type, dtype=torch.bfloat16, enabled=precision == "bf16"))
        yield


def to_device(inputs: Tensor, device: torch.device) -> Tensor:
    """Bring inputs to a device; to a GPU through pinned memory, so that the copy runs beside what it computes."""
    if device.type != "cuda" or inputs.is_cuda:
        return inputs.to(device)
    return inputs.pin_memory().to(device, non_blocking=True)


class Batching:
    """How many rows a model takes at once: as many as asked for, half of them when the GPU's memory ends."""

    def __init__(self, size: int) -> None:
        self.size = size

    def run(self, model: Callable[[Tensor], Tensor], inputs: Tensor) -> Tensor:
        """Return what a model makes of rows, in pieces of ``size``, which is halved until a piece fits.

        DeviceMemoryError where not even one row fits.
        """
        done: list[Tensor] = []
        start = 0
        while start < len(inputs):
            piece = inputs[start : start + self.size]
            try:
                done.append(model(piece))
            except torch.OutOfMemoryError as error:
                if len(piece) == 1:
                    raise DeviceMemoryError(
                        "the GPU's memory does not hold the model and one input",
                        hint="Free it of other programs, take a smaller model, or use --device cpu.",
                    ) from error
                self.size = len(piece) // 2
                _LOG.warning("out of GPU memory with %d inputs at once: going on with %d", len(piece), self.size)
            else:
                start += len(piece)
                continue
            # Not while the error is handled: its traceback holds the tensors that are in the way.
            torch.cuda.empty_cache()
        return done[0] if len(done) == 1 else torch.cat(done)


def batches(counts: Sequence[int], size: int) -> Iterator[list[tuple[int, slice]]]:
    """Split the rows of many clips, so many of each, into batches of pieces (index of the clip, its rows), in order.

    Examples:
        >>> [[(clip, rows.start, rows.stop) for clip, rows in batch] for batch in batches([2, 0, 3], 4)]
        [[(0, 0, 2), (2, 0, 2)], [(2, 2, 3)]]
    """
    batch: list[tuple[int, slice]] = []
    room = size
    for clip, count in enumerate(counts):
        start = 0
        while start < count:
            stop = min(count, start + room)
            batch.append((clip, slice(start, stop)))
            room -= stop - start
            start = stop
            if room == 0:
                yield batch
                batch, room = [], size
    if batch:
        yield batch


def store_rows(
    results: list[NDArray[np.float32]], batch: Sequence[tuple[int, slice]], embedded: NDArray[np.float32]
) -> None:
    """Put the rows of one batch where :func:`batches` took them from, into one array per clip."""
    start = 0
    for clip, rows in batch:
        stop = start + rows.stop - rows.start
        results[clip][rows] = embedded[start:stop]
        start = stop


def library_versions(*distributions: str) -> dict[str, str]:
    """Return major.minor of installed distributions: what may change numbers and so belongs to an identity."""
    return {name: ".".join(importlib.metadata.version(name).split(".")[:2]) for name in distributions}
