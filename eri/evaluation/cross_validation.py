"""Cross-validation: a score over all clips, each predicted by models that were not fitted on it, nor on its subject."""

from __future__ import annotations

import logging
import shutil
from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import yaml

from eri.config import ExperimentConfig, Runtime
from eri.config.tasks import Task
from eri.data.clips import ClipTable, Split
from eri.evaluation.events import ModelTrained, ignore
from eri.evaluation.folds import FIVE_FOLDS, Fold, FoldPlan, make_folds, write_folds
from eri.evaluation.jobs import Executor, FoldPredictions, Job, JobContext, Listener
from eri.extraction.run import EngineName
from eri.metrics.bootstrap import RESAMPLES
from eri.metrics.scoring import Scorer, Scores, create_scorer
from eri.runs.combination import average
from eri.runs.folders import CV_FOLDS, CV_HELD_OUT, CV_MODELS, CV_RESULT, FILES, read_cv
from eri.training.data import refuse_reserved_labels
from eri.training.experiment import together
from eri.training.processes import current_rank
from eri.training.run_folder import locked, run_path, writing
from eri.utils.errors import ConfigError, DataError, RunError
from eri.utils.files import atomic_path, digest, write_json, write_text
from eri.utils.tables import Shown, Summary

_LOG = logging.getLogger(__name__)

SETTINGS, PREDICTIONS = FILES["cross-validation"], "predictions.parquet"
RESERVED = frozenset(("repeat", "fold", "seed"))


