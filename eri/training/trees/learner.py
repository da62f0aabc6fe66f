"""Learning with boosted trees: functionals of the clips, one booster per label, and the files of the run."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from lightgbm import Booster
from lightgbm.basic import LightGBMError

from eri.config import ExperimentConfig, LightGBMConfig
from eri.metrics.intensities import Floats
from eri.metrics.scoring import Scorer, Validation
from eri.training.data import TrainingInputs
from eri.training.events import Best, EventKind, Listener, Row, TrainingEvent, history_row, write_history
from eri.training.features import FeatureSet
from eri.training.run_folder import HISTORY, Run, read_run, writing
from eri.training.trees import files
from eri.training.trees.boosting import BoosterHistory, BoosterTrainer
from eri.training.trees.functionals import clip_functionals, functional_names
from eri.utils.errors import RunError


class TreeLearner:
    """Boosted trees: one booster per label, one label after the other.

    Each booster keeps as many trees as leave the smallest squared error on the val split. Progress counts a label as an
    epoch and a tree as a batch; ``history.csv`` has a row for each tree, in which a booster that has stopped keeps its
    last scores. An interrupted run starts over: it takes seconds to minutes.
    """

    def learn(self, inputs: TrainingInputs, folder: Path, on_event: Listener) -> Best:
        """See :meth:`~eri.training.learners.Learner.learn`."""
        run, progress = read_run(folder), _Progress(inputs, folder, on_event)
        labels = len(inputs.task.labels)
        if (folder / files.MANIFEST).is_file():
            best = Best(max(self.chosen(run).values()), figure=files.read_manifest(run)["val_pearson"])
            progress.report("start", epoch=labels, best=best.figure)
        else:
            progress.report("start")
            try:
                best = _train_boosters(inputs, run, progress)
            except LightGBMError as error:
                raise RunError(
                    f"{folder}: LightGBM could not grow trees: {error}", hint="Change the settings under model."
                ) from error
        progress.report("end", epoch=labels, best=best.figure, best_epoch=best.epoch)
        return best

    def load(self, run: Run, device: torch.device) -> TrainedTrees:
        """See :meth:`~eri.training.learners.Learner.load`; the device is without influence."""
        manifest = files.read_manifest(run)
        boosters = tuple(files.read_booster(run, manifest["boosters"][label]) for label in run.task.labels)
        return TrainedTrees(run, boosters, manifest["inputs"])

    def chosen(self, run: Run) -> dict[str, int]:
        """Return the trees of each label's booster."""
        boosters = files.read_manifest(run)["boosters"]
        return {label: int(boosters[label]["trees"]) for label in run.task.labels}


@dataclass(frozen=True, eq=False)
class TrainedTrees:
    """Boosters that predict.

    Attributes:
        run: What they are of.
        boosters: One per label.
        inputs: Functionals that they read of a clip.
    """

    run: Run
    boosters: tuple[Booster, ...]
    inputs: int

    def predict(self, features: FeatureSet, ids: Sequence[str]) -> Floats:
        """See :meth:`~eri.training.learners.TrainedModel.predict`."""
        inputs = clip_functionals(features, ids, trees_of(self.run.config).functionals)
        if inputs.shape[1] != self.inputs:
            raise RunError(
                f"{self.run.path}: its boosters read {self.inputs} functionals, the features give {inputs.shape[1]}",
                hint="Train again with --overwrite.",
            )
        columns = [booster.predict(inputs, num_threads=torch.get_num_threads()) for booster in self.boosters]
        result: Floats = np.stack([np.asarray(column, dtype=np.float64) for column in columns], axis=1)
        return result.clip(self.run.task.low, self.run.task.high)


def trees_of(config: ExperimentConfig) -> LightGBMConfig:
    """Return the settings of a system whose model is boosted trees.

    Raises:
        TypeError: Its model is another one.
    """
    if not isinstance(config.model, LightGBMConfig):
        raise TypeError(f"{config.name}: {config.model.name} is no booster")
    return config.model


class _Progress:
    """Reports to a listener how far the boosters are."""

    def __init__(self, inputs: TrainingInputs, folder: Path, listener: Listener) -> None:
        self._listener = listener
        self._known: dict[str, Any] = {
            "run": folder.name,
            "epoch": 0,
            "epochs": len(inputs.task.labels),
            "batches": trees_of(inputs.config).rounds,
        }

    def report(self, kind: EventKind, **values: Any) -> None:
        self._listener(TrainingEvent(kind, **{**self._known, **values}))

    def measured(self, clips: int, done: int) -> None:
        self.report("prepare", batch=done, batches=clips)

    def tree(self, label: int, history: BoosterHistory, kind: EventKind = "batch") -> None:
        correlation = history.pearson[-1]
        self.report(
            kind,
            epoch=label + 1,
            batch=len(history.pearson),
            loss=history.train_loss[-1],
            figure=None if np.isnan(correlation) else correlation,
            best=history.best.figure,
            best_epoch=history.best.epoch,
        )


def _train_boosters(inputs: TrainingInputs, run: Run, progress: _Progress) -> Best:
    """Train and write the booster of every label, then what they found important."""
    config, labels = trees_of(inputs.config), inputs.task.labels
    train, val = (
        clip_functionals(
            split.features, split.usable_ids, config.functionals, partial(progress.measured, len(split.usable_ids))
        )
        for split in (inputs.train, inputs.val)
    )
    trainer = BoosterTrainer(config, inputs, train, val)
    columns = functional_names(run.environment["features"], inputs.train.features.dimensions, config.functionals)
    histories, importance, described = [], [], {}
    for number, label in enumerate(labels):
        booster, history = trainer.train(number, partial(progress.tree, number))
        with writing(run.path):
            described[label] = files.write_booster(run.path, number, label, booster, history.best.epoch)
        importance += files.importance_rows(label, booster, history.best.epoch, columns)
        progress.tree(number, history, "epoch")
        histories.append(history)
    predictions = np.stack([history.predictions for history in histories], axis=1)
    result = inputs.scorer.validate(predictions, inputs.val.labels)
    with writing(run.path):
        files.write_importance(run.path, importance)
        write_history(run.path / HISTORY, _rows(histories, inputs.scorer, config.learning_rate))
        files.write_manifest(run.path, described, len(columns), result.figure)
    return Best(max(history.best.epoch for history in histories), result.score, result.figure)


def _rows(histories: Sequence[BoosterHistory], scorer: Scorer, learning_rate: float) -> list[Row]:
    """Return a row per tree: mean losses and each label's Pearson; a booster that has stopped keeps its last."""
    rows = []
    for tree in range(max(len(own.pearson) for own in histories)):
        at = [(own, min(tree, len(own.pearson) - 1)) for own in histories]
        pearson = np.array([own.pearson[index] for own, index in at])
        mse = float(np.mean([own.val_loss[index] for own, index in at]))
        loss = float(np.mean([own.train_loss[index] for own, index in at]))
        seconds = sum(own.seconds[tree] for own in histories if tree < len(own.seconds))
        mean = float(pearson.mean()) if np.isfinite(pearson).all() else None
        rows.append(history_row(tree + 1, loss, Validation(pearson, mse, mean, 0.0), scorer, learning_rate, seconds))
    return rows
