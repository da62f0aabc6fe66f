"""The sum of losses over the steps of an epoch, kept where they are computed until somebody looks."""

from __future__ import annotations

import torch
from torch import Tensor

LOOK_EVERY = 16
"""Steps from one look to the next. A look waits for all that the device has yet to do, so not every step has one; what
it finds, such as a loss that is no number any more, is found so many steps late at most."""


class LossTally:
    """A sum in float64 on a device; the same whenever it is looked at.

    Args:
        device: Where losses are computed.
        total: What the sum begins with.

    Examples:
        >>> tally = LossTally(torch.device("cpu"), 1.0)
        >>> tally.add(torch.tensor(0.5), 4)
        >>> tally.look()
        3.0
    """

    def __init__(self, device: torch.device, total: float = 0.0) -> None:
        self._sum = torch.tensor(total, dtype=torch.float64, device=device)

    def add(self, loss: Tensor, clips: int) -> None:
        """Add the mean loss of so many clips, a tensor of one number on the device."""
        self._sum += loss.double() * clips

    def look(self) -> float:
        """Return the sum."""
        return float(self._sum)


def has_look(step: int, steps: int) -> bool:
    """Return whether there is a look after a step, counted from 1: the first, the last, and some between.

    Examples:
        >>> [step for step in range(1, 41) if has_look(step, 40)]
        [1, 17, 33, 40]
    """
    return step % LOOK_EVERY == 1 or step == steps
