"""Training one booster per label with LightGBM, and choosing on the validation split how many trees it keeps."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

import lightgbm
import numpy as np
import torch
from numpy.typing import NDArray

from eri.config import LightGBMConfig
from eri.metrics.intensities import Floats
from eri.training.data import TrainingInputs
from eri.training.events import Best


@dataclass(eq=False)
class BoosterHistory:
    """How one booster was trained, a value per tree.

    Attributes:
        train_loss: Mean squared error on the train clips.
        val_loss: The same on the whole val split.
        pearson: On the whole val split; NaN where it is undefined.
        seconds: Time of each tree.
        best: Trees that are kept: as many as leave the smallest squared error on the val split.
        predictions: Of the whole val split with these trees, (val clips,).
    """

    train_loss: list[float] = field(default_factory=list)
    val_loss: list[float] = field(default_factory=list)
    pearson: list[float] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)
    best: Best = field(default_factory=Best)
    predictions: Floats = field(default_factory=lambda: np.zeros(0))


class BoosterTrainer:
    """Trains boosters on the same clips, one label after the other.

    Trees are grown with LightGBM (Ke et al. 2017) on squared error. The clips and features that a tree may see are
    drawn from the seed; the same seed gives the same boosters, whatever the number of threads. Predictions are scored
    over the whole val split, as evaluation does it.

    Args:
        config: Of the boosters.
        inputs: Labels, and the seed of the draws.
        train: Functionals of the usable train clips, (clips, values); NaN is missing.
        val: Functionals of the usable val clips, at least one.
    """

    def __init__(
        self, config: LightGBMConfig, inputs: TrainingInputs, train: NDArray[np.float32], val: NDArray[np.float32]
    ) -> None:
        self._config, self._inputs, self._labels = config, inputs, inputs.train_labels
        self._settings = _settings(config, inputs.config.training.seed)
        # Binned once: between boosters only the labels change.
        self._train = lightgbm.Dataset(train, label=self._labels[:, 0], params=self._settings).construct()
        truth = inputs.val.labels[inputs.val.usable, 0]
        self._val = lightgbm.Dataset(val, label=truth, reference=self._train, params=self._settings).construct()

    def train(self, label: int, on_tree: Callable[[BoosterHistory], None]) -> tuple[lightgbm.Booster, BoosterHistory]:
        """Train the booster of a label until no better tree came for ``patience`` trees, or to the last round.

        Not by ``lightgbm.train``: it does not say when no split is left that any tree could make, and would go on.

        Args:
            label: Index of the label.
            on_tree: Called after each tree.

        Returns:
            The booster with all its trees, and how it was trained.
        """
        self._train.set_label(self._labels[:, label])
        booster = lightgbm.Booster(self._settings, self._train).add_valid(self._val, "val")
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

    def _validate(self, booster: lightgbm.Booster, label: int, history: BoosterHistory) -> None:
        current: list[Floats] = []

        def take(predictions: Any, _: lightgbm.Dataset) -> list[tuple[str, float, bool]]:
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


def _settings(config: LightGBMConfig, seed: int) -> dict[str, Any]:
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
