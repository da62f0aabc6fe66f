"""Choosing the device and the precision through Lightning Fabric."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Literal

import torch

from eri.config import Precision
from eri.utils.errors import ConfigError

if TYPE_CHECKING:
    from lightning_fabric import Fabric


def choose_device(name: str) -> torch.device:
    """Return the device that a name stands for; ``auto`` is CUDA where there is one.

    Raises:
        ConfigError: The name is unknown, or the device is not there.

    Examples:
        >>> choose_device("cpu")
        device(type='cpu')
        >>> choose_device("toaster")
        Traceback (most recent call last):
        eri.utils.errors.ConfigError: device 'toaster' is unknown...
    """
    if name == "auto":
        return torch.device("cuda", 0) if torch.cuda.is_available() else torch.device("cpu")
    kind, _, number = name.partition(":")
    if kind not in ("cpu", "cuda") or (number and not number.isdigit()):
        raise ConfigError(f"device '{name}' is unknown", hint="Use auto, cpu, cuda or cuda:<number>.")
    if kind == "cpu":
        return torch.device("cpu")
    index = int(number or 0)
    if index >= torch.cuda.device_count():
        raise ConfigError(
            f"device '{name}' is not there, {torch.cuda.device_count()} CUDA device(s) are",
            hint="Use --device auto, or see `eri doctor`.",
        )
    return torch.device("cuda", index)


def choose_precision(wanted: Literal["auto", "float32", "bf16"], device: torch.device) -> Precision:
    """Return the precision of training; ``auto`` is bf16 on a CUDA device that computes in it, else float32."""
    if wanted != "auto":
        return wanted
    return "bf16" if device.type == "cuda" and torch.cuda.is_bf16_supported() else "float32"


def create_fabric(device: torch.device, precision: Precision) -> Fabric:
    """Return the Fabric of one device; bf16 is mixed: weights stay float32."""
    from lightning_fabric import Fabric  # imports much of torch; only training needs it

    return Fabric(
        accelerator=device.type,
        devices=1 if device.type == "cpu" else [device.index],
        precision=_named(precision),
    )


def join_processes(device: torch.device, precision: Precision) -> Fabric:
    """Return the Fabric of the processes that ``torchrun`` started, once all of them are there.

    Args:
        device: What the first one would train on; each process of a machine takes the CUDA device of its number.
        precision: As :func:`create_fabric` takes it.
    """
    from lightning_fabric import Fabric
    from lightning_fabric.strategies.ddp import DDPStrategy

    local = int(os.environ["LOCAL_WORLD_SIZE"])
    fabric = Fabric(
        accelerator=device.type,
        devices=local,
        num_nodes=int(os.environ["WORLD_SIZE"]) // local,
        # A modality that is dropped, or a loss that is switched off, leaves parameters without a gradient.
        strategy=DDPStrategy(find_unused_parameters=True),
        precision=_named(precision),
    )
    fabric.launch()
    return fabric


def _named(precision: Precision) -> Literal["bf16-mixed", "32-true"]:
    return "bf16-mixed" if precision == "bf16" else "32-true"
