"""The training loop: epochs over shuffled clips, validation on the task's own metric, early stopping, checkpoints."""

from __future__ import annotations

import csv
import io
import math
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import torch
from torch import Tensor

from eri.config import CORRELATED_CLIPS, TrainingConfig
from eri.metrics.intensities import Floats
from eri.metrics.scoring import Scorer, Validation
from eri.models import Predictor
from eri.training import run_folder as runs
from eri.training.augmentation import Mixing, TrainingPass
from eri.training.checkpoint import (
    derive_seed,
    generator_states,
    load_state,
    restore_generators,
    save_state,
    save_weights,
)
from eri.training.events import Listener, TrainingEvent
from eri.training.inference import predict_clips
from eri.training.loading import BatchSource, EpochSource
from eri.training.losses import Objective, strongest_labels
from eri.training.optimization import RateControl, WeightAverage, create_optimizer
from eri.training.processes import (
    SINGLE_PROCESS,
    Positions,
    ProcessRank,
    cut_batches,
    gather_sums,
    plan_steps,
    share_buffers,
)
from eri.training.selection import Best
from eri.utils.errors import RunError
from eri.utils.files import write_text

if TYPE_CHECKING:
    from lightning_fabric import Fabric

LOOK_EVERY = 16
"""Steps from one look to the next. A look waits for all that the device has yet to do, so not every step has one; what
it finds, such as a loss that is no number any more, is found so many steps late at most."""


class RunningLoss:
    """A sum in float64 on a device; the same whenever it is looked at.

    Args:
        device: Where losses are computed.
        total: What the sum begins with.

    Examples:
        >>> tally = RunningLoss(torch.device("cpu"), 1.0)
        >>> tally.add(torch.tensor(0.5), 4)
        >>> tally.look()
        3.0
    """

    def __init__(self, device: torch.device, total: float = 0.0) -> None:
        self._sum = torch.tensor(total, dtype=torch.float64, device=device)

    def add(self, loss: Tensor, clips: int) -> None:
        """Add the mean loss of so many clips, a tensor of one number on the device."""
        self._sum += loss.double() * clips

    def look(self) -> float:
        """Return the sum."""
        return float(self._sum)


def has_look(step: int, steps: int) -> bool:
    """Return whether there is a look after a step, counted from 1: the first, the last, and some between.

    Examples:
        >>> [step for step in range(1, 41) if has_look(step, 40)]
        [1, 17, 33, 40]
    """
    return step % LOOK_EVERY == 1 or step == steps


Row = dict[str, float | int | None]


def history_row(
    epoch: int, loss: float, result: Validation, scorer: Scorer, learning_rate: float, seconds: float
) -> Row:
    """Return the row of one epoch; a figure that is undefined is None."""
    return {
        "epoch": epoch,
        "loss": loss,
        "val_loss": result.loss,
        **scorer.columns(result),
        "learning_rate": learning_rate,
        "seconds": round(seconds, 3),
    }


