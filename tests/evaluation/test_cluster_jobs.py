"""Cross-validations and searches on a real Ray cluster of two nodes: what this machine gives, also when a node dies."""

from __future__ import annotations

import importlib.util
import shutil

import pytest

from eri.config import Runtime
from eri.evaluation.cross_validation import cv
from eri.evaluation.jobs import ModelTrained, TrialEnded
from eri.evaluation.search import search
from eri.evaluation.search_space import Parameter
from eri.utils.errors import RunError, StoreError
from tests.evaluation.conftest import CPU, PLAN, Events
from tests.factories.ray_cluster import connected_cluster

pytestmark = [
    pytest.mark.skipif(importlib.util.find_spec("ray") is None, reason="ray is not installed"),
    pytest.mark.faults,
]
RATE = {"training.learning_rate": Parameter(low=1e-6, high=3e-2, log=True)}


@pytest.fixture
def cluster():
    with connected_cluster() as started:
        yield started


def test_a_cross_validation_is_that_of_this_machine_and_goes_on_when_a_node_dies(cluster, data, finished, tmp_path):
    trained = Events()

    def lose_a_node(event: object) -> None:
        trained.append(event)
        if len(trained.of(ModelTrained)) == 2:
            cluster.nodes[1].kill()

    config = data.configured(epochs=4)
    there = cv(
        config, data.table, data.features, tmp_path, CPU, plan=PLAN, seeds=(1, 2), engine="ray", on_event=lose_a_node
    )
    assert len(trained.of(ModelTrained)) == 6
    assert there.metrics.score == pytest.approx(finished.metrics.score, abs=1e-6)
    for ours, theirs in zip(there.folds, finished.folds, strict=True):
        assert ours.metrics.score == pytest.approx(theirs.metrics.score, abs=1e-6)
    assert not list(there.path.rglob("*.tmp"))


def test_a_search_is_one_study_of_tasks(cluster, data, tmp_path):
    ended = Events()
    report = search(
        data.configured(epochs=2),
        RATE,
        data.table,
        data.features,
        tmp_path,
        CPU,
        trials=5,
        pruning="none",
        engine="ray",
        on_event=ended.append,
    )
    assert (report.complete, report.pruned, report.failed) == (5, 0, 0)
    assert sorted(event.number for event in ended.of(TrialEnded)) == list(range(5))
    assert report.value == max(event.value for event in ended.of(TrialEnded) if event.value is not None)


def test_what_a_node_cannot_do_is_reported_with_its_name(cluster, data, tmp_path):
    gone = tmp_path / "features"
    with pytest.raises((RunError, StoreError), match=r"node .+127\.0\.0\."):
        cv(data.configured(epochs=2), data.table, gone, tmp_path / "runs", CPU, plan=PLAN, engine="ray")
    shutil.rmtree(tmp_path / "runs", ignore_errors=True)
    again = cv(
        data.configured(epochs=2), data.table, data.features, tmp_path / "runs", Runtime("cpu"), plan=PLAN, engine="ray"
    )
    assert len(again.folds) == 3
