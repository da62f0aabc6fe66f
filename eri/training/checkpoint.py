"""Saving and loading weights and the state that a run resumes from. Nothing here executes what a file says."""

from __future__ import annotations

import pickle
import random
import zipfile
from collections.abc import Mapping
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save
from torch import nn

from eri.utils.errors import RunError
from eri.utils.files import atomic_path

_AGAIN = "Train again with --overwrite."


def save_weights(path: Path, model: nn.Module, metadata: Mapping[str, str]) -> None:
    """Write weights and buffers as safetensors in one atomic step."""
    tensors = {name: tensor.detach().cpu().contiguous() for name, tensor in model.state_dict().items()}
    data = save(tensors, metadata=dict(metadata))  # in memory first: a full disk then raises a plain OSError
    with atomic_path(path) as temporary:
        temporary.write_bytes(data)


def weights_metadata(path: Path) -> dict[str, str]:
    """Return the metadata that :func:`save_weights` wrote; RunError where the file is absent or damaged."""
    try:
        with safe_open(path, framework="pt") as file:
            return dict(file.metadata() or {})
    except (SafetensorError, OSError) as error:
        raise RunError(f"{path}: not the weights of a run: {error}", hint=_AGAIN) from error


def load_weights(path: Path, model: nn.Module) -> None:
    """Read weights and buffers into a model; RunError where the file is absent, damaged, or of another model."""
    try:
        model.load_state_dict(load_file(path))
    except FileNotFoundError:
        raise RunError(
            f"{path}: the run has no weights, no epoch of it ended", hint="Train it: eri train with --resume."
        ) from None
    except (SafetensorError, OSError, RuntimeError) as error:
        raise RunError(f"{path}: not the weights of this run's model: {error}", hint=_AGAIN) from error


def save_state(path: Path, state: Mapping[str, Any]) -> None:
    """Write what a run resumes from in one atomic step: tensors, numbers, strings and containers of them only."""
    data = BytesIO()
    torch.save(dict(state), data)
    with atomic_path(path) as temporary:
        temporary.write_bytes(data.getbuffer())


def load_state(path: Path) -> dict[str, Any]:
    """Read what :func:`save_state` wrote; RunError where the file is damaged, or holds anything but plain values."""
    try:
        state: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
    except (OSError, RuntimeError, EOFError, pickle.UnpicklingError, zipfile.BadZipFile) as error:
        raise RunError(
            f"{path}: cannot be resumed from: {error}", hint="Start over with --overwrite, or choose another --name."
        ) from error
    return state


def seed_generators(seed: int) -> None:
    """Seed Python's and torch's generators. NumPy's are made where they are used, from the seed and a purpose."""
    random.seed(seed)
    torch.manual_seed(seed)


def derive_seed(*entropy: int) -> int:
    """Return a seed of torch's generators that follows from numbers of at least 0, such as seed, epoch and step."""
    return int(np.random.SeedSequence(entropy).generate_state(1, np.uint64)[0] >> 1)  # torch takes 63 bits


def generator_states() -> dict[str, Any]:
    """Return the states of Python's and torch's generators, of every device."""
    cuda = torch.cuda.get_rng_state_all() if torch.cuda.is_available() else []
    return {"python": random.getstate(), "torch": torch.get_rng_state(), "cuda": cuda}


def restore_generators(states: Mapping[str, Any]) -> None:
    """Put generators back into the states that :func:`generator_states` returned."""
    version, internal, gauss = states["python"]
    random.setstate((version, tuple(internal), gauss))
    torch.set_rng_state(states["torch"])
    if torch.cuda.is_available() and len(states["cuda"]) == torch.cuda.device_count():
        torch.cuda.set_rng_state_all(states["cuda"])
