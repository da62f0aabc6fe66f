"""Searching the settings of a config with Optuna, in one process or several, so that a kill loses no finished trial."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, wait
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import optuna
import yaml
from filelock import FileLock
from optuna.trial import TrialState

from eri.config import ExperimentConfig, Runtime
from eri.data.clips import ClipTable
from eri.evaluation.cross_validation import scorer_of
from eri.evaluation.folds import FoldPlan
from eri.evaluation.jobs import Team
from eri.evaluation.search import study as studies
from eri.evaluation.search.judging import Judge, Step, create_judge, describe_judge, refuse_unreachable
from eri.evaluation.search.space import Space, Value, configured, refuse_misfits
from eri.extraction.run import EngineName
from eri.training.run_folder import run_path, writing
from eri.utils.errors import ConfigError, RunError
from eri.utils.files import digest, write_text
from eri.utils.tables import Shown, Summary


@dataclass(frozen=True)
class TrialEnded:
    """An event: one trial is over.

    Attributes:
        number: Of the trial.
        state: How it ended.
        values: Of the searched settings.
        value: Its figure on the val split, or over the folds; None unless complete.
        error: Why it failed.
    """

    number: int
    state: Literal["complete", "pruned", "failed"]
    values: dict[str, Value]
    value: float | None = None
    error: str | None = None


@dataclass(frozen=True, repr=False)
class SearchReport(Shown):
    """What came of a search.

    Attributes:
        path: Its folder.
        best: File of the best config, ready to be trained; None when no trial was completed.
        metric: What is searched for the largest of: ``Pearson`` (the mean over labels) or ``WAR``.
        value: That of the best trial on the clips that chose it.
        values: Its settings.
        complete: Trials trained to the end.
        pruned: Trials stopped early.
        failed: Trials that could not be trained.
        notes: What a reader of the figure should know.
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


@dataclass(frozen=True, eq=False)
class Searcher:
    """What every process of a search needs.

    Attributes:
        path: Folder of the study.
        config: The system.
        space: What is searched.
        judge: Gives each trial its figure.
        metric: Short name of that figure.
        total: Trials that the study should have.
        pruning: When a trial is stopped early.
        floor: A trial is stopped once it cannot reach this figure.
        seed: Of the sampling.
    """

    path: Path
    config: ExperimentConfig
    space: Space
    judge: Judge
    metric: str
    total: int
    pruning: studies.Pruning
    floor: float | None
    seed: int

    def try_one(self) -> TrialEnded | None:
        """Run the next trial; None when there is none left."""
        study = studies.open_study(self.path, self.pruning)
        with studies.next_trial(study, self.path, self.total, self.seed) as trial:
            if trial is None:
                return None
            values = {key: parameter.suggest(trial, key) for key, parameter in self.space.items()}
            ended = self._run(trial, values)
            self._tell(study, trial, ended)
            return ended

    def _run(self, trial: optuna.Trial, values: dict[str, Value]) -> TrialEnded:
        def report(step: Step) -> None:
            trial.report(step.figure, step.number)
            if trial.should_prune() or (self.floor is not None and step.reachable < self.floor):
                raise optuna.TrialPruned

        try:
            config = configured(self.config, values)
            name = f"trial-{digest(values)[:12]}"  # the same values again go on with what is there
            figure = self.judge.judge(config, self.path / studies.TRIALS, name, report)
        except optuna.TrialPruned:
            return TrialEnded(trial.number, "pruned", values)
        except (ConfigError, RunError) as error:
            return TrialEnded(trial.number, "failed", values, error=error.message)
        return TrialEnded(trial.number, "complete", values, figure)

    def _tell(self, study: optuna.Study, trial: optuna.Trial, ended: TrialEnded) -> None:
        match ended.state:
            case "complete":
                study.tell(trial, ended.value)
                self.keep_best(study)
            case "pruned":
                study.tell(trial, state=TrialState.PRUNED)
            case "failed":
                trial.set_user_attr(studies.ERROR, ended.error)
                study.tell(trial, state=TrialState.FAIL)

    def keep_best(self, study: optuna.Study) -> Path | None:
        """Write the best config so far, if any trial is complete."""
        target = self.path / studies.BEST
        with FileLock(self.path / ".best.lock"), writing(self.path):
            if not study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,)):
                return None
            best = configured(self.config, study.best_params)
            text = yaml.safe_dump(best.model_dump(mode="json"), sort_keys=False, allow_unicode=True)
            write_text(target, text)
        return target


