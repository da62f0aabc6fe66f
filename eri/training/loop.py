"""The training loop: epochs over shuffled clips, validation on the task's own metric, early stopping, checkpoints."""

from __future__ import annotations

import math
import time
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import torch
from torch import Tensor
from torch.optim import Adam, AdamW, Optimizer
from torch.optim.lr_scheduler import ReduceLROnPlateau

from eri.config import CORRELATED_CLIPS, TrainingConfig
from eri.errors import RunError
from eri.metrics import Floats
from eri.models import Regressor
from eri.scoring import Scorer, Validation
from eri.training import runs
from eri.training.augmentation import Mixing, TrainingPass
from eri.training.averaging import WeightAverage
from eri.training.checkpoint import (
    generator_states,
    load_state,
    restore_generators,
    save_state,
    save_weights,
)
from eri.training.drawing import DrawingLoader
from eri.training.events import Listener, TrainingEvent
from eri.training.history import Row, history_row, write_history
from eri.training.inference import predict_clips
from eri.training.loading import Batch, Loader, steps
from eri.training.losses import Objective, strongest_labels
from eri.training.selection import Best

if TYPE_CHECKING:
    from lightning_fabric import Fabric

_PLATEAU_FACTOR, _PLATEAU_PATIENCE, _PLATEAU_FLOOR = 0.5, 5, 1e-5
"""The organisers' baseline halves the rate after five epochs without a better score, down to 1e-5."""


@dataclass(frozen=True, eq=False)
class Material:
    """What the loop works on.

    Attributes:
        train: Batches of the train clips.
        train_labels: float64 (train clips, labels), in the order of the loader's ids.
        val: Batches of the val clips that have features.
        val_labels: float64 (all val clips, labels).
        val_usable: bool (all val clips,), which of them the loader serves, in the same order.
        fallback: float64 (labels,), the prediction of the other val clips.
        scorer: Of the task.
        objective: What is minimised.
    """

    train: Loader | DrawingLoader
    train_labels: Floats
    val: Loader
    val_labels: Floats
    val_usable: np.ndarray[tuple[int], np.dtype[np.bool_]]
    fallback: Floats
    scorer: Scorer
    objective: Objective


@dataclass
class State:
    """How far a run is.

    Attributes:
        epoch: Epochs done.
        best: The best of them.
        history: A row for each of them.
    """

    epoch: int = 0
    best: Best = field(default_factory=Best)
    history: list[Row] = field(default_factory=list)


