"""A Ray cluster that is really broken: nodes, actors, workers and drivers are killed, nodes lack what they need."""

from __future__ import annotations

import importlib.util
import json
import logging
import os
import signal
import subprocess
import sys
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from eri.config import ExtractorConfig, Runtime
from eri.extraction.cluster import Cluster, connect
from eri.extraction.report import ExtractionEvent, ExtractionReport
from eri.extraction.run import extract
from eri.features.folder import FeatureFolder
from eri.features.records import Extractor
from eri.features.store import find_folder
from eri.utils.errors import ClusterError, StoreError, WeightsError
from tests.factories.comparing import assert_nothing_left, assert_same_features
from tests.factories.extractors import fake_config, fake_extractors, fake_table, logged
from tests.factories.processes import ROOT, alive, begin, wait_until
from tests.factories.ray_cluster import RayCluster, RayNode, actors, descendants, kill, workers

pytestmark = [
    pytest.mark.faults,
    pytest.mark.skipif(importlib.util.find_spec("ray") is None, reason="ray is not installed"),
]

CLIPS = {f"{number:03d}": f"{'long' if number % 5 == 0 else 'ok'} {number}" for number in range(40)}
IN_FLIGHT = 14


@pytest.fixture(scope="module")
def cluster():
    with RayCluster() as started:
        yield started


@pytest.fixture
def add(cluster):
    """Add nodes for the length of a test."""
    added: list[RayNode] = []

    def start(**options: Any) -> RayNode:
        added.append(cluster.add(**options))
        return added[-1]

    yield start
    for node in added:
        node.kill()


def run(tmp_path: Path, address: str | None, contents: dict[str, str] = CLIPS, **options: Any) -> ExtractionReport:
    table = fake_table(tmp_path / "data", contents)
    runtime = options.pop("runtime", Runtime(workers=1, timeout=30))
    create = options.pop("create", fake_extractors(tmp_path / "log", options.pop("delay", 0.1)))
    limits = options.pop("limits", None)
    if limits is None:
        options |= {"engine": "ray", "address": address, "create": create}
        return extract(table, [fake_config()], tmp_path / "ray", runtime, **options)
    with connect(address) as cluster:
        from eri.extraction.ray_engine import load_on_ray

        engine = partial(load_on_ray, cluster, runtime, create, table.root, **limits)
        return extract(table, [fake_config()], tmp_path / "ray", runtime, engine=engine, **options)


def folder_in(tmp_path: Path) -> FeatureFolder:
    return find_folder(tmp_path / "ray", fake_config())


def assert_features_as_undisturbed(tmp_path: Path, contents: dict[str, str] = CLIPS) -> None:
    table = fake_table(tmp_path / "data", contents)
    extract(table, [fake_config()], tmp_path / "local", Runtime(workers=0), create=fake_extractors())
    assert_same_features(tmp_path / "ray", tmp_path / "local")


def assert_as_undisturbed(tmp_path: Path, contents: dict[str, str] = CLIPS) -> None:
    assert_features_as_undisturbed(tmp_path, contents)
    assert_nothing_left(tmp_path / "ray")


class Once:
    """Does something at the first event that finds it possible."""

    def __init__(self, act) -> None:
        self.act, self.done = act, False

    def __call__(self, event: ExtractionEvent) -> None:
        if not self.done and event.computed >= 5:
            self.done = self.act() is not False


def test_a_node_that_is_killed_half_way_costs_no_clip(cluster, add, tmp_path):
    log, node = tmp_path / "log", add()

    def act() -> bool:
        if not actors(log) & set(descendants(node.process.pid)):
            return False
        node.kill()
        return True

    once = Once(act)
    report = run(tmp_path, cluster.address, on_event=once)
    assert once.done
    assert (report.exit_code, report.extractors[0].computed) == (0, len(CLIPS))
    assert len(logged(log)) - len(CLIPS) <= IN_FLIGHT
    assert_as_undisturbed(tmp_path)


def test_a_node_that_joins_later_takes_part(cluster, add, tmp_path):
    contents = {f"{number:03d}": f"ok {number}" for number in range(160)}
    report = run(tmp_path, cluster.address, contents, on_event=Once(add), delay=0.2, limits={"recount": 0.5})
    assert report.exit_code == 0
    assert len(workers(tmp_path / "log")) == 3


def test_decode_workers_that_are_killed_cost_their_own_clips_only(cluster, tmp_path):
    log = tmp_path / "log"

    def act() -> bool:
        found = [pid for pid in workers(log) if alive(pid)]
        if len(found) < 2:
            return False
        for pid in found:
            kill(pid)
        return True

    once = Once(act)
    report = run(tmp_path, cluster.address, on_event=once)
    assert once.done
    assert {failure.reason for failure in report.failures} <= {"crashed"}
    assert len(report.failures) <= 2
    assert run(tmp_path, cluster.address).exit_code == 0
    assert_as_undisturbed(tmp_path)


