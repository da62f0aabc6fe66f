"""A study on disk: an Optuna journal that several processes share, and that none of them can leave damaged.

``<runs>/<name>/`` holds ``search.json`` (config, space, data), ``study.journal``, ``best.yaml``, and a run folder for
each combination of values in ``trials/``.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any, Literal

import numpy as np
import optuna
from filelock import FileLock, Timeout
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend, JournalFileOpenLock
from optuna.trial import TrialState

from eri.training.run_folder import writing
from eri.utils.errors import RunError
from eri.utils.files import write_json

SETTINGS, JOURNAL, BEST, TRIALS = "search.json", "study.journal", "best.yaml", "trials"
ERROR = "error"
"""Attribute of a trial that failed by itself; one that was killed has none, and is tried again."""

Pruning = Literal["median", "asha", "none"]


class _KernelLock(JournalFileOpenLock):
    """A lock on a journal that the system releases when its holder is killed; Optuna's own waits half a minute."""

    def __init__(self, path: Path) -> None:
        self.file = FileLock(path)

    def acquire(self) -> bool:
        self.file.acquire()
        return True

    def release(self) -> None:
        self.file.release()


def begin(path: Path, settings: dict[str, Any], *, resume: bool) -> None:
    """Make a study's folder, or check that the one that is there is of the same search.

    Raises:
        RunError: It exists and is not to be resumed, or is of another config, space or data.
    """
    file = path / SETTINGS
    if path.exists() and not file.is_file() and any(path.iterdir()):
        raise RunError(f"{path}: is there already and is no search", hint="Choose another --name.")
    if not file.is_file():
        with writing(path):
            (path / TRIALS).mkdir(parents=True, exist_ok=True)
            write_json(file, settings)
        return
    if not resume:
        raise RunError(f"{path}: the search exists already", hint="Go on with it: --resume. Keep it: --name OTHER.")
    try:
        before = json.loads(file.read_text(encoding="utf-8"))
        changed = sorted(_changes(before, json.loads(json.dumps(settings))))
    except (OSError, ValueError, AttributeError) as error:
        raise RunError(f"{file}: cannot be read: {error}", hint="Begin another search with --name OTHER.") from error
    if changed:
        raise RunError(
            f"{path}: cannot be resumed, since it began there changed: {'; '.join(changed)}",
            hint="Trials of another search space or data cannot be compared. Begin another with --name OTHER.",
        )


def _changes(before: dict[str, Any], now: dict[str, Any]) -> Iterator[str]:
    for section in ("space", "config", "data", "protocol"):
        was, is_now = before.get(section) or {}, now.get(section) or {}
        for key in sorted({*was, *is_now}):
            if was.get(key) != is_now.get(key):
                yield f"{section} '{key}' was {was.get(key)}, now {is_now.get(key)}"


def open_study(path: Path, pruning: Pruning) -> optuna.Study:
    """Open a study's journal, made when there is none."""
    optuna.logging.set_verbosity(optuna.logging.WARNING)  # its own lines would break a progress bar
    journal = path / JOURNAL
    lock = _KernelLock(path / ".journal.lock")
    with lock.file:
        _mend(journal)
    storage = JournalStorage(JournalFileBackend(str(journal), lock_obj=lock))
    return optuna.create_study(
        storage=storage, study_name="search", direction="maximize", pruner=_pruner(pruning), load_if_exists=True
    )


def _mend(journal: Path) -> None:
    """Drop a last line that a killed process left without its end."""
    if not journal.is_file():
        return
    data = journal.read_bytes()
    if data and not data.endswith(b"\n"):
        with journal.open("rb+") as stream:
            stream.truncate(data.rfind(b"\n") + 1)


def _pruner(pruning: Pruning) -> optuna.pruners.BasePruner:
    match pruning:
        case "median":
            return optuna.pruners.MedianPruner(n_startup_trials=5, n_warmup_steps=2)
        case "asha":
            return optuna.pruners.SuccessiveHalvingPruner(min_resource=1, reduction_factor=3)
        case "none":
            return optuna.pruners.NopPruner()


def lock_study(path: Path) -> FileLock:
    """Return the lock under which trials begin."""
    return FileLock(path / ".study.lock")


@contextmanager
def next_trial(study: optuna.Study, path: Path, total: int, seed: int) -> Iterator[optuna.Trial | None]:
    """Hold a trial for the length of a block; None when the study has as many as it should.

    Trials whose process was killed are given up, and their values are tried again first.

    Args:
        study: The study.
        path: Its folder.
        total: Number of trials that the study should have.
        seed: With the number of the trial, decides what is sampled.
    """
    with ExitStack() as held:
        with lock_study(path):
            give_up_dead(study, path)
            trial = None
            if count_trials(study) < total:
                number = len(study.get_trials(deepcopy=False))
                state = np.random.SeedSequence([seed, number]).generate_state(1)
                study.sampler = optuna.samplers.TPESampler(seed=int(state[0]))
                trial = study.ask()
                held.enter_context(_trial_lock(path, trial.number))
        yield trial


def count_trials(study: optuna.Study) -> int:
    """Count the trials that ended by themselves or are at work."""
    done = (TrialState.COMPLETE, TrialState.PRUNED, TrialState.RUNNING)
    return sum(trial.state in done or ERROR in trial.user_attrs for trial in study.get_trials(deepcopy=False))


def give_up_dead(study: optuna.Study, path: Path) -> None:
    """Mark running trials whose process is gone as failed, and have their values tried again."""
    for trial in study.get_trials(deepcopy=False, states=(TrialState.RUNNING,)):
        with suppress(Timeout), _trial_lock(path, trial.number):
            study.tell(trial.number, state=TrialState.FAIL)
            if trial.params:
                study.enqueue_trial(trial.params)


def _trial_lock(path: Path, number: int) -> FileLock:
    return FileLock(path / TRIALS / f".trial-{number}.lock", timeout=0)
