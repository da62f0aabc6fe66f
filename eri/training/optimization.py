"""The optimiser that a config asks for, and the learning rate it takes at every step."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Any

from torch.optim import Adam, AdamW, Optimizer
from torch.optim.lr_scheduler import ReduceLROnPlateau

from eri.config import TrainingConfig
from eri.training.lookahead import Lookahead

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
