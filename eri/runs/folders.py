"""Run folders of every kind: found by path or name, what they say they are, and what they were made from."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any, Literal

import yaml

from eri.config import parse_config
from eri.config.tasks import Task
from eri.data import load_clips
from eri.data.clips import ClipTable
from eri.features.store import local_features, read_json
from eri.storage import describe
from eri.training.run_folder import CONFIG, ENVIRONMENT
from eri.utils.errors import ConfigError, RunError
from eri.utils.files import digest, sha256_file, write_json
from eri.utils.spelling import did_you_mean

PathLike = str | Path

Kind = Literal["run", "cross-validation", "ensemble"]

FILES = MappingProxyType[Kind, str]({"run": CONFIG, "cross-validation": "cv.yaml", "ensemble": "ensemble.json"})
"""The file that says what a folder is, for each kind."""

EVERY_KIND: tuple[Kind, ...] = tuple(FILES)

CV_RESULT, CV_FOLDS, CV_MODELS, CV_HELD_OUT = "cv.json", "folds.csv", "models", "out_of_fold.parquet"
_INPUTS = "inputs.json"


def kind_of(path: Path) -> Kind:
    """Return what a folder is, as far as its files tell."""
    return next((kind for kind in ("ensemble", "cross-validation") if (path / FILES[kind]).is_file()), "run")


def find_run(run: PathLike | None, runs: Path, *, kinds: Sequence[Kind] = ("run",)) -> Path:
    """Return a run folder of one of the kinds by path, by name in ``runs``, or the newest run there; else RunError."""
    if run is None:
        folders = [path.parent for path in runs.glob(f"[!.]*/{CONFIG}")]
        if not folders:
            raise RunError(f"{runs}: no run is there", hint="Train one first: eri train --modality visual")
        return max(folders, key=lambda folder: (folder / CONFIG).stat().st_mtime_ns)
    for folder in (Path(run), runs / run):
        if any((folder / FILES[kind]).is_file() for kind in kinds):
            return folder
    names = sorted({path.parent.name for kind in kinds for path in runs.glob(f"[!.]*/{FILES[kind]}")})
    raise RunError(
        f"{run}: not a run folder, nor the name of one in {runs}{did_you_mean(str(run), names)}",
        hint=f"There: {', '.join(names)}" if names else "Train one first: eri train --modality visual",
    )


def write_inputs(folder: Path, data: PathLike, adapter: str | None, features: PathLike) -> None:
    """Leave in a run's folder what it was made from, so that later commands need its name alone."""
    write_json(folder / _INPUTS, {"data": describe(data), "adapter": adapter, "features": describe(features)})


def find_inputs(
    run: Path, data: PathLike | None, adapter: str | None, features: PathLike | None
) -> tuple[ClipTable, Path]:
    """Return the clips and the feature cache that a run was trained on, or those that are named instead.

    RunError where no data are named, and the run does not remember any.
    """
    recorded: dict[str, str | None] = read_json(run / _INPUTS) or {}
    source = data or recorded.get("data")
    cache = features or recorded.get("features") or "features"
    if source is None:
        raise RunError(f"{run}: does not say what data it was trained on", hint="Name it: --data DIR")
    table = load_clips(Path(source), adapter or (None if data else recorded.get("adapter")))
    return table, local_features(cache)


def read_cv(path: Path, *, ended: bool = True) -> dict[str, Any]:
    """Read the settings of a cross-validation; RunError of another folder or file, or where it must have ended."""
    if ended and not (path / CV_RESULT).is_file():
        raise RunError(f"{path}: the cross-validation has not ended", hint="Go on with `eri cv --resume`.")
    file = path / FILES["cross-validation"]
    try:
        settings: dict[str, Any] = yaml.safe_load(file.read_text(encoding="utf-8"))
        settings["config"] = parse_config(settings["config"], origin=str(file)).model_dump(mode="json")
    except (OSError, ValueError, KeyError, TypeError, yaml.YAMLError, ConfigError) as error:
        hint = "Begin it again with --overwrite."
        raise RunError(f"{path}: the cross-validation cannot be read: {error}", hint=hint) from error
    return settings


def read_ensemble(path: Path) -> dict[str, Any]:
    """Read what an ensemble is; RunError where its file is damaged."""
    try:
        values: dict[str, Any] = json.loads((path / FILES["ensemble"]).read_text(encoding="utf-8"))
        task_of(values)
        return values
    except (OSError, ValueError, KeyError, TypeError) as error:
        hint = "Make it again with --overwrite."
        raise RunError(f"{path}: the ensemble cannot be read: {error}", hint=hint) from error


def task_of(settings: dict[str, Any]) -> Task:
    """Return the task that the settings of a cross-validation or an ensemble name."""
    values = settings["data"]["task"]
    return Task(**{**values, "labels": tuple(values["labels"])})


def stamp_of(path: Path) -> str:
    """Return a checksum over files that are written again with each run or cross-validation, RunError without them."""
    files = (CV_RESULT,) if kind_of(path) == "cross-validation" else (CONFIG, ENVIRONMENT)
    try:
        return digest([sha256_file(path / file) for file in files])
    except OSError as error:
        raise RunError(f"{path}: cannot be read: {error}", hint="Is the folder whole?") from error
