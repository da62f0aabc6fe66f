"""Extraction on a real Ray cluster of two nodes: the local engine's files, failures, events and exit codes."""

from __future__ import annotations

import importlib.util
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from eri.config import Runtime
from eri.extraction.cluster import connect
from eri.extraction.report import ExtractionEvent, ExtractionReport, read_failures
from eri.extraction.run import EngineName, extract
from eri.features.folder import FeatureFolder
from eri.features.store import find_folder
from eri.utils.errors import ClusterError, ConfigError, DataError, MissingDependencyError, StoreError
from tests.factories.comparing import assert_nothing_left, assert_same_features
from tests.factories.extractors import fake_config, fake_extractors, fake_table, logged
from tests.factories.ray_cluster import actors, connected_cluster, kill

pytestmark = pytest.mark.skipif(importlib.util.find_spec("ray") is None, reason="ray is not installed")

CLIPS = {f"{number:03d}": f"{'long' if number % 5 == 0 else 'partly'} {number}" for number in range(30)}
ODD = {"003": "truncated", "007": "crash", "011": "no-face", "013": "memory"}


@pytest.fixture(scope="module")
def cluster():
    with connected_cluster() as started:
        yield started


def run(
    tmp_path: Path, contents: dict[str, str], engine: EngineName, *, delay: float = 0.0, **options: Any
) -> ExtractionReport:
    table = fake_table(tmp_path / "data", contents)
    runtime = options.pop("runtime", Runtime(workers=1, timeout=30))
    create = fake_extractors(tmp_path / f"{engine}.log", delay)
    return extract(table, [fake_config()], tmp_path / engine, runtime, engine=engine, create=create, **options)


def folder_in(tmp_path: Path, engine: str = "ray") -> FeatureFolder:
    return find_folder(tmp_path / engine, fake_config())


@pytest.mark.slow
def test_files_failures_and_report_are_those_of_the_local_engine(cluster, tmp_path):
    events: list[ExtractionEvent] = []
    there = run(tmp_path, CLIPS | ODD, "ray", on_event=events.append)
    here = run(tmp_path, CLIPS | ODD, "local")
    assert_same_features(tmp_path / "ray", tmp_path / "local")
    assert_nothing_left(tmp_path / "ray")
    assert [(failure.clip_id, failure.reason) for failure in there.failures] == [
        (failure.clip_id, failure.reason) for failure in here.failures
    ]
    assert read_failures(folder_in(tmp_path)) == there.failures
    counts = [(part.total, part.computed, part.no_face, part.partly_no_face) for part in there.extractors]
    assert counts == [(part.total, part.computed, part.no_face, part.partly_no_face) for part in here.extractors]
    assert there.exit_code == here.exit_code == 3
    assert [event.done for event in events if event.stage == "extract"] == list(range(1, len(CLIPS) + 1))
    assert (events[0].stage, events[-1].stage) == ("check", "end")
    assert there.extractors[0].stages is not None
    again = run(tmp_path, CLIPS, "ray")
    assert (again.exit_code, again.extractors[0].computed) == (0, len(ODD))


@pytest.mark.slow
def test_both_nodes_work_and_an_actor_that_is_killed_costs_no_clip(cluster, tmp_path):
    log = tmp_path / "ray.log"
    killed: list[int] = []

    def kill_one(event: ExtractionEvent) -> None:
        found = actors(log)
        if not killed and event.computed > 3 and len(found) == 2:
            killed.append(found.pop())
            kill(killed[0])
            [folder] = (tmp_path / "ray").glob("fake-*")
            (folder / f".{min(CLIPS)}.safetensors.1.0123abcd.tmp").touch()  # as if it had been at its writing

    report = run(tmp_path, CLIPS, "ray", delay=0.1, on_event=kill_one)
    assert killed
    assert (report.exit_code, report.extractors[0].computed) == (0, len(CLIPS))
    run(tmp_path, CLIPS, "local")
    assert_same_features(tmp_path / "ray", tmp_path / "local")
    assert_nothing_left(tmp_path / "ray")
    assert len(logged(log)) - len(CLIPS) <= 14  # what was in flight


@pytest.mark.slow
def test_what_concerns_every_clip_stops_the_run_and_names_the_node(cluster, tmp_path):
    from eri.utils.errors import WeightsError

    with pytest.raises(WeightsError, match=r"node .* \(127\.0\.0\.[23], .*detector's weights are missing"):
        run(tmp_path, {"a": "ok", "b": "weights"}, "ray")
    with pytest.raises(RuntimeError, match=r"node .*clip c:"):
        run(tmp_path / "other", {"a": "ok", "c": "bug"}, "ray")
    with pytest.raises(ClusterError, match=r"(?s)no node .* has 5 CPUs.*--workers"):
        run(tmp_path, {"a": "ok"}, "ray", runtime=Runtime(workers=5))
    with pytest.raises(ConfigError, match=r"--device cuda"):
        run(tmp_path, {"a": "ok"}, "ray", runtime=Runtime(device="cuda:1"))


def test_a_node_must_see_the_folders_of_the_driver(tmp_path):
    from eri.extraction.ray_engine import check_shared_folders

    (tmp_path / "probe").touch()
    folder = FeatureFolder(tmp_path, "")
    check_shared_folders(folder, "probe", tmp_path)
    with pytest.raises(StoreError, match=r"(?s)is not the feature folder of the driver.*NFS"):
        check_shared_folders(folder, "other", None)
    with pytest.raises(StoreError, match=r"(?s)lost: is not there.*NFS"):
        check_shared_folders(FeatureFolder(tmp_path / "lost", ""), "probe", None)
    with pytest.raises(DataError, match=r"lost: the data set is not there"):
        check_shared_folders(folder, "probe", tmp_path / "lost")


@pytest.mark.slow
def test_an_address_where_nothing_answers_is_refused_soon(monkeypatch):
    monkeypatch.setattr("ray.is_initialized", lambda: False)
    started = time.monotonic()
    with pytest.raises(ClusterError, match=r"(?s)127\.0\.0\.9:6399: nothing answers within 2 s.*ray status"):
        connect("127.0.0.9:6399", patience=2.0).__enter__()
    assert time.monotonic() - started < 10
    with pytest.raises(ConfigError, match=r"(?s)Ray Client.*--address auto"):
        connect("ray://127.0.0.9:10001").__enter__()


def test_the_local_engine_has_no_address(tmp_path):
    with pytest.raises(ConfigError, match="--engine ray"):
        run(tmp_path, {"a": "ok"}, "local", address="auto")


def test_without_ray_the_error_says_what_to_install(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(MissingDependencyError, match=r"eri\[ray\]"):
        run(tmp_path, {"a": "ok"}, "ray")
