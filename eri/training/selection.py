"""Which epoch is the best."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from eri.metrics.scoring import Validation


@dataclass
class Best:
    """The best epoch so far.

    Attributes:
        epoch: Counted from 1; 0 before the first.
        score: Of that epoch.
        figure: What it is ranked by in reports; None where undefined.
        ties: What decides between epochs of one score.
    """

    epoch: int = 0
    score: float = -np.inf
    figure: float | None = None
    ties: tuple[float, ...] = ()

    def update(self, epoch: int, result: Validation) -> bool:
        """Take over an epoch if it is strictly better; return whether it was."""
        if (result.score, *result.ties) <= (self.score, *self.ties):
            return False
        self.epoch, self.score, self.figure, self.ties = epoch, result.score, result.figure, result.ties
        return True
