"""The training loop: epochs over shuffled clips, validation on the task's own metric, early stopping, checkpoints."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import numpy as np
import torch
from torch import Tensor
from torch.optim import Adam, AdamW

from eri.config import CORRELATED_CLIPS, GradientTraining, RegularizationConfig
from eri.metrics.intensities import Floats
from eri.metrics.scoring import Validation
from eri.models import Predictor
from eri.training import checkpoint
from eri.training import run_folder as runs
from eri.training.augmentation import Mixing, TrainingPass
from eri.training.data import TrainingInputs
from eri.training.events import Best, EventKind, Listener, Row, TrainingEvent, history_row, write_history
from eri.training.loading import BatchSource, predict_clips
from eri.training.losses import count_clips, create_objective, strongest_labels
from eri.training.optimization import Lookahead, RateControl, average_weights
from eri.training.processes import Positions, cut_batches, gather_sums, plan_steps, share_buffers
from eri.utils.errors import RunError

if TYPE_CHECKING:
    from lightning_fabric import Fabric

_CHECK_EVERY = 16
"""Steps from one check of the loss to the next. A check waits for all that the device has yet to do, so not every step
has one; a loss that is not a number any more is found so many steps late at most."""

Stream = Iterator[tuple[Positions, Any]]  # indices of clips and a model's inputs, in the order of the steps


@dataclass(frozen=True, eq=False)
class TrainData:
    """What serves the train clips and the usable val clips, and the labels of the former, float64 (clips, labels)."""

    train: BatchSource
    labels: Floats
    val: BatchSource


@dataclass
class _EpochProgress:
    """How far an epoch is: steps taken, the sum of the losses of their clips, these clips, and the seconds spent."""

    step: int = 0
    total: float = 0.0
    seen: int = 0
    seconds: float = 0.0


@dataclass
class TrainingState:
    """How far a run is: epochs done, the best of them, a row for each, and how far the next one is."""

    epoch: int = 0
    best: Best = field(default_factory=Best)
    history: list[Row] = field(default_factory=list)
    within: _EpochProgress = field(default_factory=_EpochProgress)


class Trainer:
    """Train a model and keep its run folder so that it can be resumed, also in the middle of an epoch.

    The order of clips is drawn from the seed and the epoch's number, so it does not depend on how often the run was
    interrupted; the generators behind dropout and augmentation are saved with every state. The training pass holds the
    model, on the CPU at first. Several processes take parts of every batch and add up their gradients; the first one
    writes the folder.
    """

    def __init__(
        self,
        inputs: TrainingInputs,
        training_pass: TrainingPass,
        data: TrainData,
        folder: Path,
        fabric: Fabric,
        listener: Listener,
    ) -> None:
        self.config, self.data, self.folder = inputs.config.training_of(GradientTraining), data, folder
        self.model: Predictor = training_pass.model
        self.state = TrainingState()
        self._val, self._fallback, self._scorer, self._rank = inputs.val, inputs.fallback, inputs.scorer, inputs.rank
        self._fabric, self._listener, config = fabric, listener, self.config
        self._objective = create_objective(config.loss, inputs.task, data.labels)
        kind, groups = Adam if config.optimizer == "adam" else AdamW, self.model.parameter_groups()
        self._optimizer = kind(groups, lr=config.learning_rate, weight_decay=config.weight_decay)
        self._rates = RateControl(config, self._optimizer)
        self._wrapped, self._stepper = fabric.setup(training_pass, self._optimizer)
        decay = config.regularization.ema_decay
        self._average = None if decay is None else average_weights(self.model, decay)
        weights = [own for group in self._optimizer.param_groups for own in group["params"]]
        self._lookahead = Lookahead(weights) if config.lookahead else None
        self._labels = torch.from_numpy(data.labels).float().to(fabric.device)
        self._counts = count_clips(strongest_labels(self._labels), self._objective.class_weights).cpu().numpy()
        self._batches = -(-len(data.train.ids) // config.batch_size)
        self._saved = time.monotonic()

    def run(self) -> TrainingState:
        """Train until the last epoch, or until no better one came for ``patience`` epochs."""
        self._report("start", batch=self._batches if self.state.epoch else 0)
        while not self._finished():
            self._epoch()
        self._report("end", batch=self._batches, stopped_early=self.state.epoch < self.config.epochs)
        return self.state

    def resume(self) -> None:
        """Go back to the last state that was saved; RunError where it cannot be read or is of another model."""
        path = self.folder / runs.STATE
        saved = checkpoint.load_state(path)
        try:
            self.model.load_state_dict(saved["model"])
            if self._lookahead is None:
                self._optimizer.load_state_dict(saved["optimizer"])
            else:
                self._optimizer.load_state_dict(saved["optimizer"]["inner"])
                self._lookahead.restore(saved["optimizer"])
            if self._rates.plateau is not None:
                self._rates.plateau.load_state_dict(saved["scheduler"])
            if self._average is not None:
                self._average.module.load_state_dict(saved["average"]["model"])
                self._average.n_averaged.fill_(1 + saved["average"]["steps"])
            checkpoint.restore_generators(saved["generators"])
            within = _EpochProgress(**saved["within"])
            self.state = TrainingState(saved["epoch"], Best(**saved["best"]), saved["history"], within)
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
        rate = float(self._optimizer.param_groups[0]["lr"])
        result = self._validate(loss)
        if self._rates.plateau is not None:
            self._rates.plateau.step(result.score)
        self.state.epoch, self.state.within = epoch, _EpochProgress()
        improved = self.state.best.update(epoch, result)
        seconds = time.perf_counter() - started
        self.state.history.append(history_row(epoch, loss, result, self._scorer, rate, seconds))
        self._save(improved)
        self._report("epoch", loss=loss, batch=self._batches)

    def _learn(self, epoch: int, started: float) -> float:
        """Go over the train clips once, from where the epoch was left; return the mean loss."""
        self.model.train()
        order = np.random.default_rng([self.config.seed, epoch]).permutation(len(self.data.train.ids))
        least = CORRELATED_CLIPS if self.config.loss.correlates else 1
        steps = plan_steps(order, self.config.batch_size, self.config.accumulate, least)
        within = self.state.within
        # Where this process has no clip of a batch, it takes one that is to count nothing.
        batches = [batch for step in steps[within.step :] for batch in step]
        wanted = [own if len(own := self._rank.own(batch)) else batch[:1] for batch in batches]
        stream = iter(self.data.train.at(epoch).batches(wanted))
        done = sum(map(len, steps[: within.step]))
        # In float64 on the device, so that no step waits for it. The sums of all processes are added up, so only one
        # begins with what was there before.
        before = within.total if self._rank.writes else 0.0
        running_loss = torch.tensor(before, dtype=torch.float64, device=self._fabric.device)
        mean = within.total / within.seen if within.seen else None
        for number, step in enumerate(steps[within.step :], start=within.step + 1):
            self._rates.before_step(epoch - 1 + number / len(steps))
            if not self._rank.writes:  # the first process's generators are saved; the others' follow from the step
                torch.manual_seed(checkpoint.derive_seed(self.config.seed, epoch, number, self._rank.index))
            clips, done = sum(map(len, step)), done + len(step)
            running_loss += self._step(step, stream).double() * clips
            within.step, within.seen = number, within.seen + clips
            within.seconds = time.perf_counter() - started
            due = number < len(steps) and time.monotonic() - self._saved >= self.config.save_every
            # Processes have to check together, and each has a clock of its own.
            checked = number % _CHECK_EVERY == 1 or number == len(steps) or (due and self._rank.world_size == 1)
            if checked:
                within.total = gather_sums(self._fabric, float(running_loss))
                self._refuse_divergence(math.isfinite(within.total), epoch)
                mean = within.total / within.seen
            self._report("batch", epoch=epoch, loss=mean, batch=done)
            if checked and due:
                self._save(improved=False)
        return within.total / within.seen

    def _step(self, step: list[Positions], stream: Stream) -> Tensor:
        """Take one step of the optimiser; return what this process's clips add to the mean loss of its clips."""
        self._stepper.zero_grad(set_to_none=True)
        value = (self._joined if self.config.loss.correlates else self._accumulated)(step, stream)
        if self.config.gradient_clip is not None:
            self._fabric.clip_gradients(
                self._wrapped, self._stepper, max_norm=self.config.gradient_clip, error_if_nonfinite=False
            )
        self._stepper.step()
        if self._lookahead is not None:
            self._lookahead.after_step()
        if self._average is not None:
            self._average.update_parameters(self.model)
        return value

    def _joined(self, step: list[Positions], stream: Stream) -> Tensor:
        """Return the loss over all clips of a step at once, which a correlation needs; clips are mixed in batches."""
        parts = [self._pass(*next(stream))[0] for _ in step]
        loss = self._objective(*(torch.cat(part) for part in zip(*parts, strict=True)))
        self._fabric.backward(loss)
        return loss.detach()

    def _accumulated(self, step: list[Positions], stream: Stream) -> Tensor:
        """Add up the gradients of a step batch by batch, so that only one batch is held."""
        clips, total = sum(map(len, step)), sum(float(self._counts[batch].sum()) for batch in step)
        value = torch.zeros((), dtype=torch.float64, device=self._fabric.device)
        for index, batch in enumerate(step):
            own = self._rank.own(batch)
            clip_share = len(own) / clips
            target_share = float(self._counts[own].sum()) / total if total else clip_share
            with self._fabric.no_backward_sync(
                self._wrapped, enabled=self._rank.world_size > 1 and index < len(step) - 1
            ):
                part, auxiliary = self._pass(*next(stream))
                loss = self._objective(*part, clip_share=clip_share, target_share=target_share)
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
        regularization = self.config.regularization
        if isinstance(regularization, RegularizationConfig) and regularization.mixup is not None:
            mixing = Mixing.draw(regularization.mixup, len(positions), labels.device)
            labels, targets = mixing.mix(labels), mixing.mix(targets)
        predictions, raw, auxiliary = self._wrapped(inputs, mixing, labels)
        return (predictions.float(), raw.float(), labels, targets), auxiliary

    @property
    def _validated(self) -> Predictor:
        """The model that is validated and kept."""
        return self.model if self._average is None else cast(Predictor, self._average.module)

    def _validate(self, loss: float) -> Validation:
        """Score the whole val split as evaluation would: clips without features get the fallback."""
        share_buffers(self._validated, self._rank)
        ids = len(self.data.val.ids)
        own = self._rank.own(np.arange(ids))
        served = np.zeros((ids, len(self._fallback)))
        if len(own):
            batches = cut_batches(own, self.config.batch_size)
            report = partial(self._report, "validate", epoch=self.state.epoch + 1, loss=loss, batches=len(batches))
            served[own] = predict_clips(self._validated, self.data.val, batches, lambda done: report(batch=done))
        predictions = np.tile(self._fallback, (len(self._val.labels), 1))
        predictions[self._val.usable] = gather_sums(self._fabric, served)
        self._refuse_divergence(bool(np.isfinite(predictions).all()), self.state.epoch + 1)
        return self._scorer.validate(predictions, self._val.labels)

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
                metadata = {"epoch": str(self.state.epoch), self._scorer.column: str(self.state.best.figure)}
                checkpoint.save_weights(self.folder / runs.WEIGHTS, self._validated, metadata)
            checkpoint.save_state(self.folder / runs.STATE, self._snapshot())
            write_history(self.folder / runs.HISTORY, self.state.history)

    def _snapshot(self) -> dict[str, Any]:
        optimizer, average = self._optimizer.state_dict(), self._average
        return {
            "epoch": self.state.epoch,
            "best": asdict(self.state.best),
            "history": self.state.history,
            "within": asdict(self.state.within),
            "model": self.model.state_dict(),
            "optimizer": optimizer if self._lookahead is None else {"inner": optimizer, **self._lookahead.state()},
            "scheduler": None if self._rates.plateau is None else self._rates.plateau.state_dict(),
            "average": average and {"model": average.module.state_dict(), "steps": int(average.n_averaged) - 1},
            "generators": checkpoint.generator_states(),
        }

    def _report(self, kind: EventKind, **values: Any) -> None:
        state, best = self.state, self.state.best
        figure = state.history[-1].get(self._scorer.column) if state.history else None
        values = {"run": self.folder.name, "epoch": state.epoch, "epochs": self.config.epochs, **values}
        values = {"figure": figure, "best": best.figure, "best_epoch": best.epoch, "batches": self._batches, **values}
        self._listener(TrainingEvent(kind, metric=self._scorer.metric, **values))
