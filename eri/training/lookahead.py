"""Lookahead (Zhang, Lucas, Hinton & Ba 2019): k steps forward by another optimiser, one step back."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, overload

import torch
from torch import Tensor
from torch.optim import Optimizer


class Lookahead(Optimizer):
    """Wraps an optimiser: after every ``steps`` of its steps the weights go back part of the way that they came.

    Slow weights ``φ`` begin where the weights ``θ`` do. After every ``k`` steps ``φ ← φ + α (θ - φ)`` and
    ``θ ← φ`` (algorithm 1). The inner optimiser keeps its own state, as in the authors' code. Its parameter groups are
    this one's, so schedulers act on both.

    Args:
        inner: The optimiser that takes the steps.
        steps: ``k``.
        share: ``α``, the share of the way that is kept.

    Raises:
        ValueError: ``steps`` is below 1, or ``share`` outside (0, 1].
    """

    def __init__(self, inner: Optimizer, steps: int = 5, share: float = 0.5) -> None:
        if steps < 1 or not 0 < share <= 1:
            raise ValueError(f"steps is at least 1 and share on (0, 1], not {steps} and {share}")
        super().__init__(inner.param_groups, dict(inner.defaults))
        self.inner, self.steps, self.share = inner, steps, share
        self.taken = 0
        self._slow: list[Tensor] = []
        self._join()

    @overload
    def step(self, closure: None = None) -> None: ...

    @overload
    def step(self, closure: Callable[[], float]) -> float: ...

    def step(self, closure: Callable[[], float] | None = None) -> float | None:
        """Take one step, and every ``steps`` of them go back.

        Args:
            closure: Evaluates the model again; for inner optimisers that need it.
        """
        if not self._slow:
            # Now rather than in the constructor: the model may have been moved to its device in between.
            self._slow = [parameter.detach().clone() for parameter in self._parameters()]
        loss = self.inner.step() if closure is None else self.inner.step(closure)
        self.taken += 1
        if self.taken % self.steps == 0:
            self._go_back()
        return loss

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Forget the gradients."""
        self.inner.zero_grad(set_to_none)

    def add_param_group(self, param_group: dict[str, Any]) -> None:
        """Refuse further parameters once steps were taken: their slow weights would be missing."""
        if getattr(self, "_slow", None):
            raise ValueError("Lookahead takes no further parameters after its first step")
        super().add_param_group(param_group)

    def state_dict(self) -> dict[str, Any]:
        """Return the inner optimiser's state, the slow weights and the number of steps taken."""
        return {"inner": self.inner.state_dict(), "slow": list(self._slow), "taken": self.taken}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go back to a state.

        Args:
            state_dict: Of :meth:`state_dict`.

        Raises:
            KeyError: It is of another optimiser.
            ValueError: It is of other parameters.
        """
        inner, slow, taken = state_dict["inner"], state_dict["slow"], int(state_dict["taken"])
        parameters = self._parameters()
        shapes = [parameter.shape for parameter in parameters]
        if slow and [weights.shape for weights in slow] != shapes:
            raise ValueError("the slow weights are of other parameters")
        self.inner.load_state_dict(inner)
        self._join()
        self._slow = [weights.to(own.device, own.dtype) for weights, own in zip(slow, parameters, strict=False)]
        self._slow = [weights.clone() for weights in self._slow]
        self.taken = taken

    def _join(self) -> None:
        self.param_groups = self.inner.param_groups
        self.state = self.inner.state

    def _parameters(self) -> list[Tensor]:
        return [parameter for group in self.inner.param_groups for parameter in group["params"]]

    @torch.no_grad()
    def _go_back(self) -> None:
        for slow, fast in zip(self._slow, self._parameters(), strict=True):
            slow.add_(fast - slow, alpha=self.share)
            fast.copy_(slow)
