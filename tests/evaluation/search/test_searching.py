"""Searches: they find better settings, survive a kill, are shared by processes, and refuse what would mix studies."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import yaml
from optuna.trial import TrialState

from eri.config import Runtime, load_config
from eri.evaluation.cross_validation import figure_of
from eri.evaluation.evaluate import predict
from eri.evaluation.search import Parameter, SearchReport, TrialEnded, search
from eri.evaluation.search.study import open_study
from eri.training import train
from eri.utils.errors import ConfigError, RunError
from tests.factories.features import DataSet, Recipe, make_config, make_data_set
from tests.factories.processes import wait_until

CPU = Runtime(device="cpu")
RECIPE = Recipe(sizes={"train": 24, "val": 16})
RATE = {"training.learning_rate": Parameter(low=1e-6, high=3e-2, log=True)}
ROOT = Path(__file__).parents[3]


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> DataSet:
    return make_data_set(tmp_path_factory.mktemp("data"), RECIPE)


def run_search(data: DataSet, runs: Path, *, epochs: int = 4, **options) -> SearchReport:
    options = {"space": RATE, "runtime": CPU, "trials": 4, "pruning": "none", **options}
    return search(data.configured(epochs=epochs), options.pop("space"), data.table, data.features, runs, **options)


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("runs")


@pytest.fixture(scope="module")
def events() -> list[TrialEnded]:
    """What :func:`report` was told of."""
    return []


@pytest.fixture(scope="module")
def report(data: DataSet, runs: Path, events: list[TrialEnded]) -> SearchReport:
    return run_search(data, runs, trials=8, on_event=events.append)


class TestSearch:
    def test_best_of_its_trials(self, report, events):
        assert (report.complete, report.pruned, report.failed) == (8, 0, 0)
        assert [event.state for event in events] == ["complete"] * 8
        best = max(events, key=lambda event: event.value)
        assert (report.value, report.values) == (best.value, best.values)

    def test_best_config_runs_and_gives_the_figure(self, data, report, tmp_path):
        config = load_config(report.best)
        assert config.training.learning_rate == report.values["training.learning_rate"]
        run = train(config, data.table, data.features, tmp_path, CPU)
        predictions = predict(run, data.table, data.features, "val", CPU)
        assert figure_of(predictions, data.table) == pytest.approx(report.value)

    def test_same_seed_same_trials(self, data, report, events, tmp_path):
        again: list[TrialEnded] = []
        run_search(data, tmp_path, trials=3, on_event=again.append)
        assert again == events[:3]

    def test_goes_on_to_more_trials(self, data, report, runs):
        before = len(list((report.path / "trials").glob("trial-*")))
        more = run_search(data, runs, trials=9, resume=True)
        assert more.complete == 9
        assert len(list((report.path / "trials").glob("trial-*"))) == before + 1

    def test_refusals(self, data, report, runs):
        with pytest.raises(RunError, match="exists already"):
            run_search(data, runs)
        other = {"training.learning_rate": Parameter(low=1e-6, high=1e-2, log=True)}
        with pytest.raises(RunError, match=r"there changed: space 'training.learning_rate' was .*0.03.*now .*0.01"):
            run_search(data, runs, space=other, resume=True)
        wider = {**RATE, "training.weight_decay": Parameter(low=0, high=1)}
        with pytest.raises(RunError, match=r"space 'training.weight_decay' was None, now"):
            run_search(data, runs, space=wider, resume=True)
        with pytest.raises(RunError, match="config 'training' was"):
            run_search(data, runs, epochs=5, resume=True)
        moved = replace(data, table=replace(data.table, clips=data.table.clips[1:]))
        with pytest.raises(RunError, match="data 'fingerprint' was"):
            run_search(moved, runs, resume=True)


def test_pruning_stops_the_hopeless(data, tmp_path):
    events: list[TrialEnded] = []
    space = {"training.learning_rate": Parameter(choices=(1e-7, 1e-2))}
    report = run_search(data, tmp_path, space=space, trials=10, epochs=8, pruning="asha", on_event=events.append)
    assert report.pruned > 0
    assert report.values == {"training.learning_rate": 1e-2}
    histories = [path.read_text().count("\n") for path in report.path.glob("trials/*/history.csv")]
    assert min(histories) < max(histories)


def test_what_cannot_be_trained_fails_alone(data, tmp_path):
    space = {
        "training.learning_rate": Parameter(choices=(1e-2, 1e30)),
        "training.gradient_clip": Parameter(choices=(None,)),
    }
    report = run_search(data, tmp_path, space=space, trials=6)
    assert report.values["training.learning_rate"] == 1e-2
    hopeless = {**space, "training.learning_rate": Parameter(choices=(1e30,))}
    assert report.failed > 0
    assert report.failed + report.complete == 6
    with pytest.raises(RunError, match=r"every trial failed, the last: .*diverged"):
        run_search(data, tmp_path, space=hopeless, trials=2, name="hopeless")


def test_a_folder_of_something_else(data, tmp_path):
    (tmp_path / "thesis").mkdir()
    (tmp_path / "thesis" / "chapter.tex").touch()
    with pytest.raises(RunError, match="is no search"):
        run_search(data, tmp_path, name="thesis", resume=True)
    with pytest.raises(ConfigError, match="cannot be"):
        run_search(data, tmp_path, space={"training.epochs": Parameter(low=0.5, high=1)})


def test_a_line_that_was_cut_is_dropped(data, tmp_path):
    report = run_search(data, tmp_path, trials=2)
    with (report.path / "study.journal").open("ab") as stream:
        stream.write(b'{"op_code": 5, "worker')
    assert run_search(data, tmp_path, trials=3, resume=True).complete == 3


KILLED = """
import sys
from pathlib import Path
from tests.search.test_searching import CPU, RATE, data_at, run_search
if __name__ == "__main__":
    folder = Path(sys.argv[1])
    run_search(data_at(folder), folder / "runs", epochs=120, trials=50, on_event=lambda event: print(event, flush=True))
