"""Learning with boosted trees: functionals of the clips, a booster a label, and the files of the run."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from lightgbm.basic import LightGBMError

from eri.config import ExperimentConfig, LightGBMConfig
from eri.metrics.intensities import Floats
from eri.metrics.scoring import Scorer, Validation
from eri.training.data import TrainingInputs, fallback_vector, label_means
from eri.training.events import Listener, TrainingEvent
from eri.training.features import FeatureSet
from eri.training.keeping import kept
from eri.training.loop import Row, history_row, write_history
from eri.training.run_folder import HISTORY, Run, read_run, writing
from eri.training.selection import Best
from eri.training.trees import files
from eri.training.trees.boosting import Grower, Growth, Judge
from eri.training.trees.functionals import clip_functionals, functional_names
from eri.utils.errors import RunError


class TreeLearner:
    """Boosted trees: a booster a label, grown one label after the other.

    Each booster keeps as many trees as leave the smallest squared error on the val split. Progress counts a label as an
    epoch and a tree as a batch; ``history.csv`` has a row for each tree, in which a booster that has stopped keeps its
    last figures. An interrupted run is grown anew: it takes seconds to minutes.
    """

    def learn(self, inputs: TrainingInputs, folder: Path, on_event: Listener) -> Best:
        """See :meth:`~eri.training.learners.Learner.learn`."""
        run, progress = read_run(folder), _Progress(inputs, folder, on_event)
        if (folder / files.MANIFEST).is_file():
            manifest = files.read_manifest(run)
            best = Best(max(self.chosen(run).values()), figure=manifest["val_pearson"])
            progress.tell("start", epoch=len(inputs.task.labels), best=best.figure)
            progress.tell("end", epoch=len(inputs.task.labels), best=best.figure, best_epoch=best.epoch)
            return best
        progress.tell("start")
        try:
            grown = _grow(inputs, run, progress)
        except LightGBMError as error:
            raise RunError(
                f"{folder}: LightGBM could not grow trees: {error}", hint="Change the settings under model."
            ) from error
        best = _finish(inputs, folder, grown)
        progress.tell("end", epoch=len(grown), best=best.figure, best_epoch=best.epoch)
        return best

    def predict(self, run: Run, features: FeatureSet, ids: Sequence[str], device: torch.device) -> Floats:
        """See :meth:`~eri.training.learners.Learner.predict`; the device is without influence."""
        manifest = files.read_manifest(run)
        read = partial(files.read_booster, run)
        boosters = kept(run.path, lambda: [read(manifest["boosters"][label]) for label in run.task.labels])
        inputs = clip_functionals(features, ids, trees_of(run.config).functionals)
        if inputs.shape[1] != manifest["inputs"]:
            raise RunError(
                f"{run.path}: its boosters read {manifest['inputs']} functionals, the features give {inputs.shape[1]}",
                hint="Train again with --overwrite.",
            )
        columns = [booster.predict(inputs, num_threads=torch.get_num_threads()) for booster in boosters]
        result: Floats = np.stack([np.asarray(column, dtype=np.float64) for column in columns], axis=1)
        return result.clip(run.task.low, run.task.high)

    def chosen(self, run: Run) -> dict[str, int]:
        """Return the trees of each label's booster."""
        boosters = files.read_manifest(run)["boosters"]
        return {label: int(boosters[label]["trees"]) for label in run.task.labels}


def trees_of(config: ExperimentConfig) -> LightGBMConfig:
    """Return the settings of a system whose model is boosted trees.

    Raises:
        TypeError: Its model is another one.
    """
    if not isinstance(config.model, LightGBMConfig):
        raise TypeError(f"{config.name}: {config.model.name} is no booster")
    return config.model


class _Progress:
    """Tells a listener how far the boosters are."""

    def __init__(self, inputs: TrainingInputs, folder: Path, listener: Listener) -> None:
        self._listener = listener
        self._known = {
            "run": folder.name,
            "epoch": 0,
            "epochs": len(inputs.task.labels),
            "batches": trees_of(inputs.config).rounds,
        }

    def tell(self, kind: Any, **values: Any) -> None:
        self._listener(TrainingEvent(kind, **{**self._known, **values}))

    def tree(self, label: int, growth: Growth, kind: Any = "batch") -> None:
        trees = len(growth.pearson)
        correlation = growth.pearson[-1]
        self.tell(
            kind,
            epoch=label + 1,
            batch=trees,
            loss=growth.train_loss[-1],
            figure=None if np.isnan(correlation) else correlation,
            best=growth.best.figure,
            best_epoch=growth.best.epoch,
        )


def _grow(inputs: TrainingInputs, run: Run, progress: _Progress) -> list[Growth]:
    """Grow and write the booster of every label, then what they found important."""
    config, names = trees_of(inputs.config), inputs.task.labels
    train, val = (
        clip_functionals(split.features, split.usable_ids, config.functionals) for split in (inputs.train, inputs.val)
    )
    fallback = fallback_vector(label_means(inputs.train, names), names)
    judge = Judge(inputs.val.labels, inputs.val.usable, fallback, inputs.task)
    grower = Grower(config, inputs.config.training.seed, train, inputs.train_labels, val, judge)
    columns = functional_names(run.environment["features"], inputs.train.features.dimensions, config.functionals)
    grown, importance, described = [], [], {}
    for number, label in enumerate(names):
        booster, growth = grower.grow(number, partial(progress.tree, number))
        with writing(run.path):
            described[label] = files.write_booster(run.path, number, label, booster, growth.best.epoch)
        importance += files.importance_rows(label, booster, growth.best.epoch, columns)
        progress.tree(number, growth, "epoch")
        grown.append(growth)
    with writing(run.path):
        files.write_importance(run.path, importance)
        write_history(run.path / HISTORY, _history(grown, inputs.scorer, config.learning_rate))
        files.write_manifest(run.path, described, len(columns), _result(inputs, grown).figure)
    return grown


def _finish(inputs: TrainingInputs, folder: Path, grown: Sequence[Growth]) -> Best:
    result = _result(inputs, grown)
    return Best(max(growth.best.epoch for growth in grown), result.score, result.figure)


def _result(inputs: TrainingInputs, grown: Sequence[Growth]) -> Validation:
    """Score the whole val split with the trees that are kept."""
    return inputs.scorer.validate(np.stack([growth.predictions for growth in grown], axis=1), inputs.val.labels)


def _history(grown: Sequence[Growth], scorer: Scorer, learning_rate: float) -> list[Row]:
    """Return a row for each tree: mean losses and each label's Pearson; one that has stopped keeps its last."""
    rows = []
    for tree in range(max(len(growth.pearson) for growth in grown)):
        at = [min(tree, len(growth.pearson) - 1) for growth in grown]
        pearson = np.array([growth.pearson[index] for growth, index in zip(grown, at, strict=True)])
        mse = float(np.mean([growth.val_loss[index] for growth, index in zip(grown, at, strict=True)]))
        loss = float(np.mean([growth.train_loss[index] for growth, index in zip(grown, at, strict=True)]))
        seconds = sum(growth.seconds[tree] for growth in grown if tree < len(growth.seconds))
        mean = float(pearson.mean()) if np.isfinite(pearson).all() else None
        rows.append(history_row(tree + 1, loss, Validation(pearson, mse, mean, 0.0), scorer, learning_rate, seconds))
    return rows
