"""Cross-validation: a score over all clips, each predicted by models that were not fitted on it, nor on its subject."""

from __future__ import annotations

import logging
import shutil
from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import asdict, dataclass, replace
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import yaml

from eri.config import ExperimentConfig, Runtime
from eri.config.tasks import Task
from eri.data.clips import Clip, ClipTable, Split
from eri.evaluation.evaluate import write_parquet
from eri.evaluation.folds import FIVE_FOLDS, Fold, FoldPlan, make_folds, write_folds
from eri.evaluation.jobs import FoldPredictions, Job, JobContext, Listener, ModelTrained, ignore, run_jobs
from eri.extraction.run import EngineName
from eri.metrics.bootstrap import RESAMPLES
from eri.metrics.scoring import Scorer, Scores, create_scorer
from eri.runs.combination import average
from eri.runs.folders import CV_FOLDS, CV_HELD_OUT, CV_MODELS, CV_RESULT, FILES, read_cv
from eri.training.data import refuse_reserved_labels
from eri.training.experiment import together
from eri.training.processes import current_rank
from eri.training.run_folder import PREDICTIONS, locked, run_path, writing
from eri.utils.errors import ConfigError, DataError, RunError
from eri.utils.files import digest, write_json, write_text
from eri.utils.tables import Shown, Summary

_LOG = logging.getLogger(__name__)

_SETTINGS = FILES["cross-validation"]
_RESERVED = ("repeat", "fold", "seed")


@dataclass(frozen=True)
class FoldScore:
    """The scores of one fold's held-out clips, predicted by the mean over its seeds; repeats count from 1."""

    repeat: int
    name: str
    metrics: Scores


@dataclass(frozen=True, repr=False)
class CrossValidation(Shown):
    """The result of a cross-validation.

    Attributes:
        path: Its folder.
        metrics: Scores over all clips, each predicted by the mean of the models that it was held out of.
        folds: The same for each fold.
        metric: What the scores below are: ``Pearson`` (the mean over labels) or ``WAR``.
        single: Score over all clips for each repeat and seed alone; None where undefined.
        optimism: Score on the clips that chose the epoch minus that on held-out ones, the mean over models; or None.
        notes: What a reader of the scores should know.
    """

    path: Path
    metrics: Scores
    folds: tuple[FoldScore, ...]
    metric: str
    single: dict[str, float | None]
    optimism: float | None
    notes: tuple[str, ...]

    def as_table(self) -> Summary:
        """Return the score of each label."""
        rows = [(line.name, line.value, line.interval, line.remark) for line in self.metrics.lines()]
        title = f"{self.path.name}, {self.metrics.clips} clips out of fold, {len(self.folds)} folds"
        return Summary(title, ("", "score", "95 % interval", "remarks"), rows, notes=self.notes)

    @property
    def over_folds(self) -> tuple[float, float] | None:
        """Mean of the folds' scores, as papers report it, and their deviation; None where one is undefined."""
        defined = [fold.metrics.score for fold in self.folds if fold.metrics.score is not None]
        if len(defined) < max(2, len(self.folds)):
            return None
        return float(np.mean(defined)), float(np.std(defined, ddof=1))


