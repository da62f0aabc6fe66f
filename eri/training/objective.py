"""Making what training minimises from a config, a task and the train labels, and refusing what does not fit them."""

from __future__ import annotations

import numpy as np
import torch

from eri.config import ExperimentConfig, GradientTraining, LightGBMConfig, LossConfig, VideoTraining
from eri.config.tasks import Task
from eri.metrics.intensities import Floats
from eri.training.losses import Objective
from eri.utils.errors import ConfigError


def create_objective(config: LossConfig, task: Task, labels: Floats) -> Objective:
    """Return the loss of a task.

    Args:
        config: Its weights.
        task: What is learnt.
        labels: Of the train clips, (clips, labels).
    """
    weights = None if config.class_weights == "none" else torch.from_numpy(class_weights(config, task, labels)).float()
    return Objective(config.resolved(task.kind), weights)


def class_weights(config: LossConfig, task: Task, labels: Floats) -> Floats:
    """Return how much a clip of each class counts, (classes,).

    ``balanced`` is clips / (classes with clips * clips of the class), so that the weights of all clips have mean 1; a
    class without clips has 1.

    Args:
        config: What is asked for.
        task: Its classes.
        labels: One-hot labels of the train clips, (clips, classes).

    Examples:
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
    """Refuse a model or settings that contradict the kind of task.

    Squared error of class probabilities is allowed where it is asked for: it is Brier's score (1950), divided by the
    number of classes.

    Raises:
        ConfigError: Names the setting and the way out.
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
