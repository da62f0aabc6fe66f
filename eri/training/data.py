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
from eri.data.clips import ClipTable, Split
from eri.metrics.intensities import Floats
from eri.metrics.scoring import Scorer, create_scorer
from eri.training.features import FeatureSet, ModalityFeatures
from eri.training.processes import ProcessRank
from eri.utils.errors import DataError

if TYPE_CHECKING:
    from lightning_fabric import Fabric

_LOG = logging.getLogger(__name__)
_NAMED = 10
_RESERVED = {"clip_id", "split", "rule", "epoch", "loss", "learning_rate", "seconds"}
_RESERVED |= {"val_loss", "val_pearson", "val_war", "val_uar"}


@dataclass(frozen=True, eq=False)
class SplitData:
    """The labelled clips of one split."""

    split: Split
    ids: tuple[str, ...]  # ascending
    labels: Floats  # (clips, labels), finite
    features: FeatureSet
    usable: np.ndarray[tuple[int], np.dtype[np.bool_]]  # (clips,), True where a modality has a valid row
    unlabelled: tuple[str, ...]  # the split's other clips

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
        sources = self.features.sources.items()
        return {
            "used": int(self.usable.sum()),
            "without_features": list(self.unusable_ids),
            "unlabelled": list(self.unlabelled),
            "rows": {name: int(source.counts(self.ids).sum()) for name, source in sources},
            "features": {name: source.fingerprint for name, source in sources},
        }


@dataclass(frozen=True, eq=False)
class TrainingInputs:
    """What a learner is given: clips to learn from and to choose by.

    Those of ``train`` that are not usable are to be left out, those of ``val`` to be predicted as the mean of the train
    labels. ``precision`` is that of a neural net's training. Of each clip, an epoch takes one of ``versions`` or the
    plain embeddings. ``fabric`` is that of the processes that train together, None where this one trains alone.
    """

    config: ExperimentConfig
    task: Task
    train: SplitData
    val: SplitData
    device: torch.device
    precision: Precision
    versions: Mapping[str, tuple[ModalityFeatures, ...]] = field(default_factory=dict)  # by modality
    fabric: Fabric | None = None
    rank: ProcessRank = field(default_factory=ProcessRank)

    @property
    def scorer(self) -> Scorer:
        """What scores predictions of the task."""
        return create_scorer(self.task.kind, self.task.labels)

    @property
    def train_labels(self) -> Floats:
        """Labels of the usable train clips, float64 (clips, labels).

        For the shuffled-label baseline, which must end at no correlation or at chance, whole rows are permuted.
        """
        settings = self.config.training
        labels = self.train.labels[self.train.usable]
        if not settings.shuffle_labels:
            return labels
        return labels[np.random.default_rng([settings.seed, 0]).permutation(len(labels))]

    @property
    def fallback(self) -> Floats:
        """Prediction of clips without features, float64 (labels,): the means over all labelled train clips."""
        return np.asarray(self.train.labels.mean(axis=0), dtype=np.float64)


def labelled_split(table: ClipTable, split: Split, features: FeatureSet) -> SplitData:
    """Join the clips of a split with their labels and features, by id.

    Clips without labels or features are named in the log, never silently dropped. Raises DataError where no clip has
    labels, none of those has features, or a label is not a number.
    """
    clips = table.split(split)
    ids = tuple(clip.id for clip in clips if clip.labels is not None)
    if not ids:
        raise DataError(
            f"{table.name}: no clip of split '{split}' has labels",
            hint="Training needs a labelled train split to learn from and a labelled val split to choose the epoch.",
        )
    labels = table.label_matrix(ids)
    for row, column in np.argwhere(~np.isfinite(labels))[:1]:
        raise DataError(
            f"{table.name}: clip '{ids[row]}' has no number for label '{table.task.labels[column]}'",
            hint="Fill the label in, or leave all labels of the clip empty.",
        )
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


def refuse_reserved_labels(task: Task, *others: str) -> None:
    """Raise DataError for labels that are called as columns of ``history.csv`` or ``predictions.parquet`` are."""
    clashing = sorted(_RESERVED.union(others).intersection(task.labels))
    if clashing:
        raise DataError(
            f"task '{task.name}': a label cannot be called {' or '.join(map(repr, clashing))}, a run has such a column",
            hint="Rename the label in the table and its description.",
        )


def refuse_unfit_clips(config: TrainingConfig, data: SplitData) -> None:
    """Raise DataError for a modality of which no train clip has a row, or a correlation over too few of them."""
    for name, modality in data.features.sources.items():
        if not modality.counts(data.ids).any():
            raise DataError(
                f"no clip of split '{data.split}' has a valid row of {name} features",
                hint=f"Leave {name} out with another --modality, or see why in failures.csv of the feature folder.",
            )
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
