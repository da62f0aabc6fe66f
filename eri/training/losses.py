"""What training minimises: squared error, concordance, correlation, cross-entropy, and weighted sums of them."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from eri.config import LOSSES, ExperimentConfig, GradientTraining, LightGBMConfig, LossConfig, VideoTraining
from eri.config.tasks import Task
from eri.metrics.intensities import Floats
from eri.utils.errors import ConfigError, PluginError
from eri.utils.registry import Registry

_TINY = 1e-6
"""Columns whose centred norm is below this are constant but for float32 rounding, and correlate with nothing."""


def ccc_loss(predictions: Tensor, labels: Tensor) -> Tensor:
    """Return 1 - the mean over labels of Lin's concordance correlation (Lin 1989, eq. 2), in [0, 2].

    Both are (clips, labels). A label in which both are the same constant counts as a concordance of 0.

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

    Both are (clips, labels). A label in which either is constant counts as a correlation of 0, without a gradient.
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

    >>> strongest_labels(torch.tensor([[0.2, 1.0], [1.0, 1.0]])).tolist()
    [[0.0, 1.0], [0.0, 0.0]]
    """
    top = labels == labels.amax(dim=1, keepdim=True)
    shares = top / top.sum(dim=1, keepdim=True)
    return shares.masked_fill(top.all(dim=1, keepdim=True), 0.0).to(labels.dtype)


def count_clips(targets: Tensor, class_weights: Tensor | None = None) -> Tensor:
    """Return how much each clip counts in an average over clips, (clips,), by its target, a distribution or zero."""
    return targets.sum(dim=1) if class_weights is None else targets @ class_weights.to(targets)


def cross_entropy_loss(
    raw: Tensor, targets: Tensor, class_weights: Tensor | None = None, smoothing: float = 0.0
) -> Tensor:
    """Return the cross-entropy of the softmax of raw outputs, averaged over the clips that have a target; 0 if none.

    Both are (clips, labels); each row of targets is a distribution or zero. ``class_weights``, (labels,), say how much
    a clip counts in the average by its target. ``smoothing`` is the share of each target that is spread evenly over
    all labels (Szegedy et al. 2016, section 7).

    >>> raw, targets = torch.tensor([[2.0, 0.0], [0.0, 2.0]]), torch.tensor([[1.0, 0.0], [1.0, 0.0]])
    >>> round(cross_entropy_loss(raw, targets).item(), 4)
    1.1269
    """
    shares = count_clips(targets, class_weights)
    spread = targets.sum(dim=1, keepdim=True) / targets.shape[1]
    aims = targets if not smoothing else (1 - smoothing) * targets + smoothing * spread
    per_clip = -(aims * functional.log_softmax(raw, dim=1)).sum(dim=1) / targets.sum(dim=1).clamp(min=_TINY)
    return (shares * per_clip).sum() / shares.sum().clamp(min=_TINY)


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
    """The weighted sum of losses that a config asks for, resolved for the kind of task.

    ``class_weights``, (labels,), say how much a clip counts in the cross-entropy by its class.

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
        """Return the loss of the clips of one step, or what some of them add to it; arrays are (clips, labels).

        ``raw`` are the outputs behind the predictions, unbounded, and ``targets`` the :func:`strongest_labels` of the
        labels. ``clip_share`` is that of these clips among those of the step, ``target_share`` the same where each
        counts as in :func:`count_clips`.
        """
        parts = []
        for name, weight in self.config.weights.items():
            if name == "cross_entropy":  # the only one that reads raw outputs
                loss = cross_entropy_loss(raw, targets, self.class_weights, self.config.label_smoothing)
                parts.append(weight * target_share * loss)
            else:
                parts.append(weight * (1.0 if LOSSES[name] else clip_share) * _FUNCTIONS[name](intensities, labels))
        return sum(parts[1:], start=parts[0])


def create_objective(config: LossConfig, task: Task, labels: Floats) -> Objective:
    """Return the loss of a task whose train clips have these labels, (clips, labels)."""
    weights = None if config.class_weights == "none" else torch.from_numpy(class_weights(config, task, labels)).float()
    return Objective(config.resolved(task.kind), weights)


