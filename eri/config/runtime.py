"""Knobs that change speed but not numbers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias

Decoder: TypeAlias = Literal["pyav", "torchcodec"]


@dataclass(frozen=True)
class Runtime:
    """Knobs that change speed but not numbers (beyond the stated tolerance): never part of an identity.

    Attributes:
        device: ``auto``, ``cpu``, ``cuda`` or ``cuda:<n>``.
        batch_size: Model inputs a forward pass.
        workers: Processes that decode and find faces; 0 does it in the calling process.
        timeout: Seconds one clip may take before its worker is ended and the clip fails alone.
        compiled: Whether an image backbone is compiled once it has worked for ten minutes.
        decoder: What decodes sampled frames: ``pyav`` on processors, ``torchcodec`` on the device (NVDEC on a GPU).
    """

    device: str = "auto"
    batch_size: int = 32
    workers: int = 1
    timeout: float = 300.0
    compiled: bool = False
    decoder: Decoder = "pyav"
