"""Extraction that is killed, interrupted, or run twice at once. Real processes, real signals."""

import json
import signal
import subprocess
import time
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from eri.config import Runtime
from eri.extraction.run import extract
from eri.features.folder import FeatureFolder
from eri.features.format import read_record
from eri.features.store import find_folder
from eri.utils.errors import StoreError
from tests.factories.disks import enlarge_disk, small_disk
from tests.factories.extractors import fake_config, fake_extractors, fake_table, logged, read_fake_table
from tests.factories.processes import ROOT, alive, begin, wait_until

pytestmark = pytest.mark.usefixtures("temporary")

CLIPS = [f"{number:05d}" for number in range(24)]


@pytest.fixture
def data(tmp_path) -> Path:
    return fake_table(
        tmp_path / "data", {clip_id: f"{'long' if clip_id > '00006' else 'ok'} {clip_id}" for clip_id in CLIPS}
    ).root


def start(data: Path, features: Path, log: Path, *options: str) -> subprocess.Popen[str]:
    return begin(ROOT / "tests" / "factories" / "extraction_run.py", data, features, log, *options)


def whole_files(folder: Path) -> set[str]:
    """Return the clips whose feature files prove themselves; there must be no others."""
    return {read_record(path).clip_id for path in folder.glob("*.safetensors")}


def workers(log: Path) -> set[int]:
    return {int(line.split()[1]) for line in log.read_text().splitlines()}


def finish(data: Path, features: Path, log: Path) -> FeatureFolder:
    """Extract what is missing in this process and return the folder."""
    table = read_fake_table(data)
    report = extract(table, [fake_config()], features, Runtime(workers=0), create=fake_extractors(log))
    assert report.exit_code == 0
    assert report.extractors[0].complete == len(CLIPS)
    return find_folder(features, fake_config())


def assert_clean(folder: Path) -> None:
    names = {path.name for path in folder.iterdir()}
    assert names - {"rates.json"} == {
        "identity.json",
        "config.json",
        "order.json",
        "journal.jsonl",
        ".claims",
        *(f"{name}.safetensors" for name in CLIPS),
    }
    assert [path.name for path in (folder / ".claims").iterdir() if not path.name.startswith(".")] == []


def assert_as_undisturbed(folder: FeatureFolder, data: Path, tmp_path: Path) -> None:
    calm = finish(data, tmp_path / "calm", tmp_path / "calm.log")
    for clip_id in CLIPS:
        disturbed, expected = folder.read_record(clip_id), calm.read_record(clip_id)
        assert disturbed.checksum == expected.checksum
        np.testing.assert_array_equal(folder.read(clip_id).embeddings, calm.read(clip_id).embeddings)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("moment", "stalled"),
    [
        pytest.param("the first clip", None, marks=pytest.mark.slow),
        ("the ninth clip", None),
        ("a flush", "flush"),
        pytest.param("before the journal", "journal", marks=pytest.mark.slow),
    ],
)
def test_a_killed_run_is_completed_by_the_next(data, tmp_path, temporary, moment, stalled):
    features, log = tmp_path / "features", tmp_path / "log"
    process = start(data, features, log, "2", "0.05", *([stalled] if stalled else []))
    try:
        if stalled:
            wait_until((tmp_path / "stalled").exists)
        else:
            wait_until(lambda: len(logged(log)) >= (1 if moment == "the first clip" else 9))
    finally:
        process.send_signal(signal.SIGKILL)
        process.communicate()
    wait_until(lambda: not any(alive(pid) for pid in workers(log)), seconds=20)

    folder = next(features.iterdir())
    done = whole_files(folder)
    if stalled:
        assert len(done) == 3
        assert len(list(folder.glob(".*.safetensors.*.tmp"))) == (stalled == "flush")
    log.unlink()
    resumed = finish(data, features, log)
    assert sorted(logged(log)) == sorted(set(CLIPS) - done)
    assert_clean(folder)
    assert list(temporary.iterdir()) == []
    assert_as_undisturbed(resumed, data, tmp_path)
    log.unlink(missing_ok=True)
    finish(data, features, log)
    assert logged(log) == []


def test_ctrl_c_ends_the_workers_and_leaves_whole_files(data, tmp_path, temporary):
    features, log = tmp_path / "features", tmp_path / "log"
    process = start(data, features, log, "2", "0.1")
    wait_until(lambda: len(logged(log)) >= 5)
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=60)
    assert "KeyboardInterrupt" in said
    assert process.returncode != 0
    assert not any(alive(pid) for pid in workers(log))
    folder = next(features.iterdir())
    done = whole_files(folder)
    assert len(done) < len(CLIPS)
    assert list(folder.glob(".*.tmp")) == []
    assert list(temporary.iterdir()) == []
    log.unlink()
    finish(data, features, log)
    assert sorted(logged(log)) == sorted(set(CLIPS) - done)
    assert_clean(folder)


@pytest.mark.slow
def test_two_runs_at_once_do_every_clip_once(data, tmp_path):
    features, log = tmp_path / "features", tmp_path / "log"
    processes = [start(data, features, log, "1", "0.05") for _ in range(2)]
    answers = [json.loads(process.communicate(timeout=120)[0]) for process in processes]
    assert Counter(logged(log)) == Counter(CLIPS)
    assert [answer["complete"] for answer in answers] == [len(CLIPS)] * 2
    assert [answer["exit"] for answer in answers] == [0, 0]
    assert sum(answer["computed"] for answer in answers) == len(CLIPS)
    folder = find_folder(features, fake_config())
    assert_clean(folder.path)
    assert_as_undisturbed(folder, data, tmp_path)


@pytest.mark.slow
def test_a_run_takes_over_what_a_killed_one_had_claimed(data, tmp_path):
    features, log = tmp_path / "features", tmp_path / "log"
    first = start(data, features, log, "1", "0.05", "flush")
    wait_until((tmp_path / "stalled").exists)
    second_log = tmp_path / "second.log"
    second = start(data, features, second_log, "1", "0")
    # The first run holds claims on its look-ahead and on what waits for being written; the second does the rest, then
    # waits for them.
    wait_until(lambda: len(logged(second_log)) >= 1)
    time.sleep(1)
    assert second.poll() is None
    first.kill()
    first.communicate()
    answer = json.loads(second.communicate(timeout=60)[0])
    assert answer == {"computed": len(CLIPS) - 3, "complete": len(CLIPS), "exit": 0}
    assert Counter(logged(second_log)).most_common(1)[0][1] == 1


def test_a_full_disk_stops_the_run_and_keeps_what_is_whole(data, tmp_path):
    features, log = tmp_path / "features", tmp_path / "log"
    with small_disk(features, 48):
        table = read_fake_table(data)
        with pytest.raises(StoreError, match=r"(?s)the disk is full.*--features DIR"):
            extract(table, [fake_config()], features, Runtime(workers=0), create=fake_extractors())
        folder = next(features.iterdir())
        done = whole_files(folder)
        assert 0 < len(done) < len(CLIPS)
        assert list(folder.glob(".*.tmp")) == []
        enlarge_disk(features, 1024)
        finish(data, features, log)
        assert sorted(logged(log)) == sorted(set(CLIPS) - done)
