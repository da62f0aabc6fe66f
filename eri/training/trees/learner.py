"""Learning with boosted trees: functionals of the clips, one booster per label, and the files of the run.

``boosters/<number>-<label>.txt`` are LightGBM's own text files with the trees that were kept. ``boosters.json`` names
them with their SHA-256; it is written last, so a run that has it is whole. ``importance.csv`` has one row for each
label and functional that a tree splits on, the most important first.
"""

from __future__ import annotations

import csv
import io
import json
import re
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from lightgbm import Booster, Dataset
from lightgbm.basic import LightGBMError
from numpy.typing import NDArray

from eri.config import ExperimentConfig, LightGBMConfig
from eri.metrics.intensities import Floats
from eri.metrics.scoring import Scorer, Validation
from eri.training.data import TrainingInputs
from eri.training.events import Best, EventKind, Listener, Row, TrainingEvent, history_row, write_history
from eri.training.features import FeatureSet
from eri.training.run_folder import BOOSTERS, HISTORY, IMPORTANCE, MANIFEST, Run, read_run, writing
from eri.training.trees.functionals import clip_functionals, functional_names
from eri.utils.errors import RunError
from eri.utils.files import sha256_file, write_json, write_text

_FORMAT = "eri-trees-1"
_AGAIN = "Train again with --overwrite."


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
        if (folder / MANIFEST).is_file():
            best = Best(max(self.chosen(run).values()), figure=_read_manifest(run)["val_pearson"])
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
        manifest = _read_manifest(run)
        boosters = tuple(_read_booster(run, manifest["boosters"][label]) for label in run.task.labels)
        return TrainedTrees(run, boosters, manifest["inputs"])

    def chosen(self, run: Run) -> dict[str, int]:
        """Return the trees of each label's booster."""
        boosters = _read_manifest(run)["boosters"]
        return {label: int(boosters[label]["trees"]) for label in run.task.labels}


@dataclass(frozen=True, eq=False)
class TrainedTrees:
    """The boosters of a run, one per label; ``inputs`` is the number of functionals that they read of a clip."""

    run: Run
    boosters: tuple[Booster, ...]
    inputs: int

    def predict(self, features: FeatureSet, ids: Sequence[str]) -> Floats:
        """See :meth:`~eri.training.learners.TrainedModel.predict`."""
        inputs = clip_functionals(features, ids, _settings(self.run.config).functionals)
        if inputs.shape[1] != self.inputs:
            raise RunError(
                f"{self.run.path}: its boosters read {self.inputs} functionals, the features give {inputs.shape[1]}",
                hint=_AGAIN,
            )
        columns = [booster.predict(inputs, num_threads=torch.get_num_threads()) for booster in self.boosters]
        result: Floats = np.stack([np.asarray(column, dtype=np.float64) for column in columns], axis=1)
        return result.clip(self.run.task.low, self.run.task.high)


def _settings(config: ExperimentConfig) -> LightGBMConfig:
    assert isinstance(config.model, LightGBMConfig)
    return config.model


@dataclass(eq=False)
class BoosterHistory:
    """How one booster was trained, a value per tree; ``best`` are the trees that are kept."""

    train_loss: list[float] = field(default_factory=list)  # mean squared error
    val_loss: list[float] = field(default_factory=list)  # the same on the whole val split
    pearson: list[float] = field(default_factory=list)  # there; NaN where it is undefined
    seconds: list[float] = field(default_factory=list)
    best: Best = field(default_factory=Best)
    predictions: Floats = field(default_factory=lambda: np.zeros(0))  # (val clips,), with the trees that are kept


