"""Searching the settings of a config with Optuna, in one process or several, so that a kill loses no finished trial.

``<runs>/<name>/`` holds ``search.json`` (config, space, data), ``study.journal`` (an Optuna journal that processes
share, and that none of them can leave damaged), ``best.yaml``, and a run folder for each combination of values in
``trials/``.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, Literal

import numpy as np
import optuna
import pandas as pd
import yaml
from filelock import FileLock, Timeout
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend, JournalFileOpenLock
from optuna.trial import TrialState

from eri.config import ExperimentConfig, Runtime, parse_config
from eri.data.clips import ClipTable
from eri.evaluation.cross_validation import digest_folds, is_there, labelled_clips, score_table, scorer_of
from eri.evaluation.evaluate import predict
from eri.evaluation.folds import Fold, FoldPlan, make_folds
from eri.evaluation.jobs import Job, JobContext, Listener, TrialEnded, ignore, run_jobs
from eri.evaluation.search_space import Space, Value, configured, refuse_misfits
from eri.extraction.run import EngineName
from eri.training import TrainingEvent, train
from eri.training.run_folder import run_path, writing
from eri.utils.errors import ConfigError, RunError
from eri.utils.files import digest, write_json, write_text
from eri.utils.tables import Shown, Summary

UNDEFINED = -1.0
"""The value of a trial whose score is undefined: worse than any."""

Pruning = Literal["median", "asha", "none"]

ReportStep = Callable[[int, float, float], None]
"""Takes the number of epochs or folds that are done, the best score so far, and the largest that can still be reached;
what it raises ends the trial."""

Objective = Callable[[JobContext, ExperimentConfig, str, ReportStep, Listener], float]
"""Trains a config in a folder of a name, going on with what is there, and returns its score; larger is better."""

_SETTINGS, _TRIALS = "search.json", "trials"
_ERROR = "error"
"""Attribute of a trial that failed by itself; one that was killed has none, and is tried again."""


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
    pruning: Pruning = "median",
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

    Values are sampled by the tree-structured Parzen estimator (Bergstra et al. 2011). A trial is a run of its own,
    scored over folds with a ``plan``; one that was killed is tried again from its last whole epoch. Any number of
    processes may work on one study, until it has ``trials``. One is stopped early when it is worse than the ``median``
    of the others at the same epoch or fold, by asynchronous successive halving (``asha``; Li et al. 2020), or, of
    classes over folds, once its WAR cannot reach the ``floor`` any more.
    """
    refuse_misfits(config, space)
    _refuse_floor(table, plan, floor)
    objective: Objective = _score_on_split
    protocol: dict[str, str] = {}
    if plan is not None:
        clips = labelled_clips(table, ("train", "val"))
        folds = make_folds(clips, plan, classes=table.task.classes, official=table.folds)
        objective, protocol = partial(_score_on_folds, folds), {"folds": digest_folds(folds)}
    path = run_path(runs, name if name is not None else f"{config.name}-search")
    parameters = {key: parameter.model_dump(mode="json") for key, parameter in space.items()}
    data = {"name": table.name, "fingerprint": table.fingerprint, "task": table.task.name}
    settings = {"config": config.model_dump(mode="json"), "space": parameters, "data": data, "protocol": protocol}
    _begin(path, settings, resume=resume)
    context = JobContext(table, features, path / _TRIALS, runtime)
    searcher = _Searcher(path, config, dict(space), context, objective, trials, pruning, floor, seed)
    tries = {f"trial {number}": None for number in range(searcher.missing())}
    for _, ended in run_jobs(searcher.run_one, tries, path, runtime, on_event, engine=engine, address=address):
        if ended is not None:
            on_event(ended)
    return searcher.report(scorer_of(table.task).metric)


def _score_on_split(
    context: JobContext, config: ExperimentConfig, name: str, on_step: ReportStep, on_event: Listener
) -> float:
    """Train on the train split and score on the val split, which also chooses the epoch; a step is an epoch."""

    def report(event: TrainingEvent) -> None:
        if event.kind != "batch":
            on_event(event)
        if event.kind == "epoch":
            on_step(event.epoch, UNDEFINED if event.best is None else event.best, math.inf)

    table, features, runtime = context.table, context.features, context.runtime
    run = train(config, table, features, context.runs, runtime, name=name, resume=True, on_event=report)
    ids = [clip.id for clip in table.split("val") if clip.labels is not None]
    return _value(predict(run, table, features, "val", runtime).loc[ids], table)


