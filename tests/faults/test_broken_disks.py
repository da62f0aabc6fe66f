"""Full disks and folders that may only be read: the run stops with the way out, and goes on when there is room."""

from __future__ import annotations

import subprocess
import tempfile
from pathlib import Path

import pytest

from eri.utils.errors import StoreError
from tests.factories.disks import enlarge_disk, small_disk
from tests.factories.disturbing import CLIPS, Scene


def remount(folder: Path, way: str) -> None:
    subprocess.run(["mount", "-o", f"remount,{way}", str(folder)], check=True)


@pytest.mark.parametrize("workers", [0, pytest.param(2, marks=pytest.mark.faults)])
def test_a_full_disk_keeps_what_is_whole(scene, workers):
    with small_disk(scene.features, 56):
        with pytest.raises(StoreError, match=r"(?s)the disk is full.*the next run goes on from here"):
            scene.run(workers=workers)
        whole = scene.whole()
        assert 0 < len(whole) < len(CLIPS)
        (folder,) = scene.features.iterdir()
        assert list(folder.glob(".*.tmp")) == []
        assert {path.stem for path in folder.glob("*.safetensors")} == whole
        enlarge_disk(scene.features, 4096)
        scene.recover(set(CLIPS) - whole)


@pytest.mark.faults
def test_a_full_disk_ends_the_process_with_one_clear_error(scene):
    with small_disk(scene.features, 56):
        process = scene.start(workers=2, delay=0.0)
        _, said = process.communicate(timeout=120)
        assert process.returncode == 1
        assert "the disk is full" in said
        whole = scene.whole()
        enlarge_disk(scene.features, 4096)
        scene.recover(set(CLIPS) - whole)


@pytest.mark.faults
def test_a_full_temporary_folder_says_which(tmp_path, temporary):
    scene = Scene(tmp_path / "long", word="long")
    with small_disk(temporary, 256):
        with pytest.raises(StoreError, match=r"(?s)temporary data.*TMPDIR"):
            scene.run(workers=2)
        whole = scene.whole()
        assert len(whole) < len(CLIPS)
        enlarge_disk(temporary, 65536)
        assert tempfile.gettempdir() == str(temporary)
        scene.recover(set(CLIPS) - whole)


def test_a_read_only_folder_serves_what_is_there_and_says_what_it_cannot(scene):
    gone = set(CLIPS[5:11])
    with small_disk(scene.features, 4096):
        scene.run()
        before = scene.prepared()
        remount(scene.features, "ro")
        assert scene.run().extractors[0].already_complete == len(CLIPS)
        remount(scene.features, "rw")
        for clip_id in gone:
            scene.folder().feature_path(clip_id).unlink()
        remount(scene.features, "ro")
        with pytest.raises(StoreError, match=r"(?s)cannot be written.*--features DIR"):
            scene.run()
        assert scene.prepared() == before
        remount(scene.features, "rw")
        scene.recover(gone)
