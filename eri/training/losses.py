"""What training minimises: squared error, concordance, correlation, cross-entropy, and weighted sums of them."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

import torch
from torch import Tensor
from torch.nn import functional

from eri.config import LOSSES, LossConfig
from eri.utils.errors import PluginError
from eri.utils.registry import Registry

_TINY = 1e-6
"""Columns whose centred norm is below this are constant but for float32 rounding, and correlate with nothing."""


def ccc_loss(predictions: Tensor, labels: Tensor) -> Tensor:
    """Return 1 - the mean over labels of Lin's concordance correlation (Lin 1989, eq. 2), in [0, 2].

    Args:
        predictions: (clips, labels).
        labels: The same shape. A label in which both are the same constant counts as a concordance of 0.

    Examples:
        >>> truth = torch.tensor([[0.0], [1.0]])
        >>> ccc_loss(truth, truth).item(), ccc_loss(1 - truth, truth).item()
        (0.0, 2.0)
    """
    x, y = predictions - predictions.mean(dim=0), labels - labels.mean(dim=0)
    shift = predictions.mean(dim=0) - labels.mean(dim=0)
    spread = x.square().mean(dim=0) + y.square().mean(dim=0) + shift.square()
    return 1 - (2 * (x * y).mean(dim=0) / spread.clamp(min=_TINY**2)).mean()


def pearson_loss(predictions: Tensor, labels: Tensor) -> Tensor:
    """Return 1 - the mean over labels of Pearson's correlation, in [0, 2]: 1 - the official score of these clips.

    Args:
        predictions: (clips, labels).
        labels: The same shape. A label in which either is constant counts as a correlation of 0, without a gradient.
    """
    return 1 - (_unit(predictions) * _unit(labels)).sum(dim=0).mean()


def _unit(columns: Tensor) -> Tensor:
    """Centre each column and scale it to norm 1; a constant one becomes zero, and passes no gradient."""
    centred = columns - columns.mean(dim=0)
    norms: Tensor = torch.linalg.vector_norm(centred, dim=0)
    constant = norms <= _TINY
    return (centred / norms.masked_fill(constant, 1.0)).masked_fill(constant, 0.0)


def strongest_labels(labels: Tensor) -> Tensor:
    """Return the distribution over labels that cross-entropy aims at: all on a clip's strongest label.

    Labels that tie for it share it; a clip whose labels are all the same has none, and its row is zero.

    Examples:
        >>> strongest_labels(torch.tensor([[0.2, 1.0], [1.0, 1.0]])).tolist()
        [[0.0, 1.0], [0.0, 0.0]]
    """
    top = labels == labels.amax(dim=1, keepdim=True)
    shares = top / top.sum(dim=1, keepdim=True)
    return shares.masked_fill(top.all(dim=1, keepdim=True), 0.0).to(labels.dtype)


def count_clips(targets: Tensor, class_weights: Tensor | None = None) -> Tensor:
    """Return how much each clip counts in an average over clips, (clips,).

    Args:
        targets: (clips, labels), each row a distribution or zero.
        class_weights: How much a clip counts by its target, (labels,); None is 1 for all.
    """
    return targets.sum(dim=1) if class_weights is None else targets @ class_weights.to(targets)


def cross_entropy_loss(
    raw: Tensor, targets: Tensor, class_weights: Tensor | None = None, smoothing: float = 0.0
) -> Tensor:
    """Return the cross-entropy of the softmax of raw outputs, averaged over the clips that have a target; 0 if none.

    Args:
        raw: (clips, labels), unbounded.
        targets: The same shape, each row a distribution or zero.
        class_weights: How much a clip counts in the average by its target, (labels,); None is 1 for all.
        smoothing: Share of each target that is spread evenly over all labels (Szegedy et al. 2016, section 7).

    Examples:
        >>> raw, targets = torch.tensor([[2.0, 0.0], [0.0, 2.0]]), torch.tensor([[1.0, 0.0], [1.0, 0.0]])
        >>> round(cross_entropy_loss(raw, targets).item(), 4)
        1.1269
    """
    shares = count_clips(targets, class_weights)
    spread = targets.sum(dim=1, keepdim=True) / targets.shape[1]
    aims = targets if not smoothing else (1 - smoothing) * targets + smoothing * spread
    per_clip = -(aims * functional.log_softmax(raw, dim=1)).sum(dim=1) / targets.sum(dim=1).clamp(min=_TINY)
    total = shares.sum()
    return (shares * per_clip).sum() / total.clamp(min=_TINY)


Loss = Callable[[Tensor, Tensor], Tensor]
Registered = TypeVar("Registered", bound=Loss)

_FUNCTIONS: Registry[Loss] = Registry("loss")


def register_loss(name: str, *, compares: bool = False) -> Callable[[Registered], Registered]:
    """Register a loss: a decorator of a function from predictions and labels, (clips, labels) each, to a number.

    Its weight is the setting ``training.loss.<name>``.

    Args:
        name: Its name.
        compares: Whether it compares clips with each other, as a correlation does: it is given all clips of a step
            at once then. Otherwise it is a mean over clips, and may be given them in parts.

    Raises:
        PluginError: The name is taken.
    """

    def register(loss: Registered) -> Registered:
        if name in LossConfig.model_fields:
            raise PluginError(f"{loss.__module__}: the loss '{name}' is a setting of training.loss already")
        LOSSES.register(name, compares, loss.__module__)
        _FUNCTIONS.register(name, loss, loss.__module__)
        return loss

    return register


_FUNCTIONS.register("mse", functional.mse_loss, __name__)
_FUNCTIONS.register("ccc", ccc_loss, __name__)
_FUNCTIONS.register("pearson", pearson_loss, __name__)


class Objective:
    """The weighted sum of losses that a config asks for.

    Args:
        config: The weights, resolved for the kind of task.
        class_weights: How much a clip counts in the cross-entropy by its class, (labels,); None is 1 for all.

    Examples:
        >>> truth = torch.tensor([[0.0, 1.0], [1.0, 0.0]])
        >>> objective = Objective(LossConfig(mse=0.5, ccc=0.5))
        >>> objective(1 - truth, truth, truth, strongest_labels(truth)).item()
        1.5
    """

    def __init__(self, config: LossConfig, class_weights: Tensor | None = None) -> None:
        self.config = config
        self.class_weights = class_weights

    def __call__(
        self,
        intensities: Tensor,
        raw: Tensor,
        labels: Tensor,
        targets: Tensor,
        *,
        clip_share: float = 1.0,
        target_share: float = 1.0,
    ) -> Tensor:
        """Return the loss of the clips of one step, or what some of them add to it.

        Args:
            intensities: Predictions, (clips, labels).
            raw: The outputs behind them, unbounded, the same shape.
            labels: The truth, the same shape.
            targets: :func:`strongest_labels` of the truth.
            clip_share: Of these clips among those of the step.
            target_share: The same, where each clip counts as in :meth:`counts`.
        """
        parts = []
        for name, weight in self.config.weights.items():
            if name == "cross_entropy":
                parts.append(weight * target_share * self._cross_entropy(raw, targets))
            else:
                share = 1.0 if LOSSES[name] else clip_share
                parts.append(weight * share * _FUNCTIONS[name](intensities, labels))
        total = parts[0]
        for part in parts[1:]:
            total = total + part
        return total

    def counts(self, targets: Tensor) -> Tensor:
        """Return how much each clip counts in the average of the cross-entropy, (clips,)."""
        return count_clips(targets, self.class_weights)

    def _cross_entropy(self, raw: Tensor, targets: Tensor) -> Tensor:
        return cross_entropy_loss(raw, targets, self.class_weights, self.config.label_smoothing)