def _score_on_folds(
    folds: Sequence[Fold], context: JobContext, config: ExperimentConfig, name: str, step: ReportStep, listen: Listener
) -> float:
    """Train on each fold, and score all clips by the models that they were held out of; a step is a fold.

    Of classes the score still within reach is known after every fold: that of all remaining clips decided correctly. A
    search with a floor gives a trial up once that is below it, as Haddad et al. 2020 prune trials under 96.5 %.
    """
    context = replace(context, runs=context.runs / name)
    total = sum(len(fold.score) for fold in folds)
    held_out: list[pd.DataFrame] = []
    value = UNDEFINED
    for number, fold in enumerate(folds, start=1):
        job = Job(config, fold, f"repeat{fold.repeat}-fold{fold.number}")
        held_out.append(context.train(job, listen).held_out)
        scored = pd.concat(held_out)
        value, reachable = _value(scored, context.table), math.inf
        if context.table.task.kind == "classification":
            reachable = (value * len(scored) + total - len(scored)) / total
        step(number, value, reachable)
    return value


def _value(predictions: pd.DataFrame, table: ClipTable) -> float:
    value = score_table(predictions, table, resamples=0).score
    return UNDEFINED if value is None else value


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


def _begin(path: Path, settings: dict[str, Any], *, resume: bool) -> None:
    """Make a study's folder, or check that the one that is there is of the same search."""
    file = path / _SETTINGS
    if not is_there(path, "search", _SETTINGS, "Go on with it: --resume.", allowed=resume):
        with writing(path):
            (path / _TRIALS).mkdir(parents=True, exist_ok=True)
            write_json(file, settings)
        return
    try:
        before, now = json.loads(file.read_text(encoding="utf-8")), json.loads(json.dumps(settings))
        if before.get("config"):
            before["config"] = parse_config(before["config"], origin=str(file)).model_dump(mode="json")
        changed: list[str] = []
        for section in ("space", "config", "data", "protocol"):
            was, is_now = before.get(section) or {}, now.get(section) or {}
            changed += [
                f"{section} '{key}' was {was.get(key)}, now {is_now.get(key)}"
                for key in {*was, *is_now}
                if was.get(key) != is_now.get(key)
            ]
    except (OSError, ValueError, AttributeError) as error:
        raise RunError(f"{file}: cannot be read: {error}", hint="Begin another search with --name OTHER.") from error
    if changed:
        raise RunError(
            f"{path}: cannot be resumed, since it began there changed: {'; '.join(sorted(changed))}",
            hint="Trials of another search space or data cannot be compared. Begin another with --name OTHER.",
        )


class _KernelLock(JournalFileOpenLock):
    """A lock on a journal that the system releases when its holder is killed; Optuna's own waits half a minute."""

    def __init__(self, path: Path) -> None:
        self.file = FileLock(path)

    def acquire(self) -> bool:
        self.file.acquire()
        return True

    def release(self) -> None:
        self.file.release()


def open_study(path: Path, pruning: Pruning) -> optuna.Study:
    """Open a study's journal, made when there is none; a last line that a killed process left half is dropped."""
    optuna.logging.set_verbosity(optuna.logging.WARNING)  # its own lines would break a progress bar
    journal = path / "study.journal"
    lock = _KernelLock(path / ".journal.lock")
    with lock.file:
        data = journal.read_bytes() if journal.is_file() else b""
        if data and not data.endswith(b"\n"):
            with journal.open("rb+") as stream:
                stream.truncate(data.rfind(b"\n") + 1)
    pruners: dict[Pruning, Callable[[], optuna.pruners.BasePruner]] = {
        "median": lambda: optuna.pruners.MedianPruner(n_startup_trials=5, n_warmup_steps=2),
        "asha": lambda: optuna.pruners.SuccessiveHalvingPruner(min_resource=1, reduction_factor=3),
        "none": optuna.pruners.NopPruner,
    }
    storage = JournalStorage(JournalFileBackend(str(journal), lock_obj=lock))
    return optuna.create_study(
        storage=storage, study_name="search", direction="maximize", pruner=pruners[pruning](), load_if_exists=True
    )


