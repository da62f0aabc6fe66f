"""Searching the settings of a config with Optuna, in one process or several, so that a kill loses no finished trial."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import optuna
import pandas as pd
import yaml
from filelock import FileLock
from optuna.trial import TrialState

from eri.config import ExperimentConfig, Runtime
from eri.data.clips import ClipTable
from eri.evaluation import study as studies
from eri.evaluation.cross_validation import digest_folds, score_table, scorer_of
from eri.evaluation.evaluate import predict
from eri.evaluation.events import TrialEnded, ignore
from eri.evaluation.folds import Fold, FoldPlan, make_folds
from eri.evaluation.jobs import Executor, Job, JobContext, Listener
from eri.evaluation.search_space import Space, Value, configured, refuse_misfits
from eri.extraction.run import EngineName
from eri.training import TrainingEvent, train
from eri.training.run_folder import run_path, writing
from eri.utils.errors import ConfigError, DataError, RunError
from eri.utils.files import digest, write_text
from eri.utils.tables import Shown, Summary

UNDEFINED = -1.0
"""The value of a trial whose score is undefined: worse than any."""

ReportStep = Callable[[int, float, float], None]
"""Takes the number of epochs or folds that are done, the best score so far, and the largest that can still be reached;
what it raises ends the trial."""


@dataclass(frozen=True, repr=False)
class SearchReport(Shown):
    """The result of a search.

    Attributes:
        path: Its folder.
        best: File of the best config, ready to be trained; None when no trial was completed.
        metric: What the search maximises: ``Pearson`` (the mean over labels) or ``WAR``.
        value: That of the best trial on the clips that chose it.
        values: Its settings.
        complete: Number of trials trained to the end.
        pruned: Number of trials stopped early.
        failed: Number of trials that could not be trained.
        notes: What a reader of the score should know.
    """

    path: Path
    best: Path | None
    metric: str
    value: float | None
    values: dict[str, Value]
    complete: int
    pruned: int
    failed: int
    notes: tuple[str, ...]

    def as_table(self) -> Summary:
        """Return the best settings."""
        title = f"{self.path.name}: {self.complete} trials complete, {self.pruned} pruned, {self.failed} failed"
        best = () if self.best is None else (f"best validation {self.metric} {self.value}: {self.best}",)
        return Summary(title, ("setting", "best"), list(self.values.items()), notes=(*best, *self.notes))


def search(
    config: ExperimentConfig,
    space: Space,
    table: ClipTable,
    features: Path,
    runs: Path,
    runtime: Runtime = Runtime(),
    *,
    trials: int = 50,
    pruning: studies.Pruning = "median",
    plan: FoldPlan | None = None,
    floor: float | None = None,
    seed: int = 0,
    name: str | None = None,
    resume: bool = False,
    engine: EngineName = "local",
    address: str | None = None,
    on_event: Listener = ignore,
) -> SearchReport:
    """Search settings for the largest mean Pearson on the val split, or the largest WAR where labels are classes.

    Values are sampled by the tree-structured Parzen estimator (Bergstra et al. 2011). A trial is a run of its own; one
    that was killed is tried again from its last whole epoch. Any number of processes, started by ``runtime.workers`` or
    by hand with ``resume``, may work on one study at a time.

    Args:
        config: The system.
        space: What is searched, see :func:`eri.evaluation.search_space.read_space`.
        table: Its train and val splits need labels.
        features: Folder of the feature store; searched settings of extractors need features of each value.
        runs: Folder that the study's folder is made in.
        runtime: Its device and ``workers`` are used: so many trials at a time.
        trials: Number of trials of the study when it ends, those that were pruned or failed among them.
        pruning: When a trial is stopped early: worse than the ``median`` of the others at the same epoch; by
            asynchronous successive halving (``asha``; Li et al. 2020); or ``none``. Over folds a step is a fold.
        plan: Folds of the labelled train and val clips to score each trial on, in place of the val split.
        floor: Of classes over folds: a trial is stopped once its WAR cannot reach this share any more.
        seed: Seed of the sampling.
        name: Name of the study's folder; None is ``<config>-search``.
        resume: Go on with the study of this name, also while other processes do.
        engine: ``local``, or ``ray``: each trial is a task of a Ray cluster, whose nodes see ``runs`` and ``features``.
        address: Address of that cluster; None starts Ray on this machine.
        on_event: Called with a :class:`~eri.evaluation.events.TrialEnded` for each trial, and, unless on a cluster,
            with the :class:`~eri.training.events.TrainingEvent` of each of its epochs.

    Raises:
        ConfigError: A value of the space does not fit the config; or there is a floor, but no folds of classes.
        RunError: The study is there already, or is resumed with another space, config or data; or every trial failed.
        DataError: No labelled train or val clips with features, or folds that cannot be made.
        ClusterError: The cluster cannot be used.
    """
    refuse_misfits(config, space)
    _refuse_floor(table, plan, floor)
    objective, protocol = _create_objective(table, features, runtime, plan)
    path = run_path(runs, name if name is not None else f"{config.name}-search")
    settings: dict[str, Any] = {
        "config": config.model_dump(mode="json"),
        "space": {key: parameter.model_dump(mode="json") for key, parameter in space.items()},
        "data": {"name": table.name, "fingerprint": table.fingerprint, "task": table.task.name},
        "protocol": protocol,
    }
    studies.begin(path, settings, resume=resume)
    searcher = _Searcher(path, config, dict(space), objective, trials, pruning, floor, seed)
    tries = {f"trial {number}": None for number in range(searcher.missing())}
    executor = Executor(runtime.workers, engine, address)
    for _, ended in executor.run(searcher.run_one, tries, path, runtime, on_event):
        if ended is not None:
            on_event(ended)
    return searcher.report(scorer_of(table.task).metric)


class Objective(Protocol):
    """One way to score a config."""

    def __call__(
        self, config: ExperimentConfig, runs: Path, name: str, on_step: ReportStep, on_event: Listener
    ) -> float:
        """Train a config, going on with what is there, and return its score; larger is better.

        Args:
            config: The system.
            runs: Folder that the trial's folder is made in.
            name: Name of that folder.
            on_step: Called after each step.
            on_event: Called with the events of training.

        Raises:
            ConfigError: The config contradicts itself.
            RunError: Training failed.
        """
        ...


@dataclass(frozen=True, eq=False)
class SplitObjective:
    """Trains on the train split and scores on the val split, which also chooses the epoch; a step is an epoch."""

    table: ClipTable
    features: Path
    runtime: Runtime

    def __call__(
        self, config: ExperimentConfig, runs: Path, name: str, on_step: ReportStep, on_event: Listener
    ) -> float:
        """See :meth:`Objective.__call__`."""

        def report(event: TrainingEvent) -> None:
            if event.kind != "batch":
                on_event(event)
            if event.kind == "epoch":
                on_step(event.epoch, UNDEFINED if event.best is None else event.best, math.inf)

        run = train(config, self.table, self.features, runs, self.runtime, name=name, resume=True, on_event=report)
        ids = [clip.id for clip in self.table.split("val") if clip.labels is not None]
        return _value(predict(run, self.table, self.features, "val", self.runtime).loc[ids], self.table)


@dataclass(frozen=True, eq=False)
class FoldObjective:
    """Trains on each fold, and scores all clips by the models that they were held out of; a step is a fold.

    Of classes the score still within reach is known after every fold: that of all remaining clips decided correctly. A
    search with a floor gives a trial up once that is below it, as Haddad et al. 2020 prune trials under 96.5 %.
    """

    table: ClipTable
    features: Path
    runtime: Runtime
    folds: tuple[Fold, ...]

    def __call__(
        self, config: ExperimentConfig, runs: Path, name: str, on_step: ReportStep, on_event: Listener
    ) -> float:
        """See :meth:`Objective.__call__`."""
        context = JobContext(self.table, self.features, runs / name, self.runtime)
        total = sum(len(fold.score) for fold in self.folds)
        held_out: list[pd.DataFrame] = []
        value = UNDEFINED
        for number, fold in enumerate(self.folds, start=1):
            job = Job(config, fold, f"repeat{fold.repeat}-fold{fold.number}")
            held_out.append(context.train(job, on_event).held_out)
            scored = pd.concat(held_out)
            value = _value(scored, self.table)
            reachable = math.inf
            if self.table.task.kind == "classification":
                reachable = (value * len(scored) + total - len(scored)) / total
            on_step(number, value, reachable)
        return value


def _value(predictions: pd.DataFrame, table: ClipTable) -> float:
    value = score_table(predictions, table, resamples=0).score
    return UNDEFINED if value is None else value


def _create_objective(
    table: ClipTable, features: Path, runtime: Runtime, plan: FoldPlan | None
) -> tuple[Objective, dict[str, Any]]:
    """Return what scores trials, and what of it must be the same when a search is resumed."""
    if plan is None:
        return SplitObjective(table, features, runtime), {}
    clips = tuple(clip for clip in table if clip.split in ("train", "val") and clip.labels is not None)
    if not clips:
        raise DataError(f"{table.name}: no clip of train or val has labels")
    folds = make_folds(clips, plan, classes=table.task.classes, official=table.folds)
    return FoldObjective(table, features, runtime, folds), {"folds": digest_folds(folds)}


def _refuse_floor(table: ClipTable, plan: FoldPlan | None, floor: float | None) -> None:
    """Refuse a floor where what is still within reach is not known."""
    if floor is None:
        return
    if plan is None or table.task.kind != "classification":
        raise ConfigError(
            "a floor gives a trial up once it can no longer reach it, which only folds of a classification show",
            hint="Search over folds of classes (--folds, --leave-one-group-out), or use --pruning median.",
        )
    if not 0 <= floor <= 1:
        raise ConfigError(f"the floor {floor:g} is a share of the clips", hint="Give 0.965 for 96.5 %.")


@dataclass(frozen=True, eq=False)
class _Searcher:
    """Runs trials of a study, in any process."""

    path: Path
    config: ExperimentConfig
    space: Mapping[str, Any]
    objective: Objective
    trials: int
    pruning: studies.Pruning
    floor: float | None
    seed: int

    def missing(self) -> int:
        """Return how many trials the study lacks."""
        with studies.lock_study(self.path):
            study = studies.open_study(self.path, self.pruning)
            studies.give_up_dead(study, self.path)
            return max(0, self.trials - studies.count_trials(study))

    def run_one(self, _: None, on_event: Listener) -> TrialEnded | None:
        """Run the next trial; None when other processes have begun the last."""
        study = studies.open_study(self.path, self.pruning)
        with studies.next_trial(study, self.path, self.trials, self.seed) as trial:
            if trial is None:
                return None
            values = {key: parameter.suggest(trial, key) for key, parameter in self.space.items()}
            ended = self._run(trial, values, on_event)
            match ended.state:
                case "complete":
                    study.tell(trial, ended.value)
                    self._keep_best(study)
                case "pruned":
                    study.tell(trial, state=TrialState.PRUNED)
                case "failed":
                    trial.set_user_attr(studies.ERROR, ended.error)
                    study.tell(trial, state=TrialState.FAIL)
            return ended

    def _run(self, trial: optuna.Trial, values: dict[str, Value], on_event: Listener) -> TrialEnded:
        def report(step: int, value: float, reachable: float) -> None:
            trial.report(value, step)
            if trial.should_prune() or (self.floor is not None and reachable < self.floor):
                raise optuna.TrialPruned

        try:
            config = configured(self.config, values)
            name = f"trial-{digest(values)[:12]}"  # the same values again go on with what is there
            value = self.objective(config, self.path / studies.TRIALS, name, report, on_event)
        except optuna.TrialPruned:
            return TrialEnded(trial.number, "pruned", values)
        except (ConfigError, RunError) as error:
            return TrialEnded(trial.number, "failed", values, error=error.message)
        return TrialEnded(trial.number, "complete", values, value)

    def _keep_best(self, study: optuna.Study) -> Path | None:
        """Write the best config so far, if any trial is complete."""
        target = self.path / studies.BEST
        with FileLock(self.path / ".best.lock"), writing(self.path):
            if not study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,)):
                return None
            best = configured(self.config, study.best_params)
            text = yaml.safe_dump(best.model_dump(mode="json"), sort_keys=False, allow_unicode=True)
            write_text(target, text)
        return target

    def report(self, metric: str) -> SearchReport:
        """Sum the study up."""
        study = studies.open_study(self.path, self.pruning)
        trials = study.get_trials(deepcopy=False)
        complete, pruned = (
            sum(trial.state is state for trial in trials) for state in (TrialState.COMPLETE, TrialState.PRUNED)
        )
        errors = [trial.user_attrs[studies.ERROR] for trial in trials if studies.ERROR in trial.user_attrs]
        best = self._keep_best(study)
        if best is None and errors and len(errors) == studies.count_trials(study):
            raise RunError(f"{self.path}: every trial failed, the last: {errors[-1]}", hint="Narrow the search space.")
        return SearchReport(
            path=self.path,
            best=best,
            metric=metric,
            value=None if best is None else study.best_value,
            values={} if best is None else study.best_params,
            complete=complete,
            pruned=pruned,
            failed=len(errors),
            notes=(f"the best of {complete} on the clips that chose it: score it with eri cv",),
        )