def class_weights(config: LossConfig, task: Task, labels: Floats) -> Floats:
    """Return how much a clip of each class counts, (classes,), from the one-hot labels of the train clips.

    ``balanced`` is clips / (classes with clips * clips of the class), so that the weights of all clips have mean 1; a
    class without clips has 1.

    >>> task = Task.of_classes("moods", ("calm", "angry"))
    >>> class_weights(LossConfig(class_weights="balanced"), task, np.eye(2)[[0, 0, 0, 1]]).round(3).tolist()
    [0.667, 2.0]
    >>> class_weights(LossConfig(class_weights={"angry": 3}), task, np.eye(2)).tolist()
    [1.0, 3.0]
    """
    result = np.ones(len(task.labels))
    if isinstance(config.class_weights, dict):
        for name, weight in config.class_weights.items():
            result[task.labels.index(name)] = weight
    elif config.class_weights == "balanced":
        clips = labels.sum(axis=0)
        present = clips > 0
        result[present] = clips.sum() / (present.sum() * clips[present])
    return result


def refuse_unfit_training(config: ExperimentConfig, task: Task) -> None:
    """Raise ConfigError where a model or settings contradict the kind of task.

    Squared error of class probabilities is allowed where it is asked for: it is Brier's score (1950), divided by the
    number of classes.
    """
    if task.is_classification and isinstance(config.model, LightGBMConfig):
        raise ConfigError(
            f"model lightgbm grows trees for intensities, but the task '{task.name}' asks for classes",
            hint="Use a neural head, such as model.name=lstm.",
        )
    training = config.training
    if not isinstance(training, GradientTraining):
        return
    loss = training.loss.resolved(task.kind)
    (_refuse_for_classes if task.is_classification else _refuse_for_intensities)(training, loss, task)
    if isinstance(training, VideoTraining) and training.balancing is not None and not task.is_classification:
        raise ConfigError(
            f"training.balancing makes copies by class, but the task '{task.name}' asks for intensities",
            hint="Leave it out; training.augmentation changes clips of any task.",
        )
    if loss.label_smoothing and not loss.cross_entropy:
        raise ConfigError(
            "training.loss.label_smoothing acts on the cross-entropy, whose weight is 0",
            hint="Leave it out, or set training.loss.cross_entropy.",
        )


def _refuse_for_classes(config: GradientTraining, loss: LossConfig, task: Task) -> None:
    if config.activation not in (None, "softmax"):
        raise ConfigError(
            f"training.activation {config.activation} does not fit the task '{task.name}': the probabilities of its "
            "classes sum to 1",
            hint="Leave training.activation out.",
        )
    if loss.correlates:
        raise ConfigError(
            f"training.loss correlates intensities, but the task '{task.name}' asks for classes",
            hint="Leave training.loss.ccc and training.loss.pearson out; cross-entropy is the default.",
        )
    if config.loss.class_weights != "none" and not loss.cross_entropy:
        raise ConfigError(
            "training.loss.class_weights act on the cross-entropy, whose weight is 0",
            hint="Leave them out, or set training.loss.cross_entropy.",
        )
    if isinstance(loss.class_weights, dict):
        unknown = ", ".join(repr(name) for name in loss.class_weights if name not in task.labels)
        if unknown:
            raise ConfigError(
                f"training.loss.class_weights names {unknown}, which is no class of '{task.name}'",
                hint=f"Its classes: {', '.join(task.labels)}.",
            )


def _refuse_for_intensities(config: GradientTraining, loss: LossConfig, task: Task) -> None:
    if loss.class_weights != "none":
        raise ConfigError(
            f"training.loss.class_weights are for classes, but the task '{task.name}' asks for intensities",
            hint="Leave them out.",
        )
    if loss.cross_entropy and (len(task.labels) < 2 or (config.activation or task.activation) == "linear"):
        raise ConfigError(
            f"training.loss.cross_entropy does not fit the task '{task.name}': it needs two labels or more and an "
            "output that is bounded",
            hint="Set it to 0, or training.activation to sigmoid or softmax.",
        )