def cv(
    config: ExperimentConfig,
    table: ClipTable,
    features: Path,
    runs: Path,
    runtime: Runtime = Runtime(),
    *,
    plan: FoldPlan = FIVE_FOLDS,
    seeds: Sequence[int] = (),
    splits: Sequence[Split] = ("train", "val"),
    name: str | None = None,
    resume: bool = False,
    overwrite: bool = False,
    bootstrap: int = RESAMPLES,
    engine: EngineName = "local",
    address: str | None = None,
    on_event: Listener = ignore,
) -> CrossValidation:
    """Train a system on every fold with every seed, and score each clip by models that it was held out of.

    A part of a fold's training clips, of its own subjects, chooses the epoch, so that no clip is scored by a model that
    was chosen on it. The folder holds ``cv.yaml`` (settings), ``folds.csv``, the run folders ``models/``, the
    predictions of each model for its held-out clips (``out_of_fold.parquet``), their mean by clip
    (``predictions.parquet``) and the scores (``cv.json``). Processes that ``torchrun`` started train each model
    together, and the first one writes.
    """
    seeds = tuple(seeds) or (config.training.seed,)
    if len(set(seeds)) < len(seeds):
        raise ConfigError(f"a seed is repeated among {', '.join(map(str, seeds))}", hint="Give each seed once.")
    clips = labelled_clips(table, splits)
    refuse_reserved_labels(table.task, *_RESERVED)
    folds = make_folds(clips, plan, classes=table.task.classes, official=table.folds)
    path = run_path(runs, name if name is not None else f"{config.name}-cv")
    jobs = []
    for fold, seed in product(folds, seeds):
        own = config.model_copy(update={"training": config.training.model_copy(update={"seed": seed})})
        jobs.append(Job(own, fold, f"repeat{fold.repeat}-fold{fold.number}-seed{seed}"))
    rank = current_rank()
    several = rank.world_size > 1
    context = JobContext(table, features, path / CV_MODELS, replace(runtime, workers=1) if several else runtime)
    if several and engine == "ray":
        raise ConfigError("torchrun and --engine ray both spread the models", hint="Use one of them.")
    with locked(path) if rank.writes else nullcontext(), together(config, runtime) if several else nullcontext():
        if rank.writes:
            given: dict[str, Any] = {"seeds": list(seeds), "splits": list(splits), "folds": digest_folds(folds)}
            settings = {"config": config.model_dump(mode="json"), **given, "data": describe_data(table)}
            _begin(path, settings, folds, resume=resume, overwrite=overwrite)
        listen = on_event if rank.writes else ignore
        trained = _train(context, jobs, engine, address, listen)
        result, held_out, predictions = _conclude(path, table, trained, bootstrap)
        if rank.writes:
            with writing(path):
                write_parquet(path / CV_HELD_OUT, held_out)
                write_parquet(path / PREDICTIONS, predictions.reset_index())
                write_json(path / CV_RESULT, _to_json(result, scorer_of(table.task), seeds))
            _LOG.info("%s: %s over all clips %s", path, scorer_of(table.task).described, result.metrics.score)
    return result


def labelled_clips(table: ClipTable, splits: Sequence[Split]) -> tuple[Clip, ...]:
    """Return the labelled clips of some splits; a :class:`DataError` where there is none."""
    clips = tuple(clip for clip in table if clip.split in splits and clip.labels is not None)
    if not clips:
        raise DataError(f"{table.name}: no clip of {' or '.join(splits)} has labels")
    return clips


def describe_data(table: ClipTable) -> dict[str, Any]:
    """Return what a folder keeps of its data set, as :func:`eri.runs.folders.task_of` reads it."""
    task = {**asdict(table.task), "labels": list(table.task.labels)}
    return {"name": table.name, "fingerprint": table.fingerprint, "task": task}


def digest_folds(folds: Sequence[Fold]) -> str:
    """Return a checksum of folds, by which a resumed run knows that they are the same."""
    return digest([[fold.repeat, fold.name, fold.fit, fold.choose, fold.score] for fold in folds])


def is_there(path: Path, kind: str, file: str, ways: str, *, allowed: bool) -> bool:
    """Return whether a folder's ``file`` is there, which must be allowed; a folder of another kind is refused."""
    there = (path / file).is_file()
    if path.exists() and not there and any(path.iterdir()):
        raise RunError(f"{path}: is there already and is no {kind}", hint="Choose another --name.")
    if there and not allowed:
        raise RunError(f"{path}: the {kind} exists already", hint=f"{ways} Keep it: --name OTHER.")
    return there


