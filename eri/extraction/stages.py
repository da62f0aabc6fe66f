"""How busy the stages of an extraction were, and which of them bounds it."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Literal

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