class Trainer:
    """Train a model and keep its run folder so that it can be resumed after any epoch.

    The order of clips is drawn from the seed and the epoch's number, so it does not depend on how often the run was
    interrupted; the generators behind dropout and augmentation are saved with every epoch.

    Args:
        config: Loss, optimisation, regularisation and stopping.
        model: On the CPU, with its standardisation.
        material: What it learns from.
        folder: The run folder.
        fabric: Device and precision.
        listener: Called with each event.
    """

    def __init__(
        self,
        config: TrainingConfig,
        model: Regressor,
        material: Material,
        folder: Path,
        fabric: Fabric,
        listener: Listener,
    ) -> None:
        self.config, self.model, self.material, self.folder = config, model, material, folder
        self.state = State()
        self._fabric, self._listener = fabric, listener
        self._optimizer = _create_optimizer(config, model)
        self._objective = material.objective
        self._wrapped, self._stepper = fabric.setup(TrainingPass(model, config.regularization), self._optimizer)
        decay = config.regularization.ema_decay
        self._average = None if decay is None else WeightAverage(model, decay)
        self._scheduler = _create_scheduler(config, self._optimizer)
        self._labels = torch.from_numpy(material.train_labels).float().to(fabric.device)

    def run(self) -> State:
        """Train until the last epoch, or until no better one came for ``patience`` epochs."""
        batches = len(self.material.train)
        self._tell("start", batch=batches if self.state.epoch else 0)
        while not self._finished():
            self._epoch()
        self._tell("end", batch=batches, stopped_early=self.state.epoch < self.config.epochs)
        return self.state

    def resume(self) -> None:
        """Go back to the end of the last epoch that was completed.

        Raises:
            RunError: The saved state cannot be read or is of another model.
        """
        path = self.folder / runs.STATE
        saved = load_state(path)
        try:
            self.model.load_state_dict(saved["model"])
            self._optimizer.load_state_dict(saved["optimizer"])
            if self._scheduler is not None:
                self._scheduler.load_state_dict(saved["scheduler"])
            if self._average is not None:
                self._average.restore(saved["average"])
            restore_generators(saved["generators"])
            self.state = State(saved["epoch"], Best(**saved["best"]), saved["history"])
        except (KeyError, TypeError, ValueError, RuntimeError) as error:
            raise RunError(
                f"{path}: not the state of this run: {error}", hint="Start over with --overwrite."
            ) from error
        write_history(self.folder / runs.HISTORY, self.state.history)

    def _epoch(self) -> None:
        started = time.perf_counter()
        epoch = self.state.epoch + 1
        rate = float(self._optimizer.param_groups[0]["lr"])
        loss = self._learn(epoch)
        result = self._validate()
        if self._scheduler is not None:
            self._scheduler.step(result.score)
        self.state.epoch = epoch
        improved = self.state.best.update(epoch, result)
        seconds = time.perf_counter() - started
        self.state.history.append(history_row(epoch, loss, result, self.material.scorer, rate, seconds))
        self._save(improved)
        self._tell("epoch", loss=loss, batch=len(self.material.train))

    def _learn(self, epoch: int) -> float:
        """Go over the train clips once; return the mean loss."""
        self.model.train()
        order = np.random.default_rng([self.config.seed, epoch]).permutation(len(self.material.train.ids))
        least = CORRELATED_CLIPS if self.config.loss.correlates else 1
        total, seen, done = 0.0, 0, 0
        batches = self.material.train.at(epoch).batches(order)
        for step in steps(batches, self.config.accumulate, least):
            loss = self._loss(step)
            value = loss.item()
            self._refuse_divergence(math.isfinite(value), epoch)
            self._step(loss)
            clips = sum(len(positions) for positions, _ in step)
            total, seen, done = total + value * clips, seen + clips, done + len(step)
            self._tell("batch", epoch=epoch, loss=total / seen, batch=done)
        return total / seen

    def _loss(self, step: list[Batch]) -> Tensor:
        """Return the loss over all clips of a step; clips are mixed within their batch."""
        parts: list[tuple[Tensor, ...]] = []
        concentration = self.config.regularization.mixup
        for positions, inputs in step:
            labels = self._labels[torch.from_numpy(positions).to(self._labels.device)]
            targets, mixing = strongest_labels(labels), None
            if concentration is not None:
                mixing = Mixing.draw(concentration, len(positions), labels.device)
                labels, targets = mixing.mix(labels), mixing.mix(targets)
            intensities, raw = self._wrapped(inputs, mixing)
            parts.append((intensities.float(), raw.float(), labels, targets))
        return self._objective(*(torch.cat(part) for part in zip(*parts, strict=True)))

    def _step(self, loss: Tensor) -> None:
        self._stepper.zero_grad(set_to_none=True)
        self._fabric.backward(loss)
        if self.config.gradient_clip is not None:
            self._fabric.clip_gradients(
                self._wrapped, self._stepper, max_norm=self.config.gradient_clip, error_if_nonfinite=False
            )
        self._stepper.step()
        if self._average is not None:
            self._average.update(self.model)

    @property
    def _judged(self) -> Regressor:
        """The model that is validated and kept."""
        return self.model if self._average is None else self._average.model

    def _validate(self) -> Validation:
        """Score the whole val split as evaluation would: clips without features get the fallback."""
        predictions = np.tile(self.material.fallback, (len(self.material.val_labels), 1))
        predictions[self.material.val_usable] = predict_clips(self._judged, self.material.val)
        self._refuse_divergence(bool(np.isfinite(predictions).all()), self.state.epoch + 1)
        return self.material.scorer.validate(predictions, self.material.val_labels)

    def _refuse_divergence(self, finite: bool, epoch: int) -> None:
        if not finite:
            raise RunError(
                f"{self.folder}: training diverged in epoch {epoch}, its numbers are no longer finite",
                hint="Lower training.learning_rate or set training.gradient_clip, and begin with --overwrite.",
            )

    def _finished(self) -> bool:
        waited = self.state.epoch - self.state.best.epoch
        return self.state.epoch >= self.config.epochs or (self.state.epoch > 0 and waited >= self.config.patience)

    def _save(self, improved: bool) -> None:
        # Weights first: when the process dies between the two, the epoch is done again and writes the same weights.
        with runs.writing(self.folder):
            if improved:
                metadata = {"epoch": str(self.state.epoch), self.material.scorer.column: str(self.state.best.figure)}
                save_weights(self.folder / runs.WEIGHTS, self._judged, metadata)
            save_state(self.folder / runs.STATE, self._snapshot())
            write_history(self.folder / runs.HISTORY, self.state.history)

    def _snapshot(self) -> dict[str, Any]:
        return {
            "epoch": self.state.epoch,
            "best": asdict(self.state.best),
            "history": self.state.history,
            "model": self.model.state_dict(),
            "optimizer": self._optimizer.state_dict(),
            "scheduler": None if self._scheduler is None else self._scheduler.state_dict(),
            "average": None if self._average is None else self._average.state(),
            "generators": generator_states(),
        }

    def _tell(self, kind: Literal["start", "batch", "epoch", "end"], **values: Any) -> None:
        latest = self.state.history[-1] if self.state.history else {}
        known = {
            "run": self.folder.name,
            "epoch": self.state.epoch,
            "epochs": self.config.epochs,
            "batches": len(self.material.train),
            "figure": latest.get(self.material.scorer.column),
            "best": self.state.best.figure,
            "metric": self.material.scorer.metric,
            "best_epoch": self.state.best.epoch,
        }
        self._listener(TrainingEvent(kind, **{**known, **values}))


def _create_optimizer(config: TrainingConfig, model: Regressor) -> Optimizer:
    kind = Adam if config.optimizer == "adam" else AdamW
    return kind(model.parameter_groups(), lr=config.learning_rate, weight_decay=config.weight_decay)


def _create_scheduler(config: TrainingConfig, optimizer: Optimizer) -> ReduceLROnPlateau | None:
    if not config.reduce_on_plateau:
        return None
    return ReduceLROnPlateau(
        optimizer,
        mode="max",
        factor=_PLATEAU_FACTOR,
        patience=_PLATEAU_PATIENCE,
        threshold=0.0,
        threshold_mode="abs",
        min_lr=_PLATEAU_FLOOR,
    )
