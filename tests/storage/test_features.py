"""Features in an object store: written through a mirror, known elsewhere without being fetched, always whole."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from eri.api import commands
from eri.config import ImageConfig, Runtime
from eri.data.clips import ClipTable
from eri.extraction.report import ExtractionReport, Shard, read_failures
from eri.extraction.run import extract
from eri.features.exchange.importing import import_features
from eri.features.packing import pack
from eri.features.sources import clip_sources
from eri.features.store import FeatureStore, find_folder, list_features, local_features, remember_config
from eri.storage.objects import ObjectStamp, ObjectStore
from eri.utils.errors import RemoteError, StoreError
from tests.factories import extraction_run
from tests.factories.challenge_clips import write_challenge, write_system
from tests.factories.comparing import assert_same_features
from tests.factories.extractors import fake_config, fake_extractors, fake_table, logged, read_fake_table
from tests.factories.objects import Bucket
from tests.factories.organisers import IDS, make_table, make_values, write_csvs
from tests.factories.processes import wait_until
from tests.factories.store import alter

CONTENTS = {"a": "ok 1", "b": "partly 2", "c": "ok 3", "d": "truncated 4", "e": "long 5"}
DONE = 4

Machine = Callable[[str], None]


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Machine:
    """Move to another machine, which has a cache of its own."""

    def move(name: str) -> None:
        monkeypatch.setenv("ERI_CACHE", str(tmp_path / name))

    return move


@pytest.fixture
def table(tmp_path: Path) -> ClipTable:
    return fake_table(tmp_path / "media", CONTENTS)


def run(table: ClipTable, bucket: Bucket, *, shard: Shard | None = None, log: Path | None = None) -> tuple[int, int]:
    """Extract into the bucket; return how many clips were computed, and how many were complete."""
    report = report_on(table, bucket, shard=shard, log=log).extractors[0]
    return report.computed, report.already_complete


def report_on(
    table: ClipTable, bucket: Bucket, *, shard: Shard | None = None, log: Path | None = None
) -> ExtractionReport:
    features = Path(f"{bucket.url}/features")
    return extract(table, [fake_config()], features, Runtime(workers=0), shard=shard, create=fake_extractors(log))


def feature_keys(bucket: Bucket) -> list[str]:
    return [key for key in bucket.keys("features/") if key.endswith(".safetensors")]


def fetched_features() -> list[Path]:
    return list(Path(os.environ["ERI_CACHE"]).rglob("*.safetensors"))


@pytest.mark.slow
def test_store_holds_what_a_folder_would(table: ClipTable, bucket: Bucket, tmp_path: Path) -> None:
    assert run(table, bucket) == (DONE, 0)
    extract(table, [fake_config()], tmp_path / "here", Runtime(workers=0), create=fake_extractors())
    bucket.client.get(f"{bucket.name}/features/", str(tmp_path / "there"), recursive=True)
    assert_same_features(tmp_path / "there", tmp_path / "here")
    names = {Path(key).name for key in bucket.keys("features/")}
    assert {"identity.json", "config.json", "failures.csv"} <= names


def test_second_run_and_other_machine_compute_and_fetch_nothing(
    table: ClipTable, bucket: Bucket, tmp_path: Path, machine: Machine
) -> None:
    log = tmp_path / "log"
    run(table, bucket, log=log)
    assert run(table, bucket, log=log) == (0, DONE)
    machine("another")
    assert run(table, bucket, log=log) == (0, DONE)
    assert not fetched_features()
    # The clip that failed is tried again each time, as ever.
    assert sorted(logged(log)) == ["a", "b", "c", "d", "d", "d", "e"]


def test_shards_on_two_machines_make_the_whole(table: ClipTable, bucket: Bucket, machine: Machine) -> None:
    machine("one")
    first = run(table, bucket, shard=Shard.parse("1/2"))
    machine("two")
    second = run(table, bucket, shard=Shard.parse("2/2"))
    assert first[0] + second[0] == DONE
    assert not first[1]
    assert not second[1]
    assert run(table, bucket) == (0, DONE)
    folder = find_folder(local_features(f"{bucket.url}/features"), fake_config())
    assert [failure.clip_id for failure in read_failures(folder)] == ["d"]


def test_features_are_fetched_and_packed_elsewhere(
    table: ClipTable, bucket: Bucket, tmp_path: Path, machine: Machine
) -> None:
    run(table, bucket)
    extract(table, [fake_config()], tmp_path / "here", Runtime(workers=0), create=fake_extractors())
    expected = pack(find_folder(tmp_path / "here", fake_config()), sorted(CONTENTS))
    machine("another")
    folder = find_folder(Path(f"{bucket.url}/features"), fake_config())
    packed = pack(folder, sorted(CONTENTS), sources=clip_sources(table, "visual"))
    assert packed.clip_ids == expected.clip_ids == tuple(sorted(CONTENTS.keys() - {"d"}))
    assert (packed.embeddings == expected.embeddings).all()
    assert len(fetched_features()) == DONE
    assert folder.read("a").embeddings.shape == (expected.offsets[1], expected.embeddings.shape[1])


def test_replaced_source_is_done_again_and_older_copies_elsewhere_are_dropped(
    table: ClipTable, bucket: Bucket, tmp_path: Path, machine: Machine
) -> None:
    machine("one")
    run(table, bucket)
    old = find_folder(Path(f"{bucket.url}/features"), fake_config()).read("a")
    machine("two")
    (tmp_path / "media" / "a.mp4").write_text("ok, but another")
    assert run(table, bucket) == (1, DONE - 1)
    machine("one")
    assert run(table, bucket) == (0, DONE)
    new = find_folder(Path(f"{bucket.url}/features"), fake_config())
    new.entries(["a"])
    assert (new.read("a").embeddings != old.embeddings).any()


def test_without_records_features_are_fetched_and_verified(table: ClipTable, bucket: Bucket, machine: Machine) -> None:
    run(table, bucket)
    for key in bucket.keys("features/"):
        if "/.records/" in key:
            bucket.client.rm_file(f"{bucket.name}/{key}")
    machine("another")
    assert run(table, bucket) == (0, DONE)
    assert len(fetched_features()) == DONE


def test_damaged_object_is_found_on_reading_and_written_again(
    table: ClipTable, bucket: Bucket, machine: Machine, tmp_path: Path
) -> None:
    run(table, bucket)
    key = next(key for key in feature_keys(bucket) if key.endswith("/a.safetensors"))
    (tmp_path / "damaged").write_bytes(bucket.read(key))
    alter(tmp_path / "damaged")
    bucket.client.put_file(str(tmp_path / "damaged"), f"{bucket.name}/{key}")
    machine("another")
    packed = pack(find_folder(Path(f"{bucket.url}/features"), fake_config()), ["a", "b"])
    assert packed.clip_ids == ("b",)
    assert run(table, bucket) == (1, DONE - 1)
    assert run(table, bucket) == (0, DONE)


def test_damaged_copy_here_is_fetched_again(table: ClipTable, bucket: Bucket) -> None:
    run(table, bucket)
    copy = next(path for path in fetched_features() if path.stem == "a")
    alter(copy)
    assert run(table, bucket) == (0, DONE)
    assert pack(find_folder(Path(f"{bucket.url}/features"), fake_config()), ["a"]).clip_ids == ("a",)


def test_upload_that_fails_stops_the_run_and_the_next_one_only_copies(
    table: ClipTable, bucket: Bucket, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    put = ObjectStore.put

    def fail(store: ObjectStore, source: Path, name: str) -> ObjectStamp:
        if name in {"b.safetensors", "e.safetensors"}:
            raise RemoteError(f"{store.url}: the store is full", reason="unreachable")
        return put(store, source, name)

    log = tmp_path / "log"
    with monkeypatch.context() as patch:
        patch.setattr(ObjectStore, "put", fail)
        with pytest.raises(RemoteError, match="the store is full"):
            run(table, bucket, log=log)
    before = feature_keys(bucket)
    assert not [key for key in before if key.endswith(("/b.safetensors", "/e.safetensors"))]
    computed, complete = run(table, bucket, log=log)
    assert computed + complete == DONE
    assert len(feature_keys(bucket)) == DONE
    done = [clip_id for clip_id in logged(log) if clip_id != "d"]
    assert sorted(done) == sorted(set(done))


@pytest.mark.faults
@pytest.mark.slow
def test_killed_run_leaves_whole_objects_and_the_next_one_completes(bucket: Bucket, tmp_path: Path) -> None:
    fake_table(tmp_path / "media", {f"{number:02}": f"ok {number}" for number in range(12)})
    log = tmp_path / "log"
    features = f"{bucket.url}/features"
    command = [sys.executable, extraction_run.__file__, str(tmp_path / "media"), features, str(log), "0", "0.2"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE)
    wait_until(lambda: len(feature_keys(bucket)) >= 3)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    assert 3 <= len(feature_keys(bucket)) < 12
    finished = subprocess.run(command, stdout=subprocess.PIPE, check=True, timeout=60)
    assert json.loads(finished.stdout)["complete"] == 12
    assert len(logged(log)) <= 12 + 2, "more was computed twice than what was in flight"
    table = read_fake_table(tmp_path / "media")
    extract(table, [fake_config()], tmp_path / "here", Runtime(workers=0), create=fake_extractors())
    bucket.client.get(f"{bucket.name}/features/", str(tmp_path / "there"), recursive=True)
    assert_same_features(tmp_path / "there", tmp_path / "here")


@pytest.mark.slow
def test_the_whole_way_through_the_store(bucket: Bucket, tmp_path: Path, machine: Machine) -> None:
    data = bucket.upload(write_challenge(tmp_path / "data"), "data")
    config, features = write_system(tmp_path / "small.yaml"), f"{bucket.url}/features"
    machine("one")
    first = commands.extract(data, config=config, features=features, device="cpu", workers=0)
    assert first.exit_code == 0
    machine("two")
    again = commands.extract(data, config=config, features=features, device="cpu", workers=0)
    assert again.extractors[0].computed == 0
    trained = commands.train(data, config=config, features=features, runs=tmp_path / "runs", device="cpu")
    inputs = json.loads((trained / "inputs.json").read_text())
    assert (inputs["data"], inputs["features"]) == (data, features)
    machine("three")
    commands.evaluate(trained, bootstrap=100, device="cpu")
    assert (trained / "predictions.parquet").exists()
    assert len(fetched_features()) == 4
    assert list(list_features(Path(features))["clips"]) == [13]


def test_imported_features_are_copied_there_and_added_to_elsewhere(
    bucket: Bucket, tmp_path: Path, machine: Machine
) -> None:
    table, features, values = make_table(tmp_path / "data"), Path(f"{bucket.url}/features"), make_values(IDS)
    first = {clip_id: values[clip_id] for clip_id in IDS[:2]}
    report = import_features(table, write_csvs(tmp_path / "some" / "FAUs", first), features)
    assert (report.added, len(feature_keys(bucket))) == (2, 2)
    machine("another")
    report = import_features(table, write_csvs(tmp_path / "all" / "FAUs", values), features)
    assert (report.already, report.added, len(feature_keys(bucket))) == (2, len(IDS) - 2, len(IDS))
    assert not [key for key in bucket.keys("features/") if "import" in key]


def test_folder_of_another_config_is_not_found(table: ClipTable, bucket: Bucket) -> None:
    run(table, bucket)
    with pytest.raises(StoreError, match=f"^{bucket.url}/features: no visual features of extractor 'fake'"):
        find_folder(Path(f"{bucket.url}/features"), ImageConfig(extractor="fake", frames=9))


def test_another_machine_finds_the_latest_folder_of_a_config(bucket: Bucket, machine: Machine) -> None:
    store = FeatureStore(Path(f"{bucket.url}/features"))
    folders = [store.folder("resnet50", {"weights": weights}) for weights in ("a", "b")]
    for folder in (*folders, folders[0]):
        remember_config(folder, ImageConfig())
    for folder in folders:
        folder.finish()
    machine("another")
    assert find_folder(Path(f"{bucket.url}/features"), ImageConfig()).path.name == folders[0].path.name
