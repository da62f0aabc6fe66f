"""The learning rate of every step, and two averages of the weights."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import ReduceLROnPlateau
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from eri.config import GradientTraining


class Lookahead:
    """After every ``steps`` steps of an optimiser the weights go back part of the way that they came.

    Slow weights ``φ`` begin where the weights ``θ`` do. After every ``k`` steps ``φ ← φ + α (θ - φ)`` and
    ``θ ← φ`` (Zhang et al. 2019, algorithm 1), where ``share`` is α on (0, 1]. The optimiser keeps its own state, as in
    the authors' code.

    Not ``timm.optim.Lookahead``: its slow weights begin where the weights are after the first ``k`` steps, which are
    then not gone back on.
    """

    def __init__(self, parameters: Iterable[Tensor], steps: int = 5, share: float = 0.5) -> None:
        if steps < 1 or not 0 < share <= 1:
            raise ValueError(f"steps is at least 1 and share on (0, 1], not {steps} and {share}")
        self.steps, self.share = steps, share
        self._fast = list(parameters)
        self._slow = [weights.detach().clone() for weights in self._fast]
        self._taken = 0

    @torch.no_grad()
    def after_step(self) -> None:
        """Count a step of the optimiser, and every ``steps`` of them go back."""
        self._taken += 1
        if self._taken % self.steps == 0:
            for slow, fast in zip(self._slow, self._fast, strict=True):
                slow.add_(fast - slow, alpha=self.share)
                fast.copy_(slow)

    def state(self) -> dict[str, Any]:
        """Return what :meth:`restore` needs: tensors and numbers."""
        return {"slow": self._slow, "taken": self._taken}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Go back to a state."""
        for slow, saved in zip(self._slow, state["slow"], strict=True):
            slow.copy_(saved)
        self._taken = int(state["taken"])


def average_weights(model: nn.Module, decay: float) -> AveragedModel:
    """Return a copy of a model that follows its weights: ``average = decay * average + (1 - decay) * weights``.

    Early on the decay is ``(1 + steps) / (10 + steps)`` where that is smaller, so that the first, random weights are
    soon forgotten (as TensorFlow's ExponentialMovingAverage has it). Buffers, such as the statistics of batch
    normalisation, are averages already and are copied.
    """

    def follow(averages: Any, weights: Any, _: Tensor | int) -> None:
        averaged = int(average.n_averaged)  # on the CPU; what is passed in is on the weights' device, which would wait
        update = get_ema_multi_avg_fn(min(decay, averaged / (9 + averaged)))  # type: ignore[no-untyped-call]
        update(averages, weights, averaged)

    average = AveragedModel(model, multi_avg_fn=follow).requires_grad_(requires_grad=False)
    average.n_averaged += 1  # the weights that training begins with are in the average
    return average


def rate_factor(config: GradientTraining, done: float) -> float:
    """Return the share of the full rate for the step after which ``done`` epochs, in (0, epochs], are done.

    It rises linearly over the warm-up, and with a cosine falls from there to 0 at the end of the last epoch (Loshchilov
    & Hutter 2017, eq. 5, without restarts).

    >>> config = GradientTraining(epochs=10, schedule="cosine", warmup=2)
    >>> [round(rate_factor(config, done), 3) for done in (0.5, 1, 2, 6, 10)]
    [0.25, 0.5, 1.0, 0.5, 0.0]
    """
    if done < config.warmup:
        return done / config.warmup
    if config.schedule == "constant":
        return 1.0
    return 0.5 * (1 + math.cos(math.pi * (done - config.warmup) / (config.epochs - config.warmup)))


class RateControl:
    """Sets a new optimiser's learning rates: by the step where there is a schedule, by the score on a plateau.

    The rate of a step follows from the epoch and the step alone, so nothing is saved of it. A chain of torch's
    schedulers would multiply rates up from step to step, and a run in pieces would differ in their last bits.
    ``plateau`` halves the rate after five epochs without a better score, down to 1e-5, as the organisers' baseline
    does; it is None where that is not asked for.
    """

    def __init__(self, config: GradientTraining, optimizer: Optimizer) -> None:
        self._config, self._optimizer = config, optimizer
        self._full = [float(group["lr"]) for group in optimizer.param_groups]
        self.plateau: ReduceLROnPlateau | None = None
        if config.reduce_on_plateau:
            self.plateau = ReduceLROnPlateau(
                optimizer, mode="max", factor=0.5, patience=5, threshold=0.0, threshold_mode="abs", min_lr=1e-5
            )

    def before_step(self, done: float) -> None:
        """Set the rates for the step after which so many epochs will be done."""
        if self.plateau is None:
            for group, full in zip(self._optimizer.param_groups, self._full, strict=True):
                group["lr"] = full * rate_factor(self._config, done)
