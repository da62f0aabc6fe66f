"""Searches: they find better settings, survive a kill, are shared by processes, and refuse what would mix studies."""

from __future__ import annotations

import json
import signal
from dataclasses import replace
from pathlib import Path

import pytest
import yaml
from optuna.trial import TrialState

from eri.config import Runtime, load_config
from eri.config.training import GradientTraining
from eri.evaluation.cross_validation import score_table
from eri.evaluation.evaluate import predict
from eri.evaluation.jobs import TrialEnded
from eri.evaluation.search import SearchReport, open_study, search
from eri.evaluation.search_space import Parameter
from eri.training import TrainingEvent, train
from eri.utils.errors import ConfigError, RunError
from tests.evaluation.conftest import Events, known
from tests.factories.features import DataSet, Recipe, make_data_set
from tests.factories.processes import begin

CPU = Runtime(device="cpu")
RECIPE = Recipe(sizes={"train": 24, "val": 16})
RATE = {"training.learning_rate": Parameter(low=1e-6, high=3e-2, log=True)}


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
def events() -> Events:
    """The events of :func:`report`."""
    return Events()


@pytest.fixture(scope="module")
def report(data: DataSet, runs: Path, events: Events) -> SearchReport:
    return run_search(data, runs, trials=8, on_event=events.append)


class TestSearch:
    @pytest.mark.slow
    def test_best_of_its_trials(self, report, events):
        assert (report.complete, report.pruned, report.failed) == (8, 0, 0)
        trials = events.of(TrialEnded)
        assert [event.state for event in trials] == ["complete"] * 8
        best = max(trials, key=lambda event: known(event.value))
        assert (report.value, report.values) == (best.value, best.values)

    def test_best_config_runs_and_gives_the_figure(self, data, report, tmp_path):
        config = load_config(report.best)
        assert config.training_of(GradientTraining).learning_rate == report.values["training.learning_rate"]
        run = train(config, data.table, data.features, tmp_path, CPU)
        predictions = predict(run, data.table, data.features, "val", CPU)
        assert score_table(predictions, data.table, resamples=0).score == pytest.approx(report.value)

    @pytest.mark.slow
    def test_same_seed_same_trials(self, data, report, events, tmp_path):
        again = Events()
        run_search(data, tmp_path, trials=3, on_event=again.append)
        assert again.of(TrialEnded) == events.of(TrialEnded)[:3]

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


@pytest.mark.slow
def test_pruning_stops_the_hopeless(data, tmp_path):
    events = Events()
    space = {"training.learning_rate": Parameter(choices=(1e-7, 1e-2))}
    report = run_search(data, tmp_path, space=space, trials=10, epochs=8, pruning="asha", on_event=events.append)
    assert report.pruned > 0
    assert report.values == {"training.learning_rate": 1e-2}
    histories = [path.read_text().count("\n") for path in report.path.glob("trials/*/history.csv")]
    assert min(histories) < max(histories)


@pytest.mark.slow
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


@pytest.mark.slow
def test_a_line_that_was_cut_is_dropped(data, tmp_path):
    report = run_search(data, tmp_path, trials=2)
    with (report.path / "study.journal").open("ab") as stream:
        stream.write(b'{"op_code": 5, "worker')
    assert run_search(data, tmp_path, trials=3, resume=True).complete == 3


KILLED = """
import os, signal, sys
from pathlib import Path
from eri.evaluation.jobs import TrialEnded
from tests.evaluation.test_search import RECIPE, run_search
from tests.factories.features import read_data_set

trials = []

def die_in_the_second_trial(event):
    if isinstance(event, TrialEnded):
        trials.append(event)
    elif trials and event.kind == "epoch" and event.epoch == 2:
        os.kill(os.getpid(), signal.SIGKILL)

folder = Path(sys.argv[1])
run_search(read_data_set(folder, RECIPE), folder / "runs", on_event=die_in_the_second_trial)
"""


@pytest.mark.slow
def test_survives_a_kill(tmp_path):
    data = make_data_set(tmp_path, RECIPE)
    process = begin("-c", KILLED, tmp_path)
    _, said = process.communicate()
    assert process.returncode == -signal.SIGKILL, said
    study_folder = tmp_path / "runs" / "tiny-search"
    before = open_study(study_folder, "none").trials
    finished = [trial for trial in before if trial.state is TrialState.COMPLETE]
    killed = [trial for trial in before if trial.state is TrialState.RUNNING]
    assert (len(finished), len(killed)) == (1, 1)
    report = run_search(data, tmp_path / "runs", trials=len(finished) + 1, resume=True)
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
    events = Events()
    report = run_search(data, tmp_path, trials=6, runtime=Runtime("cpu", workers=2), on_event=events.append)
    trials = events.of(TrialEnded)
    assert sorted(event.number for event in trials) == list(range(6))
    assert report.complete == 6
    assert report.value == max(event.value for event in trials if event.value is not None)
    assert len([event for event in events.of(TrainingEvent) if event.kind == "epoch"]) == 6 * 4