class BoosterTrainer:
    """Trains boosters on the functionals of the usable train and val clips, (clips, values); NaN is missing.

    Trees are grown with LightGBM (Ke et al. 2017) on squared error. The clips and features that a tree may see are
    drawn from the seed; the same seed gives the same boosters, whatever the number of threads. Predictions are scored
    over the whole val split, as evaluation does it.
    """

    def __init__(
        self, config: LightGBMConfig, inputs: TrainingInputs, train: NDArray[np.float32], val: NDArray[np.float32]
    ) -> None:
        self._config, self._inputs, self._labels = config, inputs, inputs.train_labels
        self._settings = _parameters(config, inputs.config.training.seed)
        # Binned once: between boosters only the labels change.
        self._train = Dataset(train, label=self._labels[:, 0], params=self._settings).construct()
        truth = inputs.val.labels[inputs.val.usable, 0]
        self._val = Dataset(val, label=truth, reference=self._train, params=self._settings).construct()

    def train(self, label: int, on_tree: Callable[[BoosterHistory], None]) -> tuple[Booster, BoosterHistory]:
        """Train the booster of a label until no better tree came for ``patience`` trees, or to the last round.

        Not by ``lightgbm.train``: it does not say when no split is left that any tree could make, and would go on.
        Returns the booster with all its trees; ``on_tree`` is called after each.
        """
        self._train.set_label(self._labels[:, label])
        booster = Booster(self._settings, self._train).add_valid(self._val, "val")
        history, patience = BoosterHistory(), self._config.patience
        for tree in range(self._config.rounds):
            if patience is not None and tree - history.best.epoch >= patience:
                break
            started = time.perf_counter()
            stuck = booster.update()
            history.train_loss.append(next(float(entry[2]) for entry in booster.eval_train() if entry[1] == "l2"))
            self._validate(booster, label, history)
            history.seconds.append(time.perf_counter() - started)
            on_tree(history)
            if stuck:
                break
        return booster, history

    def _validate(self, booster: Booster, label: int, history: BoosterHistory) -> None:
        current: list[Floats] = []

        def take(predictions: Any, _: Dataset) -> list[tuple[str, float, bool]]:
            current.append(np.array(predictions, dtype=np.float64))
            return []

        booster.eval_valid(feval=take)  # what LightGBM keeps up to date, rather than run all trees again
        val, task = self._inputs.val, self._inputs.task
        predictions = np.full(len(val.labels), self._inputs.fallback[label])
        predictions[val.usable] = np.clip(current[0], task.low, task.high)
        result = self._inputs.scorer.validate(predictions[:, None], val.labels[:, [label]])
        history.val_loss.append(result.loss)
        history.pearson.append(float(result.labels[0]))
        if self._config.patience is None:
            history.best = Best()  # nothing is chosen: the latest tree is kept
        # On a few clips a label's Pearson goes up and down by chance; its squared error is steadier to choose by.
        if history.best.update(len(history.pearson), replace(result, score=-result.loss)):
            history.predictions = predictions


def _parameters(config: LightGBMConfig, seed: int) -> dict[str, Any]:
    return {
        "objective": "regression",
        "metric": "l2",
        "learning_rate": config.learning_rate,
        "num_leaves": config.leaves,
        "min_data_in_leaf": config.leaf_clips,
        "feature_fraction": config.feature_share,
        "bagging_fraction": config.clip_share,
        "bagging_freq": 1 if config.clip_share < 1 else 0,
        "lambda_l2": config.l2,
        "seed": seed % (1 << 31),
        "deterministic": True,
        "force_row_wise": True,
        "num_threads": torch.get_num_threads(),
        "verbosity": -1,
    }


class _Progress:
    """Reports to a listener how far the boosters are."""

    def __init__(self, inputs: TrainingInputs, folder: Path, listener: Listener) -> None:
        self._listener = listener
        labels, rounds = len(inputs.task.labels), _settings(inputs.config).rounds
        self._known: dict[str, Any] = {"run": folder.name, "epoch": 0, "epochs": labels, "batches": rounds}

    def report(self, kind: EventKind, **values: Any) -> None:
        self._listener(TrainingEvent(kind, **{**self._known, **values}))

    def measured(self, clips: int, done: int) -> None:
        self.report("prepare", batch=done, batches=clips)

    def tree(self, label: int, history: BoosterHistory, kind: EventKind = "batch") -> None:
        correlation, best = history.pearson[-1], history.best
        self.report(
            kind,
            epoch=label + 1,
            batch=len(history.pearson),
            loss=history.train_loss[-1],
            figure=None if np.isnan(correlation) else correlation,
            best=best.figure,
            best_epoch=best.epoch,
        )