def _begin(path: Path, settings: dict[str, Any], folds: Sequence[Fold], *, resume: bool, overwrite: bool) -> None:
    if resume and overwrite:
        raise ConfigError("--resume and --overwrite contradict each other", hint="Give one of them.")
    ways = "Go on with it: --resume. Replace it: --overwrite."
    if is_there(path, "cross-validation", _SETTINGS, ways, allowed=resume or overwrite) and resume:
        before = read_cv(path, ended=False)
        changed = [key for key in settings if before.get(key) != settings[key]]
        if changed:
            raise RunError(
                f"{path}: cannot be resumed, its {' and '.join(changed)} changed since it began",
                hint="Give what it began with, or begin another with --name OTHER.",
            )
        return
    with writing(path):
        if path.exists():
            shutil.rmtree(path)
        write_folds(path / CV_FOLDS, folds)
        write_text(path / _SETTINGS, yaml.safe_dump(settings, sort_keys=False, allow_unicode=True))


def _train(
    context: JobContext, jobs: Sequence[Job], engine: EngineName, address: str | None, on_event: Listener
) -> list[tuple[Job, FoldPredictions]]:
    """Train all models; return their predictions in the order of the jobs, whichever ended first."""
    done: dict[str, FoldPredictions] = {}
    by_name = {job.name: job for job in jobs}
    working = run_jobs(context.train, by_name, context.runs, context.runtime, on_event, engine=engine, address=address)
    for name, trained in working:
        done[name] = trained
        scores = score_table(trained.held_out, context.table, resamples=0)
        on_event(ModelTrained(name, len(done), len(jobs), scores.score, scores.metric))
    return [(job, done[job.name]) for job in jobs]


def score_table(predictions: pd.DataFrame, table: ClipTable, *, resamples: int = RESAMPLES) -> Scores:
    """Score predictions, indexed by clip id, against the labels of a table."""
    names = list(table.task.labels)
    truth = table.label_matrix([str(clip_id) for clip_id in predictions.index])
    return scorer_of(table.task).score(predictions[names].to_numpy(dtype=np.float64), truth, resamples=resamples)


def scorer_of(task: Task) -> Scorer:
    """Return what scores predictions of a task."""
    return create_scorer(task.kind, task.labels)


def _conclude(
    path: Path, table: ClipTable, trained: Sequence[tuple[Job, FoldPredictions]], resamples: int
) -> tuple[CrossValidation, pd.DataFrame, pd.DataFrame]:
    """Gather and score the predictions of all models; return the scores, every prediction, and their means by clip."""
    stamped = []
    for job, model in trained:
        frame = model.held_out.reset_index()
        frame.insert(1, "repeat", job.fold.repeat)
        frame.insert(2, "fold", job.fold.name)
        frame.insert(3, "seed", job.config.training.seed)
        stamped.append(frame)
    held_out = pd.concat(stamped, ignore_index=True)
    predictions = average(held_out, table.task)
    folds = tuple(
        FoldScore(int(str(repeat)), str(name), score_table(average(rows, table.task), table, resamples=resamples))
        for (repeat, name), rows in held_out.groupby(["repeat", "fold"], sort=False)
    )
    single = {
        f"repeat{repeat}-seed{seed}": score_table(rows.set_index("clip_id"), table, resamples=0).score
        for (repeat, seed), rows in held_out.groupby(["repeat", "seed"], sort=False)
    }
    pairs = [[score_table(part, table, resamples=0).score for part in model] for _, model in trained]
    gaps = [chosen - unseen for chosen, unseen in pairs if chosen is not None and unseen is not None]
    optimism = float(np.mean(gaps)) if gaps else None
    metrics, metric = score_table(predictions, table, resamples=resamples), scorer_of(table.task).metric
    notes = ("each clip is predicted by the mean of its models",) if len(single) > 1 else ()
    return CrossValidation(path, metrics, folds, metric, single, optimism, notes), held_out, predictions


def _to_json(result: CrossValidation, scorer: Scorer, seeds: Sequence[int]) -> dict[str, Any]:
    over_folds = result.over_folds
    return {
        "metric": f"{scorer.described} over all clips, out of fold",
        "scores": result.metrics.to_json(),
        "folds": [
            {"repeat": fold.repeat, "name": fold.name, "scores": fold.metrics.to_json()} for fold in result.folds
        ],
        "over_folds": None if over_folds is None else {"mean": over_folds[0], "deviation": over_folds[1]},
        "single_models": result.single,
        "seeds": list(seeds),
        "optimism": result.optimism,
        "notes": list(result.notes),
    }