def ignore(event: TrialEnded) -> None:
    """Take an event and do nothing with it."""


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
    on_event: Callable[[TrialEnded], None] = ignore,
) -> SearchReport:
    """Search settings for the largest mean Pearson on the val split, or the largest WAR where it holds classes.

    Values are sampled by the tree-structured Parzen estimator (Bergstra et al. 2011). A trial is a run of its own; one
    that was killed is tried again from its last whole epoch. Any number of processes, started by ``runtime.workers`` or
    by hand with ``resume``, may work on one study at a time.

    Args:
        config: The system.
        space: What is searched, see :func:`eri.evaluation.search.space.read_space`.
        table: Its train and val splits need labels.
        features: Folder of the feature store; searched settings of extractors need features of each value.
        runs: Folder that the study's folder stands in.
        runtime: Its device and ``workers`` are used: so many trials at a time.
        trials: That the study should have when it ends, those that were pruned or failed among them.
        pruning: When a trial is stopped early: worse than the ``median`` of the others at the same epoch; by
            asynchronous successive halving (``asha``; Li et al. 2020); or ``none``. Over folds a step is a fold.
        plan: Folds of the labelled train and val clips to judge each trial by, in place of the val split.
        floor: Of classes over folds: a trial is stopped once its WAR cannot reach this share any more.
        seed: Of the sampling.
        name: Of the study's folder; None is ``<config>-search``.
        resume: Go on with the study of this name, also while others do.
        engine: ``local``, or ``ray``: each trial is a task of a Ray cluster, whose nodes see ``runs`` and ``features``.
        address: Of that cluster; None starts Ray on this machine.
        on_event: Called when a trial is over.

    Raises:
        ConfigError: A value of the space cannot stand in the config; or there is a floor, but no folds of classes.
        RunError: The study is there already, or is resumed with another space, config or data; or every trial failed.
        DataError: No labelled train or val clips with features, or folds that cannot be.
        StoreError: Features are missing.
        ClusterError: The cluster cannot be used.
    """
    refuse_misfits(config, space)
    refuse_unreachable(table, plan, floor)
    judge = create_judge(table, features, runtime, plan)
    path = run_path(runs, name if name is not None else f"{config.name}-search")
    settings: dict[str, Any] = {
        "config": config.model_dump(mode="json"),
        "space": {key: parameter.model_dump(mode="json") for key, parameter in space.items()},
        "data": {"name": table.name, "fingerprint": table.fingerprint, "task": table.task.name},
        "protocol": describe_judge(judge),
    }
    studies.begin(path, settings, resume=resume)
    metric = scorer_of(table.task).metric
    searcher = Searcher(path, config, dict(space), judge, metric, trials, pruning, floor, seed)
    for ended in _all_trials(searcher, Team(runtime.workers, engine, address), runtime):
        on_event(ended)
    return _report(searcher)


def _all_trials(searcher: Searcher, team: Team, runtime: Runtime) -> Iterator[TrialEnded]:
    if team.alone:
        while (ended := searcher.try_one()) is not None:
            yield ended
        return
    with team.at_work(searcher.path, runtime, searcher.total) as (pool, room):
        running: set[Future[TrialEnded | None]] = {pool.submit(searcher.try_one) for _ in range(room)}
        while running:
            finished, running = wait(running, return_when=FIRST_COMPLETED)
            for future in finished:
                ended = future.result()
                if ended is not None:
                    running.add(pool.submit(searcher.try_one))
                    yield ended


def _report(searcher: Searcher) -> SearchReport:
    study = studies.open_study(searcher.path, searcher.pruning)
    counts = {state: len(study.get_trials(deepcopy=False, states=(state,))) for state in TrialState}
    errors = [t.user_attrs[studies.ERROR] for t in study.get_trials(deepcopy=False) if studies.ERROR in t.user_attrs]
    best = searcher.keep_best(study)
    if best is None and errors and len(errors) == studies.count_trials(study):
        raise RunError(f"{searcher.path}: every trial failed, the last: {errors[-1]}", hint="Narrow the search space.")
    return SearchReport(
        path=searcher.path,
        best=best,
        metric=searcher.metric,
        value=None if best is None else study.best_value,
        values={} if best is None else study.best_params,
        complete=counts[TrialState.COMPLETE],
        pruned=counts[TrialState.PRUNED],
        failed=len(errors),
        notes=(f"the best of {counts[TrialState.COMPLETE]} on the clips that chose it: score it with eri cv",),
    )