def _train_boosters(inputs: TrainingInputs, run: Run, progress: _Progress) -> Best:
    """Train and write the booster of every label, then what they found important."""
    config, folder = _settings(inputs.config), run.path
    train, val = (
        clip_functionals(split.features, ids, config.functionals, partial(progress.measured, len(ids)))
        for split, ids in ((own, own.usable_ids) for own in (inputs.train, inputs.val))
    )
    trainer = BoosterTrainer(config, inputs, train, val)
    columns = functional_names(run.environment["features"], inputs.train.features.dimensions, config.functionals)
    histories, importance, described = [], [], {}
    for number, label in enumerate(inputs.task.labels):
        booster, history = trainer.train(number, partial(progress.tree, number))
        trees = history.best.epoch
        with writing(folder):
            readable = re.sub(r"[^A-Za-z0-9]+", "-", label).strip("-")
            name = f"{BOOSTERS}/{number:02d}-{readable}.txt"
            write_text(folder / name, booster.model_to_string(num_iteration=trees))
            described[label] = {"file": name, "sha256": sha256_file(folder / name), "trees": trees}
        importance += _importance_rows(label, booster, trees, columns)
        progress.tree(number, history, "epoch")
        histories.append(history)
    predictions = np.stack([history.predictions for history in histories], axis=1)
    result = inputs.scorer.validate(predictions, inputs.val.labels)
    with writing(folder):
        text = io.StringIO()
        csv.writer(text, lineterminator="\n").writerows([("label", "feature", "gain", "splits"), *importance])
        write_text(folder / IMPORTANCE, text.getvalue())
        write_history(folder / HISTORY, _rows(histories, inputs.scorer, config.learning_rate))
        manifest = {"format": _FORMAT, "inputs": len(columns), "val_pearson": result.figure, "boosters": described}
        write_json(folder / MANIFEST, manifest)
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


def _importance_rows(label: str, booster: Booster, trees: int, names: Sequence[str]) -> list[tuple[str, str, str, int]]:
    """Return (label, functional, share of the total gain, splits) of what a booster splits on, largest gain first."""
    gains = np.asarray(booster.feature_importance("gain", iteration=trees), dtype=np.float64)
    splits = booster.feature_importance("split", iteration=trees)
    order = [int(index) for index in np.argsort(-gains, kind="stable") if splits[index]]
    total = gains.sum() or 1.0
    return [(label, names[index], f"{gains[index] / total:.6g}", int(splits[index])) for index in order]


def _read_manifest(run: Run) -> dict[str, Any]:
    """Read ``boosters.json``; RunError where it is absent, because the run did not end, or damaged."""
    path = run.path / MANIFEST
    try:
        manifest: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        if manifest["format"] != _FORMAT or set(manifest["boosters"]) != set(run.task.labels):
            raise ValueError("it is of another format or task")
    except FileNotFoundError:
        raise RunError(
            f"{path}: the run has no boosters, its training did not end", hint="Train it: eri train with --resume."
        ) from None
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise RunError(f"{path}: not the boosters of a run: {error}", hint=_AGAIN) from error
    return manifest


def _read_booster(run: Run, described: Mapping[str, Any]) -> Booster:
    """Read a booster whose file is as it was written; RunError where it is absent, altered or damaged."""
    path = run.path / str(described["file"])
    try:
        if sha256_file(path) != described["sha256"]:  # LightGBM trusts what it reads
            raise RunError(f"{path}: is not as it was written", hint=_AGAIN)
        return Booster(model_str=path.read_text(encoding="utf-8"))
    except (OSError, ValueError, LightGBMError) as error:
        raise RunError(f"{path}: not a booster of this run: {error}", hint=_AGAIN) from error