def test_a_clip_that_kills_its_actor_again_and_again_fails_alone(cluster, tmp_path):
    contents = {**CLIPS, "deadly": "ok"}
    report = run(tmp_path, cluster.address, contents, delay=0.0)
    assert report.exit_code == 3
    assert [(failure.clip_id, failure.reason) for failure in report.failures] == [("deadly", "crashed")]
    assert "3 actors died" in report.failures[0].message
    assert report.extractors[0].computed == len(CLIPS)


def test_a_hanging_decoder_is_ended_after_the_timeout(cluster, tmp_path):
    contents = {**dict(list(CLIPS.items())[:6]), "stuck": "hang"}
    report = run(tmp_path, cluster.address, contents, runtime=Runtime(workers=1, timeout=2), delay=0.0)
    assert [(failure.clip_id, failure.reason) for failure in report.failures] == [("stuck", "timeout")]


def test_an_actor_that_hangs_is_replaced(cluster, tmp_path):
    log = tmp_path / "log"

    def act() -> bool:
        if len(actors(log)) < 2:
            return False
        os.kill(actors(log).pop(), signal.SIGSTOP)
        return True

    once = Once(act)
    runtime = Runtime(workers=1, timeout=2)
    report = run(tmp_path, cluster.address, on_event=once, runtime=runtime, limits={"stalled": 2.0})
    assert once.done
    assert report.exit_code == 0


def driver(tmp_path: Path, address: str) -> subprocess.Popen[str]:
    script = ROOT / "tests" / "factories" / "ray_run.py"
    return begin(script, tmp_path / "data", tmp_path / "ray", tmp_path / "log", address)


def test_a_driver_that_is_killed_takes_its_actors_along_and_the_next_goes_on(cluster, tmp_path):
    log = tmp_path / "log"
    fake_table(tmp_path / "data", CLIPS)
    first = driver(tmp_path, cluster.address)
    wait_until(lambda: len(logged(log)) >= 12)
    involved = actors(log) | workers(log)
    first.kill()
    first.communicate()
    wait_until(lambda: not any(alive(pid) for pid in involved), 30)
    done = {path.stem for path in folder_in(tmp_path).path.glob("*.safetensors")}
    assert 0 < len(done) < len(CLIPS)
    log.unlink()
    answer = json.loads(driver(tmp_path, cluster.address).communicate(timeout=120)[0])
    assert answer == {"computed": len(CLIPS) - len(done), "complete": len(CLIPS), "exit": 0}
    assert sorted(logged(log)) == sorted(set(CLIPS) - done)
    assert_as_undisturbed(tmp_path)


def test_two_drivers_at_once_do_every_clip_once(cluster, tmp_path):
    fake_table(tmp_path / "data", CLIPS)
    processes = [driver(tmp_path, cluster.address) for _ in range(2)]
    answers = [json.loads(process.communicate(timeout=180)[0]) for process in processes]
    assert [answer["complete"] for answer in answers] == [len(CLIPS)] * 2
    assert sum(answer["computed"] for answer in answers) == len(CLIPS)
    assert sorted(logged(tmp_path / "log")) == sorted(CLIPS)
    assert_as_undisturbed(tmp_path)


def test_a_head_that_is_killed_ends_the_driver_and_the_next_cluster_goes_on(tmp_path):
    log = tmp_path / "log"
    fake_table(tmp_path / "data", CLIPS)
    with RayCluster() as dying:
        process = driver(tmp_path, dying.address)
        wait_until(lambda: len(logged(log)) >= 6)
        dying.nodes[0].kill()
        _, said = process.communicate(timeout=100)
        assert process.returncode == 1
        assert f"Ray cluster {dying.address}: its head no longer answers" in said
        wait_until(lambda: not any(alive(pid) for pid in actors(log) | workers(log)), 100)
    with RayCluster() as following:
        report = run(tmp_path, following.address)
    assert (report.exit_code, report.extractors[0].complete) == (0, len(CLIPS))
    assert len(logged(log)) - len(CLIPS) <= IN_FLIGHT
    # Actors on the other node go on for a while: when they have done all, the next run has nothing to sweep away for.
    assert_features_as_undisturbed(tmp_path)


def test_ctrl_c_ends_the_actors(cluster, tmp_path):
    log = tmp_path / "log"
    fake_table(tmp_path / "data", CLIPS)
    process = driver(tmp_path, cluster.address)
    wait_until(lambda: len(logged(log)) >= 6)
    involved = actors(log) | workers(log)
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=60)
    assert "KeyboardInterrupt" in said
    wait_until(lambda: not any(alive(pid) for pid in involved), 30)
    assert_nothing_left(tmp_path / "ray")


def test_a_full_object_store_stops_nothing(cluster, tmp_path):
    import numpy as np
    import ray

    ray.init(cluster.address, log_to_driver=False, logging_level=logging.ERROR)
    try:
        kept = [ray.put(np.zeros(9 << 20, dtype=np.uint8)) for _ in range(10)]  # of a store of 100 MiB
        assert run(tmp_path, None, delay=0.0).exit_code == 0
        del kept
    finally:
        ray.shutdown()
    assert_as_undisturbed(tmp_path)


