"""What a run learns from: the clips of train and val, their labels, and those that have to be left out."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from eri.config import CORRELATED_CLIPS, ExperimentConfig, GradientTraining, Precision, TrainingConfig
from eri.config.tasks import Task
from eri.data.clips import Clip, ClipTable, Split
from eri.metrics.intensities import Floats
from eri.metrics.scoring import Scorer, create_scorer
from eri.training.features import FeatureSet, ModalityFeatures
from eri.training.processes import SINGLE_PROCESS, ProcessRank
from eri.utils.errors import DataError

if TYPE_CHECKING:
    from lightning_fabric import Fabric

_LOG = logging.getLogger(__name__)
_NAMED = 10
_RESERVED = {"clip_id", "split", "rule", "epoch", "loss", "learning_rate", "seconds"}
_RESERVED_SCORES = {"val_loss", "val_pearson", "val_war", "val_uar"}


@dataclass(frozen=True, eq=False)
class SplitData:
    """The labelled clips of one split.

    Attributes:
        split: Its name.
        ids: Labelled clips, ascending.
        labels: float64 (clips, labels), finite.
        features: Features of the split.
        usable: bool (clips,), True where a modality has a valid row.
        unlabelled: Ids of the split's other clips.
    """

    split: Split
    ids: tuple[str, ...]
    labels: Floats
    features: FeatureSet
    usable: np.ndarray[tuple[int], np.dtype[np.bool_]]
    unlabelled: tuple[str, ...]

    @property
    def usable_ids(self) -> tuple[str, ...]:
        """Labelled clips with features."""
        return tuple(clip_id for clip_id, usable in zip(self.ids, self.usable, strict=True) if usable)

    @property
    def unusable_ids(self) -> tuple[str, ...]:
        """Labelled clips without features."""
        return tuple(clip_id for clip_id, usable in zip(self.ids, self.usable, strict=True) if not usable)

    def summary(self) -> dict[str, Any]:
        """Return counts and names of what was left out, as JSON values."""
        return {
            "used": int(self.usable.sum()),
            "without_features": list(self.unusable_ids),
            "unlabelled": list(self.unlabelled),
            "rows": {name: int(modality.counts(self.ids).sum()) for name, modality in self.features.sources.items()},
            "features": self.features.fingerprints,
        }


@dataclass(frozen=True, eq=False)
class TrainingInputs:
    """What a learner is given.

    Attributes:
        config: The system.
        task: Its labels and their range.
        train: The clips to learn from; those that are not usable are to be left out.
        val: The clips to choose by; those that are not usable are predicted as the mean of the train labels.
        device: Where to compute.
        precision: Of a neural net's training.
        versions: Further versions of the train clips' embeddings, by modality: each epoch takes one of every clip.
        fabric: Of the processes that train together; None where this one trains alone.
        rank: This process's rank among them.
    """

    config: ExperimentConfig
    task: Task
    train: SplitData
    val: SplitData
    device: torch.device
    precision: Precision
    versions: Mapping[str, tuple[ModalityFeatures, ...]] = field(default_factory=dict)
    fabric: Fabric | None = None
    rank: ProcessRank = SINGLE_PROCESS

    @property
    def scorer(self) -> Scorer:
        """What scores predictions of the task."""
        return create_scorer(self.task.kind, self.task.labels)

    @property
    def train_labels(self) -> Floats:
        """Labels of the usable train clips, float64 (clips, labels); permuted for the shuffled-label baseline."""
        settings = self.config.training
        labels = self.train.labels[self.train.usable]
        return shuffled(labels, settings.seed) if settings.shuffle_labels else labels

    @property
    def fallback(self) -> Floats:
        """Prediction of clips without features, float64 (labels,): the means over all labelled train clips."""
        return np.asarray(self.train.labels.mean(axis=0), dtype=np.float64)


def labelled_split(table: ClipTable, split: Split, features: FeatureSet) -> SplitData:
    """Join the clips of a split with their labels and features, by id.

    Clips without labels or features are named in the log, never silently dropped.

    Raises:
        DataError: The split has no labelled clip, or none of those has features, or a label is not a number.
    """
    clips = table.split(split)
    labelled = [clip for clip in clips if clip.labels is not None]
    if not labelled:
        raise DataError(
            f"{table.name}: no clip of split '{split}' has labels",
            hint="Training needs a labelled train split to learn from and a labelled val split to choose the epoch.",
        )
    ids = tuple(clip.id for clip in labelled)
    labels = table.label_matrix(ids)
    _refuse_missing_labels(table, labelled, labels)
    usable = features.usable(ids)
    if not usable.any():
        raise DataError(
            f"{table.name}: no clip of split '{split}' has a valid row of features",
            hint="Check the failures of `eri extract`: was a face or audio found in any clip?",
        )
    data = SplitData(split, ids, labels, features, usable, tuple(clip.id for clip in clips if clip.labels is None))
    warn_of_clips(f"{table.name}, split '{split}': %d clip(s) without features", data.unusable_ids)
    warn_of_clips(f"{table.name}, split '{split}': %d clip(s) without labels are left out", data.unlabelled)
    return data


def refuse_reserved_labels(task: Task) -> None:
    """Refuse labels that are called as other columns of ``history.csv`` or ``predictions.parquet`` are.

    Raises:
        DataError: Names the labels.
    """
    clashing = sorted((_RESERVED | _RESERVED_SCORES).intersection(task.labels))
    if clashing:
        raise DataError(
            f"task '{task.name}': a label cannot be called {' or '.join(map(repr, clashing))}, a run has such a column",
            hint="Rename the label in the table and its description.",
        )


def refuse_silent_modality(data: SplitData) -> None:
    """Refuse to train on a modality of which no clip has a valid row.

    Raises:
        DataError: Names the modality.
    """
    for name, modality in data.features.sources.items():
        if not modality.counts(data.ids).any():
            raise DataError(
                f"no clip of split '{data.split}' has a valid row of {name} features",
                hint=f"Leave {name} out with another --modality, or see why in failures.csv of the feature folder.",
            )


def refuse_few_clips(config: TrainingConfig, data: SplitData) -> None:
    """Refuse a loss that correlates over too few train clips.

    Raises:
        DataError: Says how many there are.
    """
    clips = len(data.usable_ids)
    if isinstance(config, GradientTraining) and config.loss.correlates and clips < CORRELATED_CLIPS:
        raise DataError(
            f"a correlation in the loss needs {CORRELATED_CLIPS} train clips with features or more, there are {clips}",
            hint="Use training.loss.mse alone.",
        )


def warn_of_clips(message: str, ids: Sequence[str]) -> None:
    """Log the number and the first names of some clips, if there are any; ``%d`` in the message is the number."""
    if ids:
        more = f" and {len(ids) - _NAMED} more" if len(ids) > _NAMED else ""
        _LOG.warning(f"{message}: %s%s", len(ids), ", ".join(ids[:_NAMED]), more)


def warn_of_absent_classes(data: SplitData, task: Task) -> None:
    """Log the classes that no usable clip of a split is of, where the task asks for classes."""
    if task.is_classification:
        clips = data.labels[data.usable].sum(axis=0)
        absent = [name for name, count in zip(task.labels, clips, strict=True) if not count]
        if absent:
            _LOG.warning("task '%s', split '%s': no clip of class %s", task.name, data.split, ", ".join(absent))


def label_means(data: SplitData, names: Sequence[str]) -> dict[str, float]:
    """Return the mean of each label over all labelled clips: what a clip without features is predicted as."""
    return dict(zip(names, data.labels.mean(axis=0).tolist(), strict=True))


def fallback_vector(means: Mapping[str, float], names: Sequence[str]) -> Floats:
    """Return label means in the order of names."""
    return np.array([means[name] for name in names], dtype=np.float64)


def shuffled(labels: Floats, seed: int) -> Floats:
    """Permute whole rows of labels, for the baseline that must end at no correlation, or at chance."""
    return labels[np.random.default_rng([seed, 0]).permutation(len(labels))]


def _refuse_missing_labels(table: ClipTable, clips: Sequence[Clip], labels: Floats) -> None:
    bad = np.argwhere(~np.isfinite(labels))
    if len(bad):
        row, column = bad[0]
        raise DataError(
            f"{table.name}: clip '{clips[row].id}' has no number for label '{table.task.labels[column]}'",
            hint="Fill the label in, or leave all labels of the clip empty.",
        )
