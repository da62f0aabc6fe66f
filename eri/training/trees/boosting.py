"""Growing one booster tree by tree, and choosing by the validation split how many trees it keeps."""

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
from eri.config.tasks import Task
from eri.metrics.intensities import Floats
from eri.metrics.scoring import validate_intensities
from eri.training.selection import Best


@dataclass(frozen=True, eq=False)
class Judge:
    """How a booster's predictions are scored: over the whole val split, as evaluation would.

    Attributes:
        labels: float64 (val clips, labels).
        usable: bool (val clips,), which of them the booster predicts; the others get the fallback.
        fallback: float64 (labels,).
        task: For the range that predictions are clipped to.
    """

    labels: Floats
    usable: NDArray[np.bool_]
    fallback: Floats
    task: Task

    def whole(self, predictions: Floats, label: int) -> Floats:
        """Return predictions of the whole val split, (val clips,), from those of its usable clips."""
        result = np.full(len(self.labels), self.fallback[label])
        result[self.usable] = np.clip(predictions, self.task.low, self.task.high)
        return result


@dataclass(eq=False)
class Growth:
    """How one booster grew, a value a tree.

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


class Grower:
    """Grows boosters on the same clips, one label after the other.

    Trees are grown with LightGBM (Ke et al. 2017) on squared error. The clips and features that a tree may see are
    drawn from the seed; the same seed gives the same boosters, whatever the number of threads.

    Args:
        config: Of the boosters.
        seed: Of the draws.
        train: Functionals of the train clips, (clips, values); NaN is missing.
        labels: float64 (clips, labels).
        val: Functionals of the usable val clips.
        judge: How to score them.
    """

    def __init__(
        self,
        config: LightGBMConfig,
        seed: int,
        train: NDArray[np.float32],
        labels: Floats,
        val: NDArray[np.float32],
        judge: Judge,
    ) -> None:
        self._config, self._labels, self._judge = config, labels, judge
        self._settings = _settings(config, seed)
        # Binned once: between boosters only the labels change.
        self._train = lightgbm.Dataset(train, label=labels[:, 0], params=self._settings).construct()
        self._val = None
        if len(val):
            truth = judge.labels[judge.usable, 0]
            self._val = lightgbm.Dataset(val, label=truth, reference=self._train, params=self._settings).construct()

    def grow(self, label: int, on_tree: Callable[[Growth], None]) -> tuple[lightgbm.Booster, Growth]:
        """Grow the booster of a label until no better tree came for ``patience`` trees, or to the last round.

        Args:
            label: Index of the label.
            on_tree: Called after each tree.

        Returns:
            The booster with all its trees, and how it grew.
        """
        self._train.set_label(self._labels[:, label])
        booster = lightgbm.Booster(self._settings, self._train)
        if self._val is not None:
            booster.add_valid(self._val, "val")
        growth = Growth()
        while len(growth.pearson) < self._config.rounds and self._patient(growth):
            started = time.perf_counter()
            stuck = booster.update()
            self._measure(booster, label, growth)
            growth.seconds.append(time.perf_counter() - started)
            on_tree(growth)
            if stuck:  # no split is left that any tree could make
                break
        return booster, growth

    def _patient(self, growth: Growth) -> bool:
        patience = self._config.patience
        return patience is None or len(growth.pearson) - growth.best.epoch < patience

    def _measure(self, booster: lightgbm.Booster, label: int, growth: Growth) -> None:
        train_loss = next(entry[2] for entry in booster.eval_train() if entry[1] == "l2")
        predictions = self._judge.whole(self._predictions(booster), label)
        result = validate_intensities(predictions[:, None], self._judge.labels[:, [label]])
        growth.train_loss.append(float(train_loss))
        growth.val_loss.append(result.loss)
        growth.pearson.append(float(result.labels[0]))
        if self._config.patience is None:
            growth.best = Best()  # nothing is chosen: the latest tree is kept
        # On a few clips a label's Pearson goes up and down by chance; its squared error is steadier to choose by.
        if growth.best.update(len(growth.pearson), replace(result, score=-result.loss)):
            growth.predictions = predictions

    def _predictions(self, booster: lightgbm.Booster) -> Floats:
        """Return what LightGBM keeps up to date while it grows, rather than run all trees anew."""
        kept: list[Floats] = []

        def take(predictions: Any, _: lightgbm.Dataset) -> tuple[str, float, bool]:
            kept.append(np.array(predictions, dtype=np.float64))
            return "taken", 0.0, True

        if self._val is not None:
            booster.eval_valid(feval=take)
        return kept[0] if kept else np.zeros(0)


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
