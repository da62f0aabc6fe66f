"""Packed copies: memory-mapped, verified, and never stale."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from eri.features.packing import pack
from eri.features.sources import identify_source
from eri.media.state import State
from eri.utils.errors import StoreError
from tests.factories.store import alter, decay, feature_folder, feature_sequence, filled_folder, source_file


@pytest.fixture
def filled(tmp_path):
    return filled_folder(tmp_path / "features", tmp_path / "media", ["a", "b", "c"])


def test_a_pack_holds_every_clip_by_id(filled):
    folder, sources = filled
    states = [State.NO_FACE, State.VALID]
    folder.write("b", feature_sequence(seed=9, states=states), identify_source(sources["b"]))
    packed = pack(folder, ["c", "x", "b", "a"])
    assert packed.clip_ids == ("c", "b", "a")
    assert packed.offsets.tolist() == [0, 4, 6, 10]
    assert packed.embeddings.shape == (10, 3)
    assert isinstance(packed.embeddings, np.memmap)
    assert not packed.embeddings.flags.writeable
    for clip_id, rows in zip("cba", (slice(0, 4), slice(4, 6), slice(6, 10)), strict=True):
        for name in ("embeddings", "times", "states"):
            np.testing.assert_array_equal(getattr(packed, name)[rows], getattr(folder.read(clip_id), name))
    assert packed.states[4:6].tolist() == states


def test_a_pack_is_used_again_and_opens_no_feature_file(filled, monkeypatch):
    folder, _ = filled
    first = pack(folder, ["a", "b"])
    monkeypatch.setattr(type(folder), "read_record", lambda *_: pytest.fail("a feature file was opened"))
    assert pack(folder, ["a", "b"]).fingerprint == first.fingerprint
    # A clip that is missing in both does not make another pack.
    again = pack(folder, ["a", "x", "b"])
    assert again.path == first.path
    assert again.clip_ids == ("a", "b")


def test_a_changed_feature_file_makes_a_new_pack_and_removes_the_old(filled):
    folder, sources = filled
    kept = pack(folder, ["a", "c"])
    old = pack(folder, ["a", "b"])
    folder.write("b", feature_sequence(seed=99), identify_source(sources["b"]))
    new = pack(folder, ["a", "b"])
    assert new.path != old.path
    assert not old.path.exists()
    assert kept.path.exists()
    np.testing.assert_array_equal(new.embeddings[4:], feature_sequence(seed=99).embeddings)


@pytest.mark.parametrize("name", ["embeddings.npy", "offsets.npy", "pack.json"])
def test_a_spoilt_pack_is_written_again(filled, name):
    folder, _ = filled
    path = pack(folder, ["a", "b"]).path / name
    path.write_bytes(path.read_bytes()[:-5])
    np.testing.assert_array_equal(pack(folder, ["a", "b"]).embeddings[4:], folder.read("b").embeddings)


def test_an_altered_feature_file_is_never_packed(filled):
    folder, _ = filled
    alter(folder.feature_path("b"))
    assert pack(folder, ["a", "b"]).clip_ids == ("a",)


def test_a_file_that_decays_behind_the_indexs_back_stops_the_packing(filled):
    folder, _ = filled
    decay(folder, "b")
    with pytest.raises(StoreError, match=r"(?s)b\.safetensors.*eri extract"):
        pack(folder, ["a", "b"])
    assert list((folder.path / "packed").glob("*")) == []
    assert pack(folder, ["a", "b"]).clip_ids == ("a",)


def test_no_features_at_all_say_what_to_run(tmp_path):
    with pytest.raises(StoreError, match=r"(?s)none of the 1 clips.*eri extract"):
        pack(feature_folder(tmp_path), ["a"])


def test_a_doubled_id_is_a_mistake(filled):
    with pytest.raises(ValueError, match="duplicated"):
        pack(filled[0], ["a", "a"])


def test_features_of_another_data_set_are_refused(filled, tmp_path):
    folder, sources = filled
    assert pack(folder, ["a"], sources=sources).clip_ids == ("a",)
    other = {"a": source_file(tmp_path / "other" / "a.mp4", "another clip with the same id")}
    with pytest.raises(StoreError, match="made from other files"):
        pack(folder, ["a"], sources=other)
    gone = {"a": sources["a"]}
    sources["a"].path.unlink()
    assert pack(folder, ["a"], sources=gone).clip_ids == ("a",)


def test_clips_without_rows_can_be_packed(tmp_path):
    folder = feature_folder(tmp_path / "features")
    source = identify_source(source_file(tmp_path / "a.mp4"))
    folder.write("a", feature_sequence(0), source)
    assert pack(folder, ["a"]).embeddings.shape == (0, 3)
    folder.write("b", feature_sequence(2), source)
    assert pack(folder, ["a", "b"]).offsets.tolist() == [0, 0, 2]


PACK_SLOWLY = """
import sys, time
from pathlib import Path
from eri.features.folder import FeatureFolder; from eri.features.packing import pack
class Slow(FeatureFolder):
    def read_record(self, clip_id):
        print("reading", flush=True)
        time.sleep(30 if clip_id == "b" else 0)
        return super().read_record(clip_id)
pack(Slow(Path(sys.argv[1]), sys.argv[2]), ["a", "b"])
"""


def test_a_killed_packing_leaves_nothing_for_the_next(filled):
    folder, _ = filled
    process = subprocess.Popen(
        [sys.executable, "-c", PACK_SLOWLY, str(folder.path), folder.digest], stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    assert [process.stdout.readline() for _ in range(2)] == ["reading\n", "reading\n"]
    process.kill()
    process.communicate()
    assert [path.suffix for path in (folder.path / "packed").iterdir()] == [".tmp"]
    packed = pack(folder, ["a", "b"])
    assert list((folder.path / "packed").iterdir()) == [packed.path]


def test_packing_holds_one_clip_at_a_time(tmp_path, monkeypatch):
    import tracemalloc

    folder = feature_folder(tmp_path / "features")
    source = identify_source(source_file(tmp_path / "a.mp4"))
    ids = [f"{number:03d}" for number in range(40)]
    for number, clip_id in enumerate(ids):
        folder.write(clip_id, feature_sequence(64, 1024, seed=number), source)  # 256 KiB each, 10 MiB in all
    tracemalloc.start()
    pack(folder, ids)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 3 << 20


def test_a_folder_that_cannot_be_written_says_so(filled):
    folder, _ = filled
    (folder.path / "packed").write_text("in the way")
    with pytest.raises(StoreError, match="--features DIR"):
        pack(folder, ["a"])


def test_a_pack_is_called_after_its_content(filled):
    packed = pack(filled[0], ["a", "b"])
    assert Path(packed.path).name == packed.fingerprint[:16]
