"""The optimiser that a config asks for, and the learning rate it takes at every step."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from copy import deepcopy
from typing import Any, overload

import torch
from torch import Tensor
from torch.optim import Adam, AdamW, Optimizer
from torch.optim.lr_scheduler import ReduceLROnPlateau

from eri.config import TrainingConfig
from eri.models import Predictor


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


class WeightAverage:
    """Follow a model's weights: ``average = decay * average + (1 - decay) * weights`` after every step.

    Early on the decay is ``(1 + steps) / (10 + steps)`` where that is smaller, so that the first, random weights are
    soon forgotten (as TensorFlow's ExponentialMovingAverage has it). Buffers, such as the statistics of batch
    normalisation, are averages already and are taken over as they are.

    Args:
        model: On the device where it is trained; it is copied.
        decay: In (0, 1).

    Attributes:
        model: The model with the averaged weights.
    """

    def __init__(self, model: Predictor, decay: float) -> None:
        self.model = deepcopy(model).requires_grad_(requires_grad=False)
        self._decay = decay
        self._steps = 0

    def update(self, model: Predictor) -> None:
        """Take in the weights after a step."""
        decay = min(self._decay, (1 + self._steps) / (10 + self._steps))
        self._steps += 1
        with torch.no_grad():
            for average, weights in zip(self.model.parameters(), model.parameters(), strict=True):
                average.lerp_(weights, 1 - decay)
            for kept, buffer in zip(self.model.buffers(), model.buffers(), strict=True):
                kept.copy_(buffer)

    def state(self) -> dict[str, Any]:
        """Return what :meth:`restore` needs: tensors and numbers."""
        return {"model": self.model.state_dict(), "steps": self._steps}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Go back to a state."""
        self.model.load_state_dict(state["model"])
        self._steps = int(state["steps"])


_PLATEAU_FACTOR, _PLATEAU_PATIENCE, _PLATEAU_FLOOR = 0.5, 5, 1e-5
"""The organisers' baseline halves the rate after five epochs without a better score, down to 1e-5."""


def create_optimizer(config: TrainingConfig, groups: Iterable[Mapping[str, Any]]) -> Optimizer:
    """Return the optimiser of a config.

    Args:
        config: Its kind, rate and weight decay, and whether Lookahead goes around it.
        groups: Parameters, where a group may have a learning rate of its own.
    """
    kind = Adam if config.optimizer == "adam" else AdamW
    inner = kind([dict(group) for group in groups], lr=config.learning_rate, weight_decay=config.weight_decay)
    return Lookahead(inner) if config.lookahead else inner


def rate_factor(config: TrainingConfig, done: float) -> float:
    """Return the share of the full learning rate that a step is taken with.

    It rises linearly over the warm-up, and with a cosine falls from there to 0 at the end of the last epoch (Loshchilov
    & Hutter 2017, eq. 5, without restarts).

    Args:
        config: Schedule, warm-up and epochs.
        done: Epochs that will be done after the step, in (0, epochs].

    Examples:
        >>> config = TrainingConfig(epochs=10, schedule="cosine", warmup=2)
        >>> [round(rate_factor(config, done), 3) for done in (0.5, 1, 2, 6, 10)]
        [0.25, 0.5, 1.0, 0.5, 0.0]
    """
    if done < config.warmup:
        return done / config.warmup
    if config.schedule == "constant":
        return 1.0
    return 0.5 * (1 + math.cos(math.pi * (done - config.warmup) / (config.epochs - config.warmup)))


class RateControl:
    """Sets an optimiser's learning rates: by the step where there is a schedule, by the score on a plateau.

    Args:
        config: What is asked for.
        optimizer: Freshly made: its rates are the full ones.
    """

    def __init__(self, config: TrainingConfig, optimizer: Optimizer) -> None:
        self._config = config
        self._optimizer = optimizer
        self._full = [float(group["lr"]) for group in optimizer.param_groups]
        self._scheduled = config.schedule != "constant" or config.warmup > 0
        self._plateau = _create_plateau(optimizer) if config.reduce_on_plateau else None

    @property
    def rate(self) -> float:
        """The first group's rate."""
        return float(self._optimizer.param_groups[0]["lr"])

    def before_step(self, done: float) -> None:
        """Set the rates for the step after which so many epochs will be done."""
        if self._scheduled:
            factor = rate_factor(self._config, done)
            for group, full in zip(self._optimizer.param_groups, self._full, strict=True):
                group["lr"] = full * factor

    def after_epoch(self, score: float) -> None:
        """Take note of an epoch's score; larger is better."""
        if self._plateau is not None:
            self._plateau.step(score)

    def state(self) -> dict[str, Any] | None:
        """Return what :meth:`restore` needs; a schedule by the step needs nothing."""
        return None if self._plateau is None else self._plateau.state_dict()

    def restore(self, state: dict[str, Any] | None) -> None:
        """Go back to a state."""
        if self._plateau is not None and state is not None:
            self._plateau.load_state_dict(state)


def _create_plateau(optimizer: Optimizer) -> ReduceLROnPlateau:
    return ReduceLROnPlateau(
        optimizer,
        mode="max",
        factor=_PLATEAU_FACTOR,
        patience=_PLATEAU_PATIENCE,
        threshold=0.0,
        threshold_mode="abs",
        min_lr=_PLATEAU_FLOOR,
    )
