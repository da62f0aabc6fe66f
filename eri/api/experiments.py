"""Scores to rely on: the functions behind `eri cv`, `ensemble`, `compare` and `search`."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from eri.api.choices import Engine, Method, Modality, OnEvent, PathLike, Protocol, Pruning, Split, Unit, documented
from eri.api.commands import check_split, choose_config, chosen_splits, open_inputs
from eri.api.progress import reporting

if TYPE_CHECKING:
    from eri.evaluation.comparison import Comparison
    from eri.evaluation.cross_validation import CrossValidation
    from eri.evaluation.ensembling import EnsembleReport
    from eri.evaluation.search import SearchReport


@documented
def cv(
    data: PathLike = "data",
    *,
    config: PathLike | None = None,
    modality: Modality | None = None,
    overrides: Sequence[str] = (),
    adapter: str | None = None,
    features: PathLike = "features",
    runs: PathLike = "runs",
    folds: Annotated[int, "Number of folds, of about the same size."] = 5,
    repeats: Annotated[int, "Number of times that all clips are split into folds."] = 1,
    leave_one_group_out: Annotated[bool, "Use one fold per subject."] = False,
    folds_file: Annotated[PathLike | None, "CSV file of the folds with the columns clip_id and fold."] = None,
    protocol: Protocol = "generated",
    ungrouped: Annotated[bool, "Let folds share subjects."] = False,
    inner: Annotated[int, "One part in so many of a fold's training clips selects the epoch."] = 5,
    split: Split | Sequence[Split] | None = None,
    seeds: Annotated[int, "Models per fold: the config's seed and those after it."] = 1,
    name: Annotated[str | None, "Name of the output folder; CONFIG-cv if omitted."] = None,
    resume: Annotated[bool, "Keep the models that are trained already."] = False,
    overwrite: bool = False,
    device: str = "auto",
    workers: Annotated[int, "Models trained at a time; 0 is one per core."] = 0,
    engine: Engine = "local",
    address: str | None = None,
    progress: bool | None = None,
    on_event: OnEvent | None = None,
) -> CrossValidation:
    """Train on every fold with every seed, and score each clip by models that did not see it.

    Args:
        protocol: Folds to use: ``generated`` by these options, or the ``official`` ones of the data set, such as DFEW's
            five.
        split: Split whose labelled clips are used; may be repeated. If omitted, train and val.

    Raises:
        EriError: No labelled clip, folds that cannot be made, missing features, or the folder exists already.
    """
    from eri.config import Runtime
    from eri.evaluation.cross_validation import cv as cross_validate
    from eri.evaluation.folds import FoldPlan
    from eri.runs.folders import write_inputs

    system = choose_config(config, modality, overrides)
    first, file = system.training.seed, None if folds_file is None else Path(folds_file)
    grouped, official = False if ungrouped else None, protocol == "official"
    plan = FoldPlan(folds, repeats, leave_one_group_out, file, grouped, inner, official=official)
    runtime = Runtime(device=device, workers=workers or os.cpu_count() or 1)
    with reporting(f"cross-validating {system.name}", progress, on_event) as report:
        result = cross_validate(
            system,
            *open_inputs(data, adapter, features),
            Path(runs),
            runtime,
            plan=plan,
            seeds=range(first, first + seeds),
            splits=chosen_splits(split, ("train", "val")),
            name=name,
            resume=resume,
            overwrite=overwrite,
            engine=engine,
            address=address,
            on_event=report,
        )
    write_inputs(result.path, data, adapter, features)
    return result


@documented
def ensemble(
    members: Annotated[Sequence[PathLike], "Folders or names of runs, or of cross-validations."],
    *,
    method: Annotated[Method, "How predictions are combined."] = "weighted",
    data: PathLike = "data",
    adapter: str | None = None,
    features: PathLike = "features",
    runs: PathLike = "runs",
    split: Annotated[Split, "Split that runs are scored on; cross-validations have their own clips."] = "val",
    name: Annotated[str | None, "Name of the output folder; ensemble-METHOD if omitted."] = None,
    overwrite: bool = False,
    device: str = "auto",
    progress: bool | None = None,
    on_event: OnEvent | None = None,
) -> EnsembleReport:
    """Combine runs, and score the combination on clips that it was not fitted on.

    Raises:
        EriError: Fewer than two members, members that do not fit together, or the folder exists already.
    """
    from eri.config import Runtime
    from eri.evaluation.ensembling import ensemble as make_ensemble
    from eri.runs.folders import write_inputs

    check_split(split)
    paths, folder, runtime = [_found(member, runs) for member in members], Path(runs), Runtime(device=device)
    with reporting(f"combining {len(members)} members", progress, on_event) as listen:
        inputs = (paths, *open_inputs(data, adapter, features), folder, runtime)
        report = make_ensemble(*inputs, method=method, split=split, name=name, overwrite=overwrite, on_event=listen)
    write_inputs(report.path, data, adapter, features)
    return report


@documented
def compare(
    first: Annotated[PathLike, "Folder or name of a run, a cross-validation or an ensemble."],
    second: Annotated[PathLike, "Another one of the same clips."],
    *,
    data: PathLike = "data",
    adapter: str | None = None,
    features: PathLike = "features",
    runs: PathLike = "runs",
    split: Annotated[Split, "Split that runs are scored on; all others have their own clips."] = "val",
    bootstrap: Annotated[int, "Bootstrap resamples of the clips."] = 2000,
    by: Annotated[Unit, "What is resampled: clips, or subjects, each with all its clips."] = "clip",
    device: str = "auto",
    progress: bool | None = None,
    on_event: OnEvent | None = None,
) -> Comparison:
    """Test whether the first scores better than the second: difference, interval, and p-value corrected by Holm.

    Raises:
        EriError: They predict other labels or other clips, or were made on other data.
    """
    from eri.config import Runtime
    from eri.evaluation.comparison import compare as compare_pair

    check_split(split)
    with reporting(f"comparing {Path(first).name} and {Path(second).name}", progress, on_event) as listen:
        inputs = (_found(first, runs), _found(second, runs), *open_inputs(data, adapter, features))
        runtime = Runtime(device=device)
        return compare_pair(*inputs, split=split, resamples=bootstrap, by=by, runtime=runtime, on_event=listen)


@documented
def search(
    space: PathLike,
    *,
    config: PathLike | None = None,
    modality: Modality | None = None,
    overrides: Sequence[str] = (),
    data: PathLike = "data",
    adapter: str | None = None,
    features: PathLike = "features",
    runs: PathLike = "runs",
    trials: Annotated[int, "Trials that the study has when it ends."] = 50,
    pruning: Pruning = "median",
    folds: Annotated[int, "Score trials over this number of folds; 0 scores them on the val split."] = 0,
    leave_one_group_out: Annotated[bool, "Score trials over one fold per subject."] = False,
    floor: float | None = None,
    seed: Annotated[int, "Seed of the sampling."] = 0,
    name: Annotated[str | None, "Name of the output folder; CONFIG-search if omitted."] = None,
    resume: Annotated[bool, "Continue the study, also while other processes work on it."] = False,
    device: str = "auto",
    workers: Annotated[int, "Trials at a time."] = 1,
    engine: Engine = "local",
    address: str | None = None,
    progress: bool | None = None,
    on_event: OnEvent | None = None,
) -> SearchReport:
    """Search settings of a config for the best validation score, and write the best ones as YAML.

    Args:
        space: Search space, by a shipped name or as a YAML file: training.learning_rate: {low: 0.0001, high: 0.01,
            log: true} ...
        pruning: When a trial is stopped early: worse than the median, by successive halving, or never.
        floor: With folds of classes: stop a trial that cannot reach this WAR, such as 0.965.

    Raises:
        EriError: A value of the space does not fit the config, features are missing, or the study exists already.
    """
    from eri.config import Runtime, find_space
    from eri.evaluation.folds import FoldPlan
    from eri.evaluation.search import search as search_space
    from eri.evaluation.search_space import read_space

    system = choose_config(config, modality, overrides)
    plan = FoldPlan(folds or 5, leave_one_group_out=leave_one_group_out) if folds or leave_one_group_out else None
    with reporting(f"searching settings of {system.name}", progress, on_event) as report:
        return search_space(
            system,
            read_space(find_space(space)),
            *open_inputs(data, adapter, features),
            Path(runs),
            Runtime(device=device, workers=workers),
            trials=trials,
            pruning=pruning,
            plan=plan,
            floor=floor,
            seed=seed,
            name=name,
            resume=resume,
            engine=engine,
            address=address,
            on_event=report,
        )


def _found(run: PathLike, runs: PathLike) -> Path:
    return Path(run) if Path(run).exists() else Path(runs) / run
