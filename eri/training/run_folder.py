"""Run folders: ``<runs>/<name>/`` with everything needed to know, repeat, resume and use a run."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from filelock import FileLock, Timeout

from eri.config import ExperimentConfig, parse_config
from eri.config.tasks import Task
from eri.utils.errors import ConfigError, RunError
from eri.utils.files import differences, write_json, write_text
from eri.utils.tables import Shown, Summary

CONFIG = "config.yaml"  # resolved
ENVIRONMENT = (
    "environment.json"  # seed, versions, fingerprint and task of the data, features, clips left out, label means
)
HISTORY = "history.csv"  # one row per epoch: losses, Pearson, learning rate, seconds
WEIGHTS = "best.safetensors"  # of the best epoch, with the standardisation
STATE = "last.pt"  # to resume from: weights, optimiser, scheduler, generators, history
METRICS, PREDICTIONS = "metrics.json", "predictions.parquet"  # of the splits that were evaluated
BOOSTERS, MANIFEST = "boosters", "boosters.json"  # in place of weights: a LightGBM text file for each label, and all
IMPORTANCE = "importance.csv"  # what the boosters split on, with its share of the gain

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._\-]{0,127}")


@dataclass(frozen=True, eq=False, repr=False)
class Run(Shown):
    """A run as its folder describes it.

    Attributes:
        path: The folder.
        config: Resolved config.
        environment: Content of ``environment.json``.
    """

    path: Path
    config: ExperimentConfig
    environment: dict[str, Any]

    def as_table(self) -> Summary:
        """Return what the run is of."""
        config = self.config
        rows = [("system", config.name), ("model", config.model.name), ("labels", ", ".join(self.task.labels))]
        return Summary(f"Run {self.path}", ("", ""), rows)

    @property
    def task(self) -> Task:
        """What the run predicts."""
        values = self.environment["data"]["task"]
        return Task(**{**values, "labels": tuple(values["labels"])})


def read_run(path: Path) -> Run:
    """Read a run folder; RunError where it is none, or a file of it is damaged."""
    try:
        config = parse_config(yaml.safe_load((path / CONFIG).read_text(encoding="utf-8")), origin=str(path / CONFIG))
        environment = json.loads((path / ENVIRONMENT).read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise RunError(
            f"{path}: not a run folder, {Path(error.filename).name} is missing", hint="Train a run with `eri train`."
        ) from error
    except (OSError, ValueError, yaml.YAMLError, ConfigError) as error:
        raise RunError(f"{path}: the run folder cannot be read: {error}", hint="Train it again.") from error
    return Run(path, config, environment)


def run_path(runs: Path, name: str) -> Path:
    """Return where a run stands; ConfigError where the name cannot be that of a folder."""
    if not _NAME.fullmatch(name):
        raise ConfigError(
            f"run name '{name}' cannot name a folder",
            hint="Use letters, digits, '.', '_' and '-', beginning with a letter or digit, at most 128.",
        )
    return runs / name


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold a run folder for the length of a block; the system lets go of it also when the process is killed.

    Raises RunError where another process trains this run, or the folder cannot be written.
    """
    lock = FileLock(path.parent / f".{path.name}.lock", timeout=0)
    with writing(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            lock.acquire()
        except Timeout:
            raise RunError(
                f"{path}: another process is training this run", hint="Wait for it, or choose another --name."
            ) from None
    with lock:
        yield


@contextmanager
def writing(path: Path) -> Iterator[None]:
    """Raise :class:`RunError` in place of any :class:`OSError` of a block that writes a run folder.

    >>> with writing(Path("runs/a")):
    ...     raise OSError(28, "No space left on device")
    Traceback (most recent call last):
    eri.utils.errors.RunError: runs/a: the run folder cannot be written (No space left on device)...
    """
    try:
        yield
    except OSError as error:
        raise RunError(
            f"{path}: the run folder cannot be written ({error.strerror or error})",
            hint="Free some space or make it writable and go on with --resume, or choose another folder with --runs.",
        ) from error


def refuse_existing(path: Path, *, resume: bool, overwrite: bool) -> None:
    """Raise RunError for a run that is there, unless told how to go on, and always for a folder that is no run."""
    if resume and overwrite:
        raise ConfigError("--resume and --overwrite contradict each other", hint="Give one of them.")
    if not path.exists():
        return
    names = {file.name for file in path.iterdir()} if path.is_dir() else {""}
    if names and not names & {CONFIG, ENVIRONMENT}:
        raise RunError(f"{path}: is there already and is not a run folder", hint="Choose another --name.")
    if not (resume or overwrite):
        raise RunError(
            f"{path}: the run exists already",
            hint="Go on with it: --resume. Replace it: --overwrite. Keep it: --name OTHER.",
        )


def begin(path: Path, config: ExperimentConfig, environment: dict[str, Any]) -> None:
    """Make a new run folder in place of what was there; whenever the process dies, a run folder or none is there."""
    text = yaml.safe_dump(config.model_dump(mode="json"), sort_keys=False, allow_unicode=True)
    made, replaced = (path.parent / f".{path.name}.{word}" for word in ("made", "replaced"))
    with writing(path):
        for leftover in (made, replaced):
            if leftover.exists():
                shutil.rmtree(leftover)
        made.mkdir(parents=True)
        write_json(made / ENVIRONMENT, environment)
        write_text(made / CONFIG, text)
        if path.exists():
            path.rename(replaced)
        made.rename(path)
        if replaced.exists():
            shutil.rmtree(replaced)


def refuse_changes(run: Run, config: ExperimentConfig, environment: dict[str, Any]) -> None:
    """Raise RunError where resuming would make it another run; it names the settings, data or features that differ."""
    was, now = run.config.model_dump(mode="json"), config.model_dump(mode="json")
    changed = sorted(f"{key} was {before}, now {after}" for key, before, after in differences(was, now))
    if changed:
        raise RunError(
            f"{run.path}: cannot be resumed, the config differs: {'; '.join(changed)}",
            hint="Give the settings it began with, or start another run with --name OTHER.",
        )
    before, after = _essentials(run.environment), _essentials(environment)
    for what in (what for what in before if before[what] != after[what]):
        raise RunError(
            f"{run.path}: cannot be resumed, its {what} changed since it began",
            hint="Start it again with --overwrite, or another run with --name OTHER.",
        )


def _essentials(environment: dict[str, Any]) -> dict[str, Any]:
    return {
        "data": environment["data"]["fingerprint"],
        "features": {name: source["digest"] for name, source in environment["features"].items()},
        "versions of the features": {
            name: [source["digest"] for source in versions] for name, versions in environment.get("drawn", {}).items()
        },
        "clips": environment["clips"],
        "precision": environment["precision"],
    }
