"""The generated clips: the layout, the same from the same seed, a face that is found, and the odd ones."""

from __future__ import annotations

import csv
import hashlib
from pathlib import Path

import numpy as np
import pytest

from eri.config import FaceConfig
from eri.data import load_clips
from eri.media.audio import read_audio
from eri.media.container import probe_media
from eri.media.faces import crop_faces
from eri.media.state import State
from eri.media.video import read_frames
from eri.synthetic.generate import generate_demo_set
from eri.utils.errors import DataError


@pytest.fixture(scope="module")
def demo_set(tmp_path_factory):
    return generate_demo_set(tmp_path_factory.mktemp("demo") / "data", train=4, val=4, test=4, seed=0, workers=2)


def checksums(folder: Path) -> dict[str, str]:
    files = sorted(path for path in folder.rglob("*") if path.suffix in (".mp4", ".wav", ".csv"))
    return {str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def odd_clip(folder: Path, oddity: str) -> Path:
    """Return the video of the test clip that is odd in this way, as its media show it."""
    for path in sorted((folder / "test" / "mp4").iterdir()):
        info = probe_media(path)
        found = {
            "no-audio": not info.has_audio,
            "rotated": info.rotation == 90,
            "variable-frame-rate": info.variable_frame_rate,
        }
        if found[oddity]:
            return path
    raise AssertionError(f"no test clip is {oddity}")


def test_it_is_an_abaw5_folder_with_subjects_apart(demo_set):
    table = load_clips(demo_set)
    assert [len(table.split(split)) for split in ("train", "val", "test")] == [4, 4, 4]
    assert all(clip.labels is None for clip in table.split("test"))
    labels = table.label_matrix([clip.id for clip in table if clip.labels is not None])
    assert (labels.max(axis=1) == 1.0).all()
    assert labels.min() >= 0
    header = next(csv.reader((demo_set / "data_info.csv").open(encoding="utf-8")))
    assert header[:2] == ["File_ID", "Split"]
    assert header[-2:] == ["Age", "Country"]
    ids = [int(clip.id) for clip in table.split("train")]
    assert np.diff(ids).max() > 1


@pytest.mark.slow
def test_the_same_seed_gives_the_same_files_and_another_seed_others(demo_set, tmp_path):
    again = generate_demo_set(tmp_path / "again", train=4, val=4, test=4, seed=0, workers=0)
    assert checksums(again) == checksums(demo_set)
    other = checksums(generate_demo_set(tmp_path / "other", train=1, val=1, test=4, seed=1, workers=0))
    assert not set(other.values()) & set(checksums(demo_set).values())


def test_what_is_there_is_kept_and_what_is_missing_is_made_again(demo_set):
    before = {path: path.stat().st_mtime_ns for path in demo_set.rglob("*.mp4")}
    lost = sorted(before)[0]
    content = lost.read_bytes()
    lost.unlink()
    generate_demo_set(demo_set, train=4, val=4, test=4, seed=0, workers=0)
    assert lost.read_bytes() == content
    assert all(path.stat().st_mtime_ns == time for path, time in before.items() if path != lost)


def test_another_data_set_is_never_overwritten(tmp_path):
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "data_info.csv").write_text("precious", encoding="utf-8")
    with pytest.raises(DataError):
        generate_demo_set(tmp_path / "data", train=1, val=1, test=4)
    assert (tmp_path / "data" / "data_info.csv").read_text(encoding="utf-8") == "precious"


def test_the_default_detector_finds_the_face(demo_set):
    for path in sorted((demo_set / "train" / "mp4").iterdir()):
        crops = crop_faces(read_frames(path, 8), FaceConfig(), 64)
        assert (crops.states == State.VALID).mean() >= 0.75


def test_the_face_moves_and_the_voice_sounds(demo_set):
    for path in sorted((demo_set / "train" / "mp4").iterdir()):
        frames = read_frames(path, 8).frames.astype(np.float32)
        assert np.abs(np.diff(frames, axis=0)).mean() > 0.5
        sound = read_audio(demo_set / "train" / "wav" / f"{path.stem}.wav")
        assert sound.samples.std() > 0.001
        own = read_audio(path)
        assert abs(own.duration - sound.duration) < 0.2


def test_one_test_clip_has_no_sound_at_all(demo_set):
    silent = odd_clip(demo_set, "no-audio")
    assert not (demo_set / "test" / "wav" / f"{silent.stem}.wav").exists()


def test_one_test_clip_is_stored_turned_and_read_upright(demo_set):
    turned = odd_clip(demo_set, "rotated")
    crops = crop_faces(read_frames(turned, 6), FaceConfig(), 64)
    assert (crops.states == State.VALID).any()


def test_one_test_clip_changes_its_frame_rate(demo_set):
    times = read_frames(odd_clip(demo_set, "variable-frame-rate"), 8).times
    assert (np.diff(times) > 0).all()


def test_one_test_clip_has_no_face(demo_set):
    faceless = 0
    for path in sorted((demo_set / "test" / "mp4").iterdir()):
        states = crop_faces(read_frames(path, 4), FaceConfig(), 64).states
        faceless += bool((states == State.NO_FACE).all())
    assert faceless == 1


def test_too_few_test_clips_for_the_odd_ones_are_refused(tmp_path):
    with pytest.raises(ValueError, match="at least 4 test clips"):
        generate_demo_set(tmp_path / "data", train=2, val=2, test=3)