@dataclass(frozen=True)
class FoldScore:
    """The scores of one fold's held-out clips, predicted by the mean over its seeds.

    Attributes:
        repeat: The split of the clips, counted from 1.
        name: Name of the fold.
        metrics: Scores over its clips.
    """

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
        optimism: Score on the clips that chose the epoch minus that on held-out clips of the fold, the mean over all
            models in which both are defined; None when there is none.
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

    Inside each fold, a part of the training clips (of its own subjects, where these are known) chooses the epoch, so
    that no clip is scored by a model that was chosen on it. The folder holds the settings (``cv.yaml``), ``folds.csv``,
    a run folder for each model in ``models/``, the predictions of each model for its held-out clips
    (``out_of_fold.parquet``), their mean by clip (``predictions.parquet``) and the scores (``cv.json``).

    Processes that ``torchrun`` started train each model together, one model after the other; the first one writes.

    Args:
        config: The system.
        table: The data set.
        features: Folder of the feature store.
        runs: Folder that the cross-validation's folder is made in.
        runtime: Its device and ``workers`` are used: so many models are trained at a time.
        plan: How clips are split into folds.
        seeds: One model for each seed in every fold; none is the config's own.
        splits: Data splits whose labelled clips are used.
        name: Name of the folder; None is ``<config>-cv``.
        resume: Keep the models that are trained, and train the others.
        overwrite: Replace a cross-validation of this name.
        bootstrap: Bootstrap resamples behind the intervals; 0 leaves them out.
        engine: ``local``, or ``ray``: each model is a task of a Ray cluster, whose nodes see ``runs`` and ``features``.
        address: Address of that cluster; None starts Ray on this machine.
        on_event: Called with a :class:`~eri.evaluation.events.ModelTrained` for each model, and, unless on a cluster,
            with the :class:`~eri.training.events.TrainingEvent` of each of its epochs.

    Raises:
        DataError: No labelled clip, or folds that cannot be made.
        RunError: The folder is there already, or is resumed with other settings, data or folds.
        StoreError: Features are missing.
        ClusterError: The cluster cannot be used.
    """
    seeds = tuple(seeds) or (config.training.seed,)
    if len(set(seeds)) < len(seeds):
        raise ConfigError(f"a seed is repeated among {', '.join(map(str, seeds))}", hint="Give each seed once.")
    clips = tuple(clip for clip in table if clip.split in splits and clip.labels is not None)
    if not clips:
        raise DataError(f"{table.name}: no clip of {' or '.join(splits)} has labels")
    _refuse_labels(table.task)
    folds = make_folds(clips, plan, classes=table.task.classes, official=table.folds)
    path = run_path(runs, name if name is not None else f"{config.name}-cv")
    settings = _settings(config, table, folds, seeds, splits)
    jobs = _jobs(config, folds, seeds)
    context = JobContext(table, features, path / CV_MODELS, runtime)
    rank = current_rank()
    if rank.world_size > 1 and engine == "ray":
        raise ConfigError("torchrun and --engine ray both spread the models", hint="Use one of them.")
    if not rank.writes:  # one of several processes that train each model together
        with together(config, runtime):
            return _conclude(path, table, _train(context, jobs, Executor(), ignore), bootstrap)[0]
    with locked(path), together(config, runtime) if rank.world_size > 1 else nullcontext():
        _begin(path, settings, folds, resume=resume, overwrite=overwrite)
        executor = Executor() if rank.world_size > 1 else Executor(runtime.workers, engine, address)
        result, held_out, predictions = _conclude(path, table, _train(context, jobs, executor, on_event), bootstrap)
        with writing(path):
            _write_parquet(path / CV_HELD_OUT, held_out)
            _write_parquet(path / PREDICTIONS, predictions.reset_index())
            write_json(path / CV_RESULT, _to_json(result, scorer_of(table.task), seeds))
    _LOG.info("%s: %s over all clips %s", path, scorer_of(table.task).described, result.metrics.score)
    return result


def _refuse_labels(task: Task) -> None:
    refuse_reserved_labels(task)
    clashing = sorted(RESERVED.intersection(task.labels))
    if clashing:
        raise DataError(
            f"task '{task.name}': a label cannot be called {' or '.join(map(repr, clashing))}",
            hint="Rename the label in the table and its description.",
        )


def _settings(
    config: ExperimentConfig, table: ClipTable, folds: Sequence[Fold], seeds: Sequence[int], splits: Sequence[Split]
) -> dict[str, Any]:
    task = {**asdict(table.task), "labels": list(table.task.labels)}
    return {
        "config": config.model_dump(mode="json"),
        "seeds": list(seeds),
        "splits": list(splits),
        "folds": digest_folds(folds),
        "data": {"name": table.name, "fingerprint": table.fingerprint, "task": task},
    }


def digest_folds(folds: Sequence[Fold]) -> str:
    """Return a checksum of folds, by which a resumed run knows that they are the same."""
    return digest([[fold.repeat, fold.name, fold.fit, fold.choose, fold.score] for fold in folds])


def _begin(path: Path, settings: dict[str, Any], folds: Sequence[Fold], *, resume: bool, overwrite: bool) -> None:
    if resume and overwrite:
        raise ConfigError("--resume and --overwrite contradict each other", hint="Give one of them.")
    there = (path / SETTINGS).is_file()
    if path.exists() and not there and any(path.iterdir()):
        raise RunError(f"{path}: is there already and is no cross-validation", hint="Choose another --name.")
    if there and not (resume or overwrite):
        raise RunError(
            f"{path}: the cross-validation exists already",
            hint="Go on with it: --resume. Replace it: --overwrite. Keep it: --name OTHER.",
        )
    if there and resume:
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
        write_text(path / SETTINGS, yaml.safe_dump(settings, sort_keys=False, allow_unicode=True))


def _jobs(config: ExperimentConfig, folds: Sequence[Fold], seeds: Sequence[int]) -> list[Job]:
    seeded = [
        config.model_copy(update={"training": config.training.model_copy(update={"seed": seed})}) for seed in seeds
    ]
    return [
        Job(own, fold, f"repeat{fold.repeat}-fold{fold.number}-seed{own.training.seed}")
        for fold in folds
        for own in seeded
    ]


def _train(
    context: JobContext, jobs: Sequence[Job], executor: Executor, on_event: Listener
) -> list[tuple[Job, FoldPredictions]]:
    """Train all models; return their predictions in the order of the jobs, whichever ended first."""
    done: dict[str, FoldPredictions] = {}
    by_name = {job.name: job for job in jobs}
    for name, trained in executor.run(context.train, by_name, context.runs, context.runtime, on_event):
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
    held_out = pd.concat([_stamped(job, result.held_out) for job, result in trained], ignore_index=True)
    predictions = average(held_out, table.task)
    folds = tuple(
        FoldScore(int(str(repeat)), str(name), score_table(average(rows, table.task), table, resamples=resamples))
        for (repeat, name), rows in held_out.groupby(["repeat", "fold"], sort=False)
    )
    single = {
        f"repeat{repeat}-seed{seed}": score_table(rows.set_index("clip_id"), table, resamples=0).score
        for (repeat, seed), rows in held_out.groupby(["repeat", "seed"], sort=False)
    }
    notes = ["each clip is predicted by the mean of its models"] if len(single) > 1 else []
    result = CrossValidation(
        path,
        score_table(predictions, table, resamples=resamples),
        folds,
        scorer_of(table.task).metric,
        single,
        _optimism(trained, table),
        tuple(notes),
    )
    return result, held_out, predictions


def _stamped(job: Job, predictions: pd.DataFrame) -> pd.DataFrame:
    frame = predictions.reset_index()
    frame.insert(1, "repeat", job.fold.repeat)
    frame.insert(2, "fold", job.fold.name)
    frame.insert(3, "seed", job.config.training.seed)
    return frame


def _optimism(trained: Sequence[tuple[Job, FoldPredictions]], table: ClipTable) -> float | None:
    pairs = [
        [score_table(predictions, table, resamples=0).score for predictions in (model.chosen, model.held_out)]
        for _, model in trained
    ]
    gaps = [chosen - held_out for chosen, held_out in pairs if chosen is not None and held_out is not None]
    return float(np.mean(gaps)) if gaps else None


def _to_json(result: CrossValidation, scorer: Scorer, seeds: Sequence[int]) -> dict[str, Any]:
    return {
        "metric": f"{scorer.described} over all clips, out of fold",
        "scores": result.metrics.to_json(),
        "folds": [
            {"repeat": fold.repeat, "name": fold.name, "scores": fold.metrics.to_json()} for fold in result.folds
        ],
        "over_folds": None
        if result.over_folds is None
        else dict(zip(("mean", "deviation"), result.over_folds, strict=True)),
        "single_models": result.single,
        "seeds": list(seeds),
        "optimism": result.optimism,
        "notes": list(result.notes),
    }


def _write_parquet(path: Path, frame: pd.DataFrame) -> None:
    with atomic_path(path) as temporary:
        frame.to_parquet(temporary, index=False)
