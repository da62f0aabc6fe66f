"""Trials judged over folds: each clip scored by models that never met it, and hopeless trials given up by a floor."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml
from typer.testing import CliRunner

from eri.cli import app as cli
from eri.config import Runtime, load_config
from eri.evaluation.cross_validation import cv
from eri.evaluation.folds import FoldPlan
from eri.evaluation.jobs import TrialEnded
from eri.evaluation.search import SearchReport, search
from eri.evaluation.search_space import Parameter
from eri.utils.errors import ConfigError, DataError, RunError
from tests.evaluation.conftest import Events
from tests.factories.features import DataSet, Recipe, make_data_set

CPU = Runtime(device="cpu", workers=1)
MOODS = Recipe(sizes={"train": 24, "val": 12}, classes=("calm", "angry"), subjects=6, noise=0.1)
THREE = FoldPlan(folds=3, inner=2)
RATES = {"training.learning_rate": Parameter(choices=(1e-9, 3e-2))}
USELESS, USEFUL = 1e-9, 3e-2


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> DataSet:
    return make_data_set(tmp_path_factory.mktemp("data"), MOODS)


def run_search(data: DataSet, runs: Path, **options) -> SearchReport:
    options = {"plan": THREE, "trials": 4, "pruning": "none", **options}
    config = data.configured(epochs=8)
    return search(config, options.pop("space", RATES), data.table, data.features, runs, CPU, **options)


@pytest.mark.slow
def test_the_figure_of_a_trial_is_that_of_a_cross_validation(data, tmp_path):
    report = run_search(data, tmp_path)
    assert (report.complete, report.pruned, report.failed) == (4, 0, 0)
    assert report.values == {"training.learning_rate": USEFUL}
    assert report.metric == "WAR"
    assert report.best is not None
    again = cv(load_config(report.best), data.table, data.features, tmp_path, CPU, plan=THREE, bootstrap=0)
    assert report.value == pytest.approx(again.metrics.score)


@pytest.mark.slow
def test_values_that_were_tried_are_not_trained_again(data, tmp_path):
    events = Events()
    report = run_search(data, tmp_path, trials=5, on_event=events.append)
    assert len(list(report.path.glob("trials/*/repeat1-fold*"))) == 3 * len(
        {str(event.values) for event in events.of(TrialEnded)}
    )
    values = {(str(event.values), event.value) for event in events.of(TrialEnded)}
    assert len(values) == len({value for value, _ in values})


@pytest.mark.slow
def test_a_subject_out_at_a_time(data, tmp_path):
    report = run_search(data, tmp_path, trials=1, plan=FoldPlan(leave_one_group_out=True, inner=2))
    assert len(list(report.path.glob("trials/*/repeat1-fold*"))) == MOODS.subjects


@pytest.mark.slow
def test_intensities_over_folds(tmp_path):
    data = make_data_set(tmp_path, Recipe(sizes={"train": 16, "val": 8}))
    report = run_search(data, tmp_path / "runs", trials=2)
    assert report.metric == "Pearson"
    assert report.complete == 2


class TestFloor:
    def test_a_trial_that_cannot_reach_it_is_given_up_between_folds(self, data, tmp_path):
        events = Events()
        space = {"training.learning_rate": Parameter(choices=(USELESS,))}
        report = run_search(data, tmp_path, space=space, trials=1, floor=1.0, on_event=events.append)
        assert [event.state for event in events.of(TrialEnded)] == ["pruned"]
        assert (report.best, report.value, report.pruned) == (None, None, 1)
        assert len(list(report.path.glob("trials/*/repeat1-fold*"))) < 3

    @pytest.mark.slow
    def test_a_trial_that_may_reach_it_ends(self, data, tmp_path):
        events = Events()
        report = run_search(data, tmp_path, trials=5, floor=0.9, on_event=events.append)
        states = {event.values["training.learning_rate"]: event.state for event in events.of(TrialEnded)}
        assert states == {USELESS: "pruned", USEFUL: "complete"}
        assert report.value is not None
        assert report.value >= 0.9

    def test_what_is_still_within_reach_must_be_known(self, data, tmp_path):
        with pytest.raises(ConfigError, match="only folds of a classification show"):
            run_search(data, tmp_path, plan=None, floor=0.9)
        with pytest.raises(ConfigError, match=r"the floor 96\.5 is a share"):
            run_search(data, tmp_path, floor=96.5)
        intensities = make_data_set(tmp_path, Recipe(sizes={"train": 16, "val": 8}))
        with pytest.raises(ConfigError, match="only folds of a classification show"):
            run_search(intensities, tmp_path, floor=0.9)
        assert not list(tmp_path.glob("*-search"))


@pytest.mark.slow
def test_a_study_is_resumed_on_the_same_folds_only(data, tmp_path):
    first = run_search(data, tmp_path, trials=1)
    assert run_search(data, tmp_path, trials=2, resume=True).complete == 2
    for plan in (None, FoldPlan(folds=4, inner=2), FoldPlan(leave_one_group_out=True, inner=2)):
        with pytest.raises(RunError, match="there changed: protocol 'folds' was"):
            run_search(data, tmp_path, plan=plan, resume=True)
    by_split = run_search(data, tmp_path, trials=1, plan=None, name="by-split")
    with pytest.raises(RunError, match="protocol 'folds' was None, now"):
        run_search(data, tmp_path, name="by-split", resume=True)
    assert first.path != by_split.path


def test_folds_that_cannot_be(data, tmp_path):
    with pytest.raises(DataError, match="cannot be split into 7 parts"):
        run_search(data, tmp_path, plan=FoldPlan(folds=7))
    unlabelled = make_data_set(tmp_path, Recipe(sizes={"train": 4, "val": 4}, labelled=(), classes=("a", "b")))
    with pytest.raises(DataError, match="no clip of train or val has labels"):
        run_search(unlabelled, tmp_path)
    assert not list(tmp_path.glob("*-search"))


@pytest.mark.slow
def test_options_of_the_command_line(data, tmp_path, monkeypatch):
    (tmp_path / "system.yaml").write_text(yaml.safe_dump(data.configured(epochs=4).model_dump(mode="json")))
    (tmp_path / "space.yaml").write_text("training.learning_rate: {choices: [0.00000001, 0.03]}")
    monkeypatch.setattr("eri.data.load_clips", lambda *_: data.table)
    places = ["--features", str(data.features), "--runs", str(tmp_path / "runs"), "--device", "cpu"]
    arguments = ["search", str(tmp_path / "space.yaml"), "-c", str(tmp_path / "system.yaml"), "--trials", "2", *places]

    def run(*options: str) -> str:
        outcome = CliRunner().invoke(cli.app, [*arguments, *options])
        if outcome.exception is not None and not isinstance(outcome.exception, SystemExit):
            raise outcome.exception
        return outcome.output

    assert "best validation WAR" in run("--folds", "3", "--pruning", "none", "--name", "three")
    assert len(list((tmp_path / "runs" / "three" / "trials").glob("*/repeat1-fold3"))) >= 1
    run("--leave-one-group-out", "--pruning", "none", "--name", "subjects", "--floor", "0.99")
    assert list((tmp_path / "runs" / "subjects" / "trials").glob("*/repeat1-fold1"))
    with pytest.raises(ConfigError, match="folds is 1; it must be at least 2"):
        run("--folds", "1", "--name", "one")
    with pytest.raises(ConfigError, match="only folds of a classification show"):
        run("--floor", "0.9", "--name", "none")