"""


def data_at(root: Path) -> DataSet:
    """Return the data set that :func:`make_data_set` wrote there."""
    import numpy as np

    from tests.factories.features import make_table

    return DataSet(make_table(root, RECIPE, np.random.default_rng(RECIPE.seed)), root / "features", make_config(RECIPE))


@pytest.mark.slow
def test_survives_a_kill(tmp_path):
    make_data_set(tmp_path, RECIPE)
    process = subprocess.Popen(
        [sys.executable, "-c", KILLED, str(tmp_path)],
        stdout=subprocess.PIPE,
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": "."},
    )
    assert process.stdout is not None
    assert b"complete" in process.stdout.readline()
    study_folder = tmp_path / "runs" / "tiny-search"
    wait_until(
        lambda: [t for t in open_study(study_folder, "none").trials if t.state is TrialState.RUNNING and t.params]
    )
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    before = open_study(study_folder, "none").trials
    finished = [trial for trial in before if trial.state is TrialState.COMPLETE]
    killed = [trial for trial in before if trial.state is TrialState.RUNNING]
    assert len(killed) == 1
    report = run_search(data_at(tmp_path), tmp_path / "runs", epochs=120, trials=len(finished) + 1, resume=True)
    after = open_study(study_folder, "none").trials
    assert [after[trial.number].value for trial in finished] == [trial.value for trial in finished]
    assert after[killed[0].number].state is TrialState.FAIL
    assert after[-1].state is TrialState.COMPLETE
    assert after[-1].params == killed[0].params
    assert (report.complete, report.failed) == (len(finished) + 1, 0)
    assert report.best is not None
    best = yaml.safe_load(report.best.read_text())
    assert best["training"]["learning_rate"] == report.values["training.learning_rate"]
    assert json.loads((study_folder / "search.json").read_text())["data"]["name"] == "synthetic"


@pytest.mark.slow
def test_processes_share_a_study(data, tmp_path):
    events: list[TrialEnded] = []
    report = run_search(data, tmp_path, trials=6, runtime=Runtime("cpu", workers=2), on_event=events.append)
    assert sorted(event.number for event in events) == list(range(6))
    assert report.complete == 6
    assert report.value == max(event.value for event in events if event.value is not None)
