"""A feature folder: what is complete, what is made anew, what happens on bad disks."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from eri.features.folder import FeatureFolder
from eri.features.format import read_record
from eri.features.records import CropSequence, FeatureSequence
from eri.features.sources import Source, identify_source
from eri.utils.errors import StoreError
from tests.factories.disks import small_disk
from tests.factories.store import alter, decay, feature_folder, feature_sequence, filled_folder, source_file


@pytest.fixture
def filled(tmp_path):
    return filled_folder(tmp_path / "features", tmp_path / "media", ["a", "b", "c"])


def record_reads(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """Return a list that every feature file and every source is put on when it is opened from now on."""
    opened: list[Path] = []

    def recording_read(path: Path) -> FeatureSequence | CropSequence:
        opened.append(path)
        return read_record(path)

    def recording_identify(source: Source) -> Source:
        opened.append(source.path)
        return identify_source(source)

    monkeypatch.setattr("eri.features.folder.read_record", recording_read)
    monkeypatch.setattr("eri.features.sources.identify_source", recording_identify)
    return opened


def test_what_is_complete_is_not_opened_again(filled, monkeypatch):
    folder, sources = filled
    opened = record_reads(monkeypatch)
    inventory = folder.take_inventory(sources)
    assert set(inventory.complete) == {"a", "b", "c"}
    assert inventory.incomplete == ()
    assert opened == []


def test_without_its_index_a_folder_verifies_each_file_once(filled, monkeypatch):
    folder, sources = filled
    (folder.path / "journal.jsonl").unlink()
    opened = record_reads(monkeypatch)
    assert set(folder.take_inventory(sources, threads=2).complete) == {"a", "b", "c"}
    assert sorted(opened) == [folder.feature_path(name) for name in "abc"]
    opened.clear()
    assert set(folder.take_inventory(sources).complete) == {"a", "b", "c"}
    assert opened == []


@pytest.mark.parametrize(
    "spoil",
    [alter, lambda path: path.write_bytes(path.read_bytes()[:-3]), lambda path: path.write_bytes(b""), Path.unlink],
    ids=["altered", "truncated", "emptied", "removed"],
)
def test_a_spoilt_file_is_incomplete(filled, spoil):
    folder, sources = filled
    spoil(folder.feature_path("b"))
    assert folder.take_inventory(sources).incomplete == ("b",)
    assert folder.confirm("b", sources["b"]) is None
    with pytest.raises(StoreError, match=r"(?s)b\.safetensors.*eri extract"):
        folder.read("b")


def test_an_alteration_that_hides_its_time_is_noticed(filled):
    folder, sources = filled
    path = folder.feature_path("b")
    status = path.stat()
    alter(path)
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))
    assert folder.take_inventory(sources).incomplete == ("b",)


def test_reading_removes_a_spoilt_file_from_the_index(filled):
    folder, sources = filled
    decay(folder, "b")
    assert folder.take_inventory(sources).incomplete == ()
    with pytest.raises(StoreError, match="checksum"):
        folder.read("b")
    assert folder.take_inventory(sources).incomplete == ("b",)


def test_a_file_of_another_clip_or_extractor_does_not_pass(filled, tmp_path):
    folder, sources = filled
    folder.feature_path("a").replace(folder.feature_path("b"))
    assert folder.take_inventory(sources).incomplete == ("a", "b")
    other = feature_folder(tmp_path / "features", frames=16)
    folder.feature_path("c").rename(other.feature_path("c"))
    with pytest.raises(StoreError, match="of extractor"):
        other.read("c")


def test_a_touched_source_stays_complete_and_is_hashed_once(filled, monkeypatch):
    folder, sources = filled
    os.utime(sources["b"].path, ns=(1, 1))
    opened = record_reads(monkeypatch)
    assert folder.take_inventory(sources).incomplete == ()
    assert opened == [sources["b"].path]
    opened.clear()
    assert folder.take_inventory(sources).incomplete == ()
    assert opened == []


def test_a_changed_source_is_incomplete_and_a_lost_one_is_kept(filled):
    folder, sources = filled
    sources["a"].path.write_text("new medium")
    sources["b"].path.unlink()
    assert folder.take_inventory(sources).incomplete == ("a",)


def test_a_record_tells_where_it_came_from(filled):
    folder, sources = filled
    record = folder.read_record("a")
    assert record.source == identify_source(sources["a"])
    assert record.source.name == "a.mp4"
    assert record.notes == ("a note",)
    assert record.identity == folder.digest
    np.testing.assert_array_equal(record.embeddings, feature_sequence(seed=0).embeddings)


def test_missing_features_say_what_to_do(filled):
    with pytest.raises(StoreError, match=r"(?s)x\.safetensors: no such feature file.*eri extract"):
        filled[0].read("x")


def test_temporary_files_of_the_dead_are_swept_and_those_of_the_living_stay(filled):
    folder, _ = filled
    dead = [folder.path / f".{name}.safetensors.1.0123abcd.tmp" for name in "ab"]
    living = folder.path / ".c.safetensors.1.0123abcd.tmp"
    foreign = folder.path / ".note.tmp"
    for path in (*dead, living, foreign):
        path.touch()
    (folder.path / ".claims").mkdir(exist_ok=True)
    (folder.path / ".claims" / "z.lock").touch()
    being_written = folder.path / ".identity.json.1.0123abcd.tmp"
    being_written.touch()
    forgotten = folder.path / ".failures.csv.1.0123abcd.tmp"
    forgotten.touch()
    os.utime(forgotten, (0, 0))
    lock = folder.lock_clip("c")
    assert lock is not None
    with lock:
        folder.open_for_writing()
    assert not any(path.exists() for path in dead)
    assert living.exists()
    assert foreign.exists()
    assert being_written.exists()
    assert not forgotten.exists()
    assert not (folder.path / ".claims" / "z.lock").exists()


WRITE = """
import os, sys, resource
from pathlib import Path
from eri.utils.errors import StoreError
from tests.factories.store import feature_folder, feature_sequence
from eri.features.sources import Source
if sys.argv[2] == "limit":
    resource.setrlimit(resource.RLIMIT_FSIZE, (3000, 3000))