def _count_trials(study: optuna.Study) -> int:
    """Count the trials that ended by themselves or are at work."""
    done = (TrialState.COMPLETE, TrialState.PRUNED, TrialState.RUNNING)
    return sum(trial.state in done or _ERROR in trial.user_attrs for trial in study.get_trials(deepcopy=False))


@dataclass(frozen=True, eq=False)
class _Searcher:
    """Runs trials of a study, in any process."""

    path: Path
    config: ExperimentConfig
    space: Space
    context: JobContext
    objective: Objective
    trials: int
    pruning: Pruning
    floor: float | None
    seed: int

    @contextmanager
    def _study(self) -> Iterator[optuna.Study]:
        """Hold the lock under which trials begin; those whose process was killed fail, and their values come again."""
        study = open_study(self.path, self.pruning)
        with FileLock(self.path / ".study.lock"):
            for trial in study.get_trials(deepcopy=False, states=(TrialState.RUNNING,)):
                with suppress(Timeout), self._trial_lock(trial.number):
                    study.tell(trial.number, state=TrialState.FAIL)
                    if trial.params:
                        study.enqueue_trial(trial.params)
            yield study

    def _trial_lock(self, number: int) -> FileLock:
        return FileLock(self.path / _TRIALS / f".trial-{number}.lock", timeout=0)

    def missing(self) -> int:
        """Return how many trials the study lacks."""
        with self._study() as study:
            return max(0, self.trials - _count_trials(study))

    def run_one(self, _: None, on_event: Listener) -> TrialEnded | None:
        """Run the next trial; None when other processes have begun the last."""
        with ExitStack() as held:
            with self._study() as study:
                if _count_trials(study) >= self.trials:
                    return None
                state = np.random.SeedSequence([self.seed, len(study.get_trials(deepcopy=False))]).generate_state(1)
                study.sampler = optuna.samplers.TPESampler(seed=int(state[0]))
                trial = study.ask()
                held.enter_context(self._trial_lock(trial.number))
            values = {key: parameter.suggest(trial, key) for key, parameter in self.space.items()}
            ended = self._run(trial, values, on_event)
            match ended.state:
                case "complete":
                    study.tell(trial, ended.value)
                    self._keep_best(study)
                case "pruned":
                    study.tell(trial, state=TrialState.PRUNED)
                case "failed":
                    trial.set_user_attr(_ERROR, ended.error)
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
            value = self.objective(self.context, config, name, report, on_event)
        except optuna.TrialPruned:
            return TrialEnded(trial.number, "pruned", values)
        except (ConfigError, RunError) as error:
            return TrialEnded(trial.number, "failed", values, error=error.message)
        return TrialEnded(trial.number, "complete", values, value)

    def _keep_best(self, study: optuna.Study) -> Path | None:
        """Write the best config so far, if any trial is complete."""
        target = self.path / "best.yaml"
        with FileLock(self.path / ".best.lock"), writing(self.path):
            if not study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,)):
                return None
            best = configured(self.config, study.best_params).model_dump(mode="json")
            write_text(target, yaml.safe_dump(best, sort_keys=False, allow_unicode=True))
        return target

    def report(self, metric: str) -> SearchReport:
        """Sum the study up."""
        study = open_study(self.path, self.pruning)
        trials = study.get_trials(deepcopy=False)
        complete, pruned = (
            sum(trial.state is state for trial in trials) for state in (TrialState.COMPLETE, TrialState.PRUNED)
        )
        errors = [trial.user_attrs[_ERROR] for trial in trials if _ERROR in trial.user_attrs]
        best = self._keep_best(study)
        if best is None and errors and len(errors) == _count_trials(study):
            raise RunError(f"{self.path}: every trial failed, the last: {errors[-1]}", hint="Narrow the search space.")
        value, values = (None, {}) if best is None else (study.best_value, study.best_params)
        notes = (f"the best of {complete} on the clips that chose it: score it with eri cv",)
        return SearchReport(self.path, best, metric, value, values, complete, pruned, len(errors), notes)