def test_a_node_that_cannot_see_the_feature_folder_is_named(cluster, add, tmp_path):
    if os.geteuid() != 0 or subprocess.run(["unshare", "--mount", "true"], capture_output=True).returncode:
        pytest.skip("only the superuser may hide a folder from a process")
    (tmp_path / "ray").mkdir()
    hide = ("unshare", "--mount", "sh", "-c", f'mount -t tmpfs tmpfs {tmp_path / "ray"} && exec "$@"', "sh")
    node = add(wrapper=hide)
    with pytest.raises(StoreError, match=rf"(?s)node .*{node.address}.*/ray/fake-.*is not there.*NFS"):
        run(tmp_path, cluster.address)
    assert_nothing_left(tmp_path / "ray")


def weightless(config: ExtractorConfig, runtime: Runtime) -> Extractor:
    if os.environ.get("WEIGHTLESS"):
        raise WeightsError("resnet50: no weights are here", hint="Fetch them.")
    return fake_extractors(delay=0.1)(config, runtime)


def test_a_node_without_the_weights_is_named(cluster, add, tmp_path):
    node = add(WEIGHTLESS="1")
    with pytest.raises(WeightsError, match=rf"(?s)node .*{node.address}.*no weights are here.*Fetch them"):
        run(tmp_path, cluster.address, create=weightless)


OTHER_VERSION = """
import importlib.metadata
genuine = importlib.metadata.version
importlib.metadata.version = lambda name: "0.0.7" if name == "eri" else genuine(name)
"""
NO_ERI = """
import sys
class Refuse:
    def find_spec(self, name, path=None, target=None):
        if name == "eri":
            raise ModuleNotFoundError("No module named 'eri'", name=name)
sys.meta_path.insert(0, Refuse())
"""


@pytest.mark.parametrize(
    ("program", "message"),
    [
        (OTHER_VERSION, r"(?s)node .*ADDRESS.* has eri 0\.0\.7, this process.*same versions"),
        (NO_ERI, r"(?s)node ADDRESS: eri cannot be used there.*No module named 'eri'.*Install"),
    ],
    ids=["another", "none"],
)
def test_a_node_with_another_eri_or_none_is_named(cluster, add, tmp_path, program, message):
    (tmp_path / "path").mkdir()
    (tmp_path / "path" / "sitecustomize.py").write_text(program)
    node = add(PYTHONPATH=str(tmp_path / "path"))
    with pytest.raises(ClusterError, match=message.replace("ADDRESS", node.address)):
        run(tmp_path, cluster.address)


def test_a_cluster_without_a_free_core_is_reported(cluster, tmp_path):
    import ray

    ray.init(cluster.address, log_to_driver=False, logging_level=logging.ERROR)
    try:
        # Nodes that tests before this one have killed are missed only after a while.
        wait_until(lambda: len(Cluster("of this test").nodes()) == 2, 90)

        @ray.remote(num_cpus=1)
        class Idler:
            def here(self) -> bool:
                return True

        idlers: list[Any] = [Idler.remote() for _ in range(2)]  # type: ignore[attr-defined]
        ray.get([idler.here.remote() for idler in idlers], timeout=60)
        with pytest.raises(ClusterError, match=r"(?s)1 free CPUs within 5 s.*ray status"):
            run(tmp_path, None, limits={"patience": 5.0})
    finally:
        ray.shutdown()


def test_an_address_of_something_else_is_refused_within_fifteen_seconds(tmp_path):
    import socket
    import time

    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        started = time.monotonic()
        with pytest.raises(ClusterError, match="nothing answers within 12 s"):
            run(tmp_path, f"127.0.0.1:{silent.getsockname()[1]}")
        assert time.monotonic() - started < 15


def test_the_command_starts_ray_by_itself_and_leaves_nothing_running(tmp_path):
    from tests.factories.challenge_clips import write_challenge, write_system

    write_challenge(tmp_path / "data", train=4, val=2, test=1)
    system = write_system(tmp_path / "system.yaml", modality="visual", name="small")
    command = [sys.executable, "-m", "eri.cli.app", "extract", "-c", str(system or tmp_path / "system.yaml")]
    options = ["--data", str(tmp_path / "data"), "--device", "cpu", "--features"]
    environment = {key: value for key, value in os.environ.items() if key != "RAY_ADDRESS"}
    environment["RAY_AUTH_MODE"] = "disabled"  # or Ray leaves a token in the home folder
    there = subprocess.Popen(
        [*command, *options, str(tmp_path / "ray"), "--engine", "ray", "--json"],
        stdout=subprocess.PIPE,
        text=True,
        env=environment,
    )
    started: set[int] = set()
    while there.poll() is None:
        started.update(descendants(there.pid))
        try:
            there.wait(0.2)
        except subprocess.TimeoutExpired:
            continue
    assert there.returncode == 0
    assert there.stdout is not None
    events = [json.loads(line) for line in there.stdout.read().splitlines()]
    assert events[-1]["event"] == "result"
    assert started
    wait_until(lambda: not any(alive(pid) for pid in started), 20)
    subprocess.run([*command, *options, str(tmp_path / "local")], check=True, capture_output=True, env=environment)
    assert_same_features(tmp_path / "ray", tmp_path / "local")