if sys.argv[2] == "nobody":
    os.seteuid(65534)
try:
    folder = feature_folder(Path(sys.argv[1]))
    folder.open_for_writing()
    for name in "abcdefgh":
        features = feature_sequence(300, 64)
        folder.write(name, features, Source("a", size=1, mtime_ns=2, sha256="00"))
except StoreError as error:
    print(error)
"""


def write_in_a_process(root: Path, how: str) -> str:
    """Return what a process says that fills a feature folder under some constraint."""
    done = subprocess.run(
        [sys.executable, "-c", WRITE, str(root), how],
        capture_output=True,
        text=True,
        check=True,
        cwd=Path(__file__).parents[2],
    )
    return done.stdout


def leftovers(root: Path) -> list[Path]:
    return [path for path in root.rglob("*") if path.name.endswith((".tmp", ".safetensors"))]


def test_a_file_size_limit_leaves_nothing_half_written(tmp_path):
    said = write_in_a_process(tmp_path, "limit")
    assert "the disk is full" in said
    assert "--features DIR" in said
    assert leftovers(tmp_path) == []


def test_a_full_disk_leaves_only_whole_files(tmp_path):
    with small_disk(tmp_path, 256):
        said = write_in_a_process(tmp_path, "full")
        left = sorted(leftovers(tmp_path))
        assert "the disk is full" in said
        assert [path.name for path in left] == [f"{name}.safetensors" for name in "abc"]
        folder = FeatureFolder(left[0].parent, feature_folder(tmp_path).digest)
        assert all(folder.read(path.stem).embeddings.shape == (300, 64) for path in left)


def test_a_read_only_folder_is_refused_before_any_work(tmp_path_factory):
    root = tmp_path_factory.mktemp("readonly")
    # pytest keeps its folders to their owner; the process that tries to write is someone else.
    for parent in (root, root.parent, root.parent.parent):
        parent.chmod(0o755)
    root.chmod(0o555)
    said = write_in_a_process(root, "nobody" if os.geteuid() == 0 else "as I am")
    assert "cannot be written" in said
    assert "--features DIR" in said
    assert list(root.iterdir()) == []


def test_a_folder_that_may_only_be_read_still_serves(tmp_path_factory):
    root = tmp_path_factory.mktemp("served")
    folder, sources = filled_folder(root / "features", root / "media", ["a"])
    (folder.path / "journal.jsonl").unlink()
    (folder.path / "journal.jsonl").mkdir()  # nobody, not even the superuser, can append to this
    assert folder.take_inventory(sources).incomplete == ()
    assert folder.read("a").embeddings.shape == (4, 3)


def test_a_clip_without_a_source_is_complete_until_it_gets_one(tmp_path):
    folder = feature_folder(tmp_path / "features")
    folder.write("a", feature_sequence(), Source(""))
    assert folder.take_inventory({"a": None}).incomplete == ()
    source = source_file(tmp_path / "a.mp4")
    assert folder.take_inventory({"a": source}).incomplete == ("a",)


def test_checking_reports_progress(filled):
    folder, sources = filled
    (folder.path / "journal.jsonl").unlink()
    sources["x"] = Source("x", Path("x"))
    counts: list[int] = []
    folder.take_inventory(sources, on_checked=counts.append)
    assert counts == [1, 2, 3, 4]