def write_history(path: Path, rows: Sequence[Row]) -> None:
    """Write all rows in one atomic step; None becomes an empty cell."""
    text = io.StringIO()
    writer = csv.DictWriter(text, fieldnames=list(rows[0]) if rows else ["epoch"], lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    write_text(path, text.getvalue())


Stream = Iterator[tuple[Positions, Any]]
"""Batches in the order of the steps: indices of clips and a model's inputs."""


@dataclass(frozen=True, eq=False)
class TrainData:
    """What the loop works on.

    Attributes:
        train: Serves the train clips.
        train_labels: float64 (train clips, labels), in the order of the loader's ids.
        val: Serves the val clips that have features.
        val_labels: float64 (all val clips, labels).
        val_usable: bool (all val clips,), which of them the loader serves, in the same order.
        fallback: float64 (labels,), the prediction of the other val clips.
        scorer: Of the task.
        objective: What is minimised.
    """

    train: EpochSource
    train_labels: Floats
    val: BatchSource
    val_labels: Floats
    val_usable: np.ndarray[tuple[int], np.dtype[np.bool_]]
    fallback: Floats
    scorer: Scorer
    objective: Objective


@dataclass
class Within:
    """How far an epoch is.

    Attributes:
        step: Steps taken.
        total: Sum of the losses of their clips.
        seen: Clips of them.
        seconds: Spent on them.
    """

    step: int = 0
    total: float = 0.0
    seen: int = 0
    seconds: float = 0.0


@dataclass
class State:
    """How far a run is.

    Attributes:
        epoch: Epochs done.
        best: The best of them.
        history: A row for each of them.
        within: How far the next one is.
    """

    epoch: int = 0
    best: Best = field(default_factory=Best)
    history: list[Row] = field(default_factory=list)
    within: Within = field(default_factory=Within)


class Trainer:
    """Train a model and keep its run folder so that it can be resumed, also in the middle of an epoch.

    The order of clips is drawn from the seed and the epoch's number, so it does not depend on how often the run was
    interrupted; the generators behind dropout and augmentation are saved with every state.

    Several processes take parts of every batch and add up their gradients; the first one writes the folder.

    Args:
        config: Loss, optimisation, regularisation and stopping.
        training_pass: Holds the model, on the CPU.
        data: What it learns from.
        folder: The run folder.
        fabric: Device, precision and processes.
        listener: Called with each event.
        rank: Which of the processes this is.
    """

    def __init__(
        self,
        config: TrainingConfig,
        training_pass: TrainingPass,
        data: TrainData,
        folder: Path,
        fabric: Fabric,
        listener: Listener,
        rank: ProcessRank = SINGLE_PROCESS,
    ) -> None:
        self.config, self.data, self.folder = config, data, folder
        self.model: Predictor = training_pass.model
        self.state = State()
        self._fabric, self._listener, self._rank = fabric, listener, rank
        self._optimizer = create_optimizer(config, self.model.parameter_groups())
        self._rates = RateControl(config, self._optimizer)
        self._wrapped, self._stepper = fabric.setup(training_pass, self._optimizer)
        decay = config.regularization.ema_decay
        self._average = None if decay is None else WeightAverage(self.model, decay)
        self._labels = torch.from_numpy(data.train_labels).float().to(fabric.device)
        self._counts = data.objective.counts(strongest_labels(self._labels)).cpu().numpy()
        self._batches = -(-len(data.train.ids) // config.batch_size)
        self._saved = time.monotonic()

    def run(self) -> State:
        """Train until the last epoch, or until no better one came for ``patience`` epochs."""
        self._tell("start", batch=self._batches if self.state.epoch else 0)
        while not self._finished():
            self._epoch()
        self._tell("end", batch=self._batches, stopped_early=self.state.epoch < self.config.epochs)
        return self.state

    def resume(self) -> None:
        """Go back to the last state that was saved.

        Raises:
            RunError: The saved state cannot be read or is of another model.
        """
        path = self.folder / runs.STATE
        saved = load_state(path)
        try:
            self.model.load_state_dict(saved["model"])
            self._optimizer.load_state_dict(saved["optimizer"])
            self._rates.restore(saved["scheduler"])
            if self._average is not None:
                self._average.restore(saved["average"])
            restore_generators(saved["generators"])
            within = Within(**saved["within"])
            self.state = State(saved["epoch"], Best(**saved["best"]), saved["history"], within)
        except (KeyError, TypeError, ValueError, RuntimeError) as error:
            raise RunError(
                f"{path}: not the state of this run: {error}", hint="Start over with --overwrite."
            ) from error
        if self._rank.writes:
            write_history(self.folder / runs.HISTORY, self.state.history)

    def _epoch(self) -> None:
        started = time.perf_counter() - self.state.within.seconds
        epoch = self.state.epoch + 1
        loss = self._learn(epoch, started)
        rate = self._rates.rate
        result = self._validate()
        self._rates.after_epoch(result.score)
        self.state.epoch, self.state.within = epoch, Within()
        improved = self.state.best.update(epoch, result)
        seconds = time.perf_counter() - started
        self.state.history.append(history_row(epoch, loss, result, self.data.scorer, rate, seconds))
        self._save(improved)
        self._tell("epoch", loss=loss, batch=self._batches)

    def _learn(self, epoch: int, started: float) -> float:
        """Go over the train clips once, from where the epoch was left; return the mean loss."""
        self.model.train()
        order = np.random.default_rng([self.config.seed, epoch]).permutation(len(self.data.train.ids))
        least = CORRELATED_CLIPS if self.config.loss.correlates else 1
        steps = plan_steps(order, self.config.batch_size, self.config.accumulate, least)
        within = self.state.within
        wanted = [self._taken(batch) for step in steps[within.step :] for batch in step]
        stream = iter(self.data.train.at(epoch).batches(wanted))
        done = sum(map(len, steps[: within.step]))
        # The sums of all processes are added up, so only one begins with what was there before.
        tally = RunningLoss(self._fabric.device, within.total if self._rank.writes else 0.0)
        mean = within.total / within.seen if within.seen else None
        for number, step in enumerate(steps[within.step :], start=within.step + 1):
            self._rates.before_step(epoch - 1 + number / len(steps))
            self._seed_step(epoch, number)
            value = self._step(step, stream)
            clips, done = sum(map(len, step)), done + len(step)
            tally.add(value, clips)
            within.step, within.seen = number, within.seen + clips
            within.seconds = time.perf_counter() - started
            due = number < len(steps) and time.monotonic() - self._saved >= self.config.save_every
            # Processes have to look together, and each has a clock of its own.
            looked = has_look(number, len(steps)) or (due and self._rank.world_size == 1)
            if looked:
                within.total = gather_sums(self._fabric, tally.look())
                self._refuse_divergence(math.isfinite(within.total), epoch)
                mean = within.total / within.seen
            self._tell("batch", epoch=epoch, loss=mean, batch=done)
            if looked and due:
                self._save(improved=False)
        return within.total / within.seen

    def _taken(self, batch: Positions) -> Positions:
        """Return this process's clips of a batch; where it has none, one that is to count nothing."""
        own = self._rank.own(batch)
        return own if len(own) else batch[:1]

    def _seed_step(self, epoch: int, step: int) -> None:
        if not self._rank.writes:  # the first process's generators are saved; the others' follow from the step
            torch.manual_seed(derive_seed(self.config.seed, epoch, step, self._rank.index))

    def _step(self, step: list[Positions], stream: Stream) -> Tensor:
        """Take one step of the optimiser; return what this process's clips add to the mean loss of its clips."""
        self._stepper.zero_grad(set_to_none=True)
        value = (self._joined if self.config.loss.correlates else self._accumulated)(step, stream)
        if self.config.gradient_clip is not None:
            self._fabric.clip_gradients(
                self._wrapped, self._stepper, max_norm=self.config.gradient_clip, error_if_nonfinite=False
            )
        self._stepper.step()
        if self._average is not None:
            self._average.update(self.model)
        return value

    def _joined(self, step: list[Positions], stream: Stream) -> Tensor:
        """Return the loss over all clips of a step at once, which a correlation needs; clips are mixed in batches."""
        parts = [self._pass(*next(stream))[0] for _ in step]
        loss = self.data.objective(*(torch.cat(part) for part in zip(*parts, strict=True)))
        self._fabric.backward(loss)
        return loss.detach()

    def _accumulated(self, step: list[Positions], stream: Stream) -> Tensor:
        """Add up the gradients of a step batch by batch, so that only one batch is held."""
        counts = [float(self._counts[batch].sum()) for batch in step]
        clips, total = sum(map(len, step)), sum(counts)
        value = torch.zeros((), dtype=torch.float64, device=self._fabric.device)
        for index, batch in enumerate(step):
            own = self._rank.own(batch)
            clip_share = len(own) / clips
            target_share = float(self._counts[own].sum()) / total if total else clip_share
            with self._fabric.no_backward_sync(
                self._wrapped, enabled=self._rank.world_size > 1 and index < len(step) - 1
            ):
                part, auxiliary = self._pass(*next(stream))
                loss = self.data.objective(*part, clip_share=clip_share, target_share=target_share)
                if auxiliary is not None:
                    loss = loss + clip_share * auxiliary
                # Processes average their gradients; the shares ask for the sum.
                self._fabric.backward(loss * self._rank.world_size if self._rank.world_size > 1 else loss)
            value += loss.detach()
        return value

    def _pass(self, positions: Positions, inputs: Any) -> tuple[tuple[Tensor, ...], Tensor | None]:
        """Return predictions, raw outputs, labels and targets, (clips, labels) each, and the model's own loss."""
        labels = self._labels[torch.from_numpy(positions).to(self._labels.device, non_blocking=True)]
        targets, mixing = strongest_labels(labels), None
        concentration = self.config.regularization.mixup
        if concentration is not None:
            mixing = Mixing.draw(concentration, len(positions), labels.device)
            labels, targets = mixing.mix(labels), mixing.mix(targets)
        predictions, raw, auxiliary = self._wrapped(inputs, mixing, labels)
        return (predictions.float(), raw.float(), labels, targets), auxiliary

    @property
    def _judged(self) -> Predictor:
        """The model that is validated and kept."""
        return self.model if self._average is None else self._average.model

    def _validate(self) -> Validation:
        """Score the whole val split as evaluation would: clips without features get the fallback."""
        share_buffers(self._judged, self._rank)
        ids = len(self.data.val.ids)
        own = self._rank.own(np.arange(ids))
        served = np.zeros((ids, len(self.data.fallback)))
        if len(own):
            served[own] = predict_clips(self._judged, self.data.val, cut_batches(own, self.config.batch_size))
        predictions = np.tile(self.data.fallback, (len(self.data.val_labels), 1))
        predictions[self.data.val_usable] = gather_sums(self._fabric, served)
        self._refuse_divergence(bool(np.isfinite(predictions).all()), self.state.epoch + 1)
        return self.data.scorer.validate(predictions, self.data.val_labels)

    def _refuse_divergence(self, finite: bool, epoch: int) -> None:
        if not finite:
            raise RunError(
                f"{self.folder}: training diverged in epoch {epoch}, its numbers are no longer finite",
                hint="Lower training.learning_rate, set training.gradient_clip, or leave bf16 for training.precision "
                "float32, and begin with --overwrite.",
            )

    def _finished(self) -> bool:
        waited = self.state.epoch - self.state.best.epoch
        return self.state.epoch >= self.config.epochs or (self.state.epoch > 0 and waited >= self.config.patience)

    def _save(self, improved: bool) -> None:
        self._saved = time.monotonic()
        if not self._rank.writes:
            return
        # Weights first: when the process dies between the two, the epoch is done again and writes the same weights.
        with runs.writing(self.folder):
            if improved:
                metadata = {"epoch": str(self.state.epoch), self.data.scorer.column: str(self.state.best.figure)}
                save_weights(self.folder / runs.WEIGHTS, self._judged, metadata)
            save_state(self.folder / runs.STATE, self._snapshot())
            write_history(self.folder / runs.HISTORY, self.state.history)

    def _snapshot(self) -> dict[str, Any]:
        return {
            "epoch": self.state.epoch,
            "best": asdict(self.state.best),
            "history": self.state.history,
            "within": asdict(self.state.within),
            "model": self.model.state_dict(),
            "optimizer": self._optimizer.state_dict(),
            "scheduler": self._rates.state(),
            "average": None if self._average is None else self._average.state(),
            "generators": generator_states(),
        }

    def _tell(self, kind: Literal["start", "batch", "epoch", "end"], **values: Any) -> None:
        latest = self.state.history[-1] if self.state.history else {}
        known = {
            "run": self.folder.name,
            "epoch": self.state.epoch,
            "epochs": self.config.epochs,
            "batches": self._batches,
            "figure": latest.get(self.data.scorer.column),
            "best": self.state.best.figure,
            "metric": self.data.scorer.metric,
            "best_epoch": self.state.best.epoch,
        }
        self._listener(TrainingEvent(kind, **{**known, **values}))
