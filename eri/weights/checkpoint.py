"""Reading checkpoints without running them: tensors only, by ``torch.load(weights_only=True)`` or safetensors.

Pickles of arrays, as VGGFace2's models are published, are read by their opcodes and not executed either.
"""

from __future__ import annotations

import io
import pickle
import struct
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from eri.utils.errors import DataError, WeightsError
from eri.utils.unpickling import read_pickle

if TYPE_CHECKING:
    from torch import Tensor, nn

_WRAPPERS = ("state_dict", "model", "model_state_dict", "net")
_PREFIXES = ("_orig_mod.", "module.")
_SHOWN = 5
# The number that torch.save puts first in files that are no zip archive.
_TORCH_MARK = (0x1950A86A20F9469CFC6C).to_bytes(10, "little")


def load_state_dict(path: Path) -> dict[str, Tensor]:
    """Read a checkpoint's tensors onto the CPU.

    Understood are ``.safetensors``, files of ``torch.save`` of any age, a zip archive around one of those, and a
    pickled dictionary of NumPy arrays that is called ``.pkl`` or ``.pickle``. Dictionaries wrapped as
    ``{"state_dict": ...}`` or ``{"model": ...}`` are unwrapped; the prefixes ``module.`` (data-parallel training) and
    ``_orig_mod.`` (compiled modules) are taken off when every key has them. WeightsError where the file is absent or
    damaged, holds no tensor, or a whole pickled module, which would run code on loading.
    """
    if not path.is_file():
        raise WeightsError(f"{path}: no such file of weights")
    if path.suffix == ".safetensors":
        content: Any = _read_safetensors(path)
    else:
        content = _read_arrays(path) if _holds_a_pickle(path) else _read_torch(path)
    tensors = _unwrap(content, path)
    while prefix := next((item for item in _PREFIXES if all(key.startswith(item) for key in tensors)), None):
        tensors = {key.removeprefix(prefix): value for key, value in tensors.items()}
    return tensors


def load_into(model: nn.Module, tensors: Mapping[str, Tensor], *, origin: str, ignore: tuple[str, ...] = ()) -> None:
    """Copy tensors into a model, all of them or none; WeightsError lists keys and shapes that do not fit.

    ``origin`` is named in errors, usually the file. ``ignore`` are prefixes of keys that the model need not have, such
    as a classifier's; ``""`` is a prefix of every key.
    """
    wanted = model.state_dict()
    shapes = {key: str(tuple(value.shape)) for key, value in wanted.items()}
    found = {key: str(tuple(value.shape)) for key, value in tensors.items()}
    # Counters of batch norm are bookkeeping that old checkpoints lack.
    missing = [key for key in shapes if key not in found and not key.endswith("num_batches_tracked")]
    surplus = [key for key in found if key not in shapes and not key.startswith(ignore)]
    reshaped = [key for key in shapes if found.get(key, shapes[key]) != shapes[key]]
    lines = [
        *(f"{key}: the file has {found[key]}, the model {shapes[key]}" for key in reshaped),
        *(f"{key}: missing in the file, the model has {shapes[key]}" for key in missing),
        *(f"{key}: only in the file, {found[key]}" for key in surplus),
    ]
    if lines:
        shown = "\n".join(f"  {line}" for line in lines[:_SHOWN])
        more = f"\n  and {len(lines) - _SHOWN} more" if len(lines) > _SHOWN else ""
        raise WeightsError(
            f"{origin}: the weights are of another model, {len(lines)} tensors do not fit:\n{shown}{more}",
            hint="Give the weights of this very architecture, or change the architecture.",
        )
    model.load_state_dict({key: value for key, value in tensors.items() if key in wanted}, strict=False)


def _read_safetensors(path: Path) -> Mapping[str, Any]:
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        tensors: dict[str, Any] = load_file(path)
    except (SafetensorError, OSError) as error:
        raise WeightsError(f"{path}: cannot be read as safetensors: {error}") from error
    return tensors


def _holds_a_pickle(path: Path) -> bool:
    """Return whether a file is a bare pickle: those of torch.save are a zip, or begin with a number as their mark."""
    if path.suffix not in (".pkl", ".pickle") or zipfile.is_zipfile(path):
        return False
    with path.open("rb") as stream:
        return _TORCH_MARK not in stream.read(32)


def _read_arrays(path: Path) -> Any:
    """Read a pickle of arrays by its opcodes; what is no array of numbers is left out."""
    import numpy as np
    import torch

    try:
        content = read_pickle(path)
    except DataError as error:
        raise WeightsError(f"{path}: is not loaded: {error.message}", hint=error.hint) from error
    if not isinstance(content, dict):
        return content
    arrays = {key: value for key, value in content.items() if isinstance(value, np.ndarray)}
    return {key: torch.from_numpy(value.astype(value.dtype.newbyteorder("="))) for key, value in arrays.items()}


def _read_torch(path: Path) -> Any:
    """Read a file of torch.save, or the only member of a zip that merely wraps one."""
    import torch

    try:
        if zipfile.is_zipfile(path):
            with zipfile.ZipFile(path) as archive:
                members = [item for item in archive.infolist() if not item.is_dir()]
                if len(members) == 1:
                    return torch.load(io.BytesIO(archive.read(members[0])), map_location="cpu", weights_only=True)
        with path.open("rb") as stream:
            return torch.load(stream, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise WeightsError(
            f"{path}: holds more than tensors (perhaps a whole pickled module), or is damaged; it is not loaded, "
            f"because unpickling it could run any code: {str(error).splitlines()[0]}",
            hint="Save it as tensors only: torch.save(model.state_dict(), path), or as safetensors.",
        ) from error
    except (RuntimeError, OSError, EOFError, ValueError, KeyError, struct.error, zipfile.BadZipFile) as error:
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise WeightsError(f"{path}: cannot be read as a checkpoint of torch.save: {reason}") from error


def _unwrap(content: Any, path: Path) -> dict[str, Tensor]:
    import torch

    for _ in range(2):
        if isinstance(content, Mapping) and not any(isinstance(value, torch.Tensor) for value in content.values()):
            content = next((content[name] for name in _WRAPPERS if isinstance(content.get(name), Mapping)), content)
    if not isinstance(content, Mapping):
        raise WeightsError(f"{path}: expected a dictionary of tensors, found {type(content).__name__}")
    tensors = {str(key): value for key, value in content.items() if isinstance(value, torch.Tensor)}
    if not tensors:
        raise WeightsError(f"{path}: holds no tensor", hint=f"Its keys are: {', '.join(map(str, list(content)[:5]))}.")
    return tensors
