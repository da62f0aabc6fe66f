"""Going on with an interrupted run: Ctrl-C, a real SIGKILL, and everything that must be refused."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch

from eri.config.training import GradientTraining
from eri.training import Listener, TrainingEvent, train
from eri.training.run_folder import locked
from eri.utils.errors import ConfigError, RunError
from tests.factories.features import DataSet, Recipe, make_data_set
from tests.training.test_experiment import CPU, history, same, weights

ROOT = Path(__file__).parents[2]
PLAIN: dict[str, Any] = {"epochs": 6, "reduce_on_plateau": True}
EVERYTHING: dict[str, Any] = {
    **PLAIN,
    "batch_size": 8,
    "accumulate": 2,
    "optimizer": "adamw",
    "weight_decay": 0.01,
    "loss": {"mse": 1.0, "ccc": 0.5, "pearson": 0.5, "cross_entropy": 0.1},
    "regularization": {"mixup": 0.4, "feature_noise": 0.1, "modality_dropout": 0.3, "ema_decay": 0.9},
}
TRANSFORMERS = {
    "name": "cross-attention",
    "encoder": {"name": "gru-transformer", "hidden_size": 16, "attention_heads": 2, "dropout": 0.2},
}
SYSTEMS: dict[str, tuple[Recipe, dict[str, Any]]] = {
    "plain": (Recipe(), PLAIN),
    "everything": (Recipe(modalities=("visual", "audio"), model=TRANSFORMERS), EVERYTHING),
}

# A process that trains and, at a chosen moment, is killed by the system without a chance to clean up.
VICTIM = """
import os, signal, sys
from pathlib import Path
import numpy as np
from eri.config import Runtime
from eri.training import train
from tests.factories.features import DataSet, Recipe, make_config, make_table

def die():
    os.kill(os.getpid(), signal.SIGKILL)

def on_event(event):
    if moment == "batch" and (event.kind, event.epoch, event.batch) == ("batch", 3, 2):
        die()

def on_call(name, arguments):
    # The second epoch's weights are in their place, its state is only written beside the first one's.
    if moment == "saving" and name == "os.rename" and Path(arguments[1]).name == "last.pt":
        states.append(arguments[0])
        if len(states) == 2:
            die()

moment, root, recipe, settings = sys.argv[1], Path(sys.argv[2]), eval(sys.argv[3]), eval(sys.argv[4])
states = []
sys.addaudithook(on_call)
table = make_table(root, recipe, np.random.default_rng(recipe.seed))
config = DataSet(table, root / "features", make_config(recipe)).configured(**settings)
train(config, table, root / "features", root / "runs", Runtime(device="cpu"), on_event=on_event)
"""


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> DataSet:
    return make_data_set(tmp_path_factory.mktemp("data"))


@pytest.fixture(scope="module", params=list(SYSTEMS))
def system(request: pytest.FixtureRequest) -> tuple[Recipe, dict[str, Any]]:
    return SYSTEMS[request.param]


@pytest.fixture(scope="module")
def uninterrupted(system: tuple[Recipe, dict[str, Any]], tmp_path_factory: pytest.TempPathFactory) -> Path:
    recipe, settings = system
    data = make_data_set(tmp_path_factory.mktemp("data"), recipe)
    return train(data.configured(**settings), data.table, data.features, tmp_path_factory.mktemp("runs"), CPU)


def interrupt_at(epoch: int, batch: int) -> Listener:
    def listener(event: TrainingEvent) -> None:
        if (event.kind, event.epoch, event.batch) == ("batch", epoch, batch):
            raise KeyboardInterrupt

    return listener


def assert_same_run(run: Path, expected: Path) -> None:
    assert same(weights(run), weights(expected))
    last, wanted = (torch.load(folder / "last.pt", weights_only=True) for folder in (run, expected))
    assert same(last["model"], wanted["model"])
    assert (last["average"] is None) == (wanted["average"] is None)
    if last["average"] is not None:
        assert same(last["average"]["model"], wanted["average"]["model"])
        assert last["average"]["steps"] == wanted["average"]["steps"]
    timeless = [[{**row, "seconds": ""} for row in history(folder)] for folder in (run, expected)]
    assert timeless[0] == timeless[1]
    assert not list(run.glob(".*.tmp"))


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="needs POSIX signals")
@pytest.mark.parametrize(
    ("system", "moment"),
    [
        ("plain", "saving"),
        ("plain", "batch"),
        ("everything", "batch"),
    ],
    indirect=["system"],
)
def test_a_killed_run_ends_as_if_it_had_not_been(tmp_path, moment, system, uninterrupted):
    recipe, settings = system
    data = make_data_set(tmp_path, recipe)
    command = [sys.executable, "-c", VICTIM, moment, str(tmp_path), repr(recipe), repr(settings)]
    # Sums depend on the number of threads in their last bits.
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": str(torch.get_num_threads())}
    victim = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    assert victim.returncode == -signal.SIGKILL, victim.stderr
    run = tmp_path / "runs" / "tiny-seed3"
    assert len(history(run)) < 6
    assert len(list(run.glob(".last.pt.*.tmp"))) == (moment == "saving")
    train(data.configured(**settings), data.table, data.features, tmp_path / "runs", CPU, resume=True)
    assert_same_run(run, uninterrupted)


@pytest.mark.slow
@pytest.mark.parametrize("moment", [(1, 2), (4, 2)])
def test_ctrl_c_leaves_a_run_that_goes_on(tmp_path, moment, system, uninterrupted):
    recipe, settings = system
    data = make_data_set(tmp_path / "data", recipe)
    config = data.configured(**settings)
    with pytest.raises(KeyboardInterrupt):
        train(config, data.table, data.features, tmp_path, CPU, on_event=interrupt_at(*moment))
    events: list[TrainingEvent] = []
    run = train(config, data.table, data.features, tmp_path, CPU, resume=True, on_event=events.append)
    assert events[0].epoch == moment[0] - 1
    assert_same_run(run, uninterrupted)


def test_a_finished_run_stays_as_it_is(tmp_path, data):
    config = data.configured(epochs=2)
    run = train(config, data.table, data.features, tmp_path, CPU)
    before = {path.name: path.read_bytes() for path in run.iterdir()}
    train(config, data.table, data.features, tmp_path, CPU, resume=True)
    assert {path.name: path.read_bytes() for path in run.iterdir()} == before


def test_resume_begins_when_there_is_nothing_to_go_on_from(tmp_path, data):
    run = train(data.configured(epochs=1), data.table, data.features, tmp_path, CPU, resume=True)
    assert len(history(run)) == 1


def test_other_settings_are_refused_by_name(tmp_path, data):
    train(data.configured(epochs=1), data.table, data.features, tmp_path, CPU)
    with pytest.raises(RunError, match=r"training\.epochs was 1, now 2; training\.learning_rate was 0\.01, now 0\.5"):
        train(data.configured(epochs=2, learning_rate=0.5), data.table, data.features, tmp_path, CPU, resume=True)


def test_other_data_is_refused(tmp_path, data):
    train(data.configured(epochs=1), data.table, data.features, tmp_path, CPU)
    first = data.table.clips[0]
    changed = replace(data.table, clips=(replace(first, labels=(0.0, 0.0, 1.0)), *data.table.clips[1:]))
    with pytest.raises(RunError, match="its data changed since it began"):
        train(data.configured(epochs=1), changed, data.features, tmp_path, CPU, resume=True)


def test_changed_features_are_refused(tmp_path):
    before = make_data_set(tmp_path, Recipe(absent={"visual": ["00001"]}))
    train(before.configured(epochs=1), before.table, before.features, tmp_path / "runs", CPU)
    after = make_data_set(tmp_path)
    with pytest.raises(RunError, match="its clips changed since it began"):
        train(after.configured(epochs=1), after.table, after.features, tmp_path / "runs", CPU, resume=True)


def test_resume_and_overwrite_contradict_each_other(tmp_path, data):
    with pytest.raises(ConfigError, match="contradict each other"):
        train(data.config, data.table, data.features, tmp_path, CPU, resume=True, overwrite=True)


@pytest.mark.parametrize("content", [b"", b"not a checkpoint", None])
def test_a_damaged_state_is_named(tmp_path, data, content):
    run = train(data.configured(epochs=2), data.table, data.features, tmp_path, CPU)
    state = run / "last.pt"
    state.write_bytes(state.read_bytes()[: state.stat().st_size // 2] if content is None else content)
    with pytest.raises(RunError, match=r"last\.pt: cannot be resumed from"):
        train(data.configured(epochs=2), data.table, data.features, tmp_path, CPU, resume=True)


def test_a_state_that_would_run_code_is_refused(tmp_path, data):
    run = train(data.configured(epochs=1), data.table, data.features, tmp_path, CPU)
    torch.save({"epoch": Path("anything that is not plain data")}, run / "last.pt")
    with pytest.raises(RunError, match="cannot be resumed from"):
        train(data.configured(epochs=1), data.table, data.features, tmp_path, CPU, resume=True)


def test_two_processes_do_not_train_one_run(tmp_path, data):
    with locked(tmp_path / "tiny-seed3"), pytest.raises(RunError, match="another process is training this run"):
        train(data.config, data.table, data.features, tmp_path, CPU)


@pytest.mark.slow
@pytest.mark.parametrize("renamed", range(4))
@pytest.mark.parametrize("options", [{"resume": True}, {"overwrite": True}])
def test_a_run_that_ends_while_its_folder_is_made_can_begin_again(tmp_path, monkeypatch, renamed, options):
    made = make_data_set(tmp_path, Recipe())
    if "overwrite" in options:
        train(made.config, made.table, made.features, tmp_path / "runs", CPU, name="run")
    count = iter(range(9))

    def interrupted(rename: Callable[..., None], source: Path, target: Path) -> None:
        if "runs" in Path(target).parts and next(count) == renamed:
            raise KeyboardInterrupt
        rename(source, target)

    with monkeypatch.context() as patch:
        for name in ("rename", "replace"):
            patch.setattr(os, name, partial(interrupted, getattr(os, name)))
        with pytest.raises(KeyboardInterrupt):
            train(made.config, made.table, made.features, tmp_path / "runs", CPU, name="run", **options)
    run = train(made.config, made.table, made.features, tmp_path / "runs", CPU, name="run", **options)
    assert [path.name for path in run.parent.iterdir() if path.is_dir()] == ["run"]
    assert len(history(run)) == made.config.training_of(GradientTraining).epochs
