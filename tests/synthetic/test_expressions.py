"""Generated expressions: the layout, subjects apart, faces that move, and directions that no frame gives away."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from typer.testing import CliRunner

from eri.cli.app import app
from eri.config import FaceConfig
from eri.data import load_clips
from eri.data.clips import SPLITS, Clip, ClipTable
from eri.media.container import probe_media
from eri.media.faces import crop_faces
from eri.media.video import read_frames
from eri.synthetic.expressions import DIRECTIONS, classes_of, generate_expression_set, plan_expressions
from eri.utils.errors import DataError

FRAMES, SIDE = 10, 48
SMALL: dict[str, Any] = {"subjects": 6, "clips_per_class": 2, "frames": FRAMES, "side": SIDE}


@pytest.fixture(scope="module")
def expressions(tmp_path_factory: pytest.TempPathFactory) -> ClipTable:
    folder = tmp_path_factory.mktemp("expressions")
    return load_clips(generate_expression_set(folder, **{**SMALL, "subjects": 3, "clips_per_class": 1}, workers=0))


@pytest.fixture(scope="module")
def directions(tmp_path_factory: pytest.TempPathFactory) -> ClipTable:
    folder = tmp_path_factory.mktemp("directions")
    return load_clips(generate_expression_set(folder, content="directions", **SMALL, workers=0))


@pytest.fixture(scope="module")
def shuffled(tmp_path_factory: pytest.TempPathFactory) -> ClipTable:
    folder = tmp_path_factory.mktemp("shuffled")
    return load_clips(generate_expression_set(folder, content="directions", **SMALL, shuffled=True, workers=0))


def frames_of(clip: Clip) -> NDArray[np.uint8]:
    assert clip.video is not None
    return read_frames(clip.video, FRAMES).frames


def class_of(clip: Clip) -> int:
    assert clip.labels is not None
    return int(np.argmax(clip.labels))


def frame_checksums(clip: Clip) -> list[str]:
    return [hashlib.sha256(frame.tobytes()).hexdigest() for frame in frames_of(clip)]


def twins(table: ClipTable) -> list[tuple[list[str], list[str]]]:
    """Return the checksums of the frames of a rising clip, and of the falling clip that has the same frames."""
    clips = {(class_of(clip), tuple(sorted(sums))): sums for clip in table if (sums := frame_checksums(clip))}
    rising = {bag: sums for (label, bag), sums in clips.items() if label == DIRECTIONS.index("rising")}
    falling = {bag: sums for (label, bag), sums in clips.items() if label == DIRECTIONS.index("falling")}
    assert len(rising) == len(falling) == len(table.clips) // 2
    assert set(rising) == set(falling)
    return [(rising[bag], falling[bag]) for bag in rising]


def nearest_class(features: NDArray[np.float64], clips: list[Clip]) -> float:
    """Return the accuracy when each subject's clips get the class whose mean over the other subjects is nearest."""
    labels, groups = np.array([class_of(clip) for clip in clips]), np.array([clip.group for clip in clips])
    right = 0
    for group in np.unique(groups):
        kept = groups != group
        means = np.stack([features[kept & (labels == label)].mean(axis=0) for label in (0, 1)])
        # Rounded: sums of the same frames in another order differ in their last digits.
        distance = np.linalg.norm(features[~kept, None] - means[None], axis=2).round(6)
        right += int((distance.argmin(axis=1) == labels[~kept]).sum())
    return right / len(clips)


@pytest.mark.slow
def test_it_is_a_classification_of_seven_expressions_whose_splits_share_no_subject(expressions):
    assert expressions.task.classes == classes_of("expressions")
    assert len(expressions.task.classes) == 7
    subjects = {split: {clip.group for clip in expressions.split(split)} for split in SPLITS}
    assert all(subjects.values())
    assert len(set.union(*subjects.values())) == sum(map(len, subjects.values())) == 3
    for split in SPLITS:
        assert sorted(class_of(clip) for clip in expressions.split(split)) == list(range(7))


def test_the_clips_are_videos_of_the_size_asked_for_that_need_no_face_detector(expressions):
    for clip in expressions.split("val"):
        info = probe_media(clip.video)
        assert (info.width, info.height, info.has_audio) == (SIDE, SIDE, False)
        crops = crop_faces(read_frames(clip.video, FRAMES), FaceConfig(detector="none"), SIDE)
        assert crops.images.shape == (FRAMES, SIDE, SIDE, 3)
        assert len(np.unique(crops.images.reshape(FRAMES, -1), axis=0)) == FRAMES


def test_an_expression_comes_and_goes_and_a_neutral_face_hardly_moves(expressions):
    change = np.zeros((7, FRAMES))
    for clip in expressions:
        frames = frames_of(clip).astype(np.float64)
        change[class_of(clip)] += np.abs(frames - frames[0]).mean(axis=(1, 2, 3)) / 3
    neutral = classes_of("expressions").index("neutral")
    middle = change[:, FRAMES // 2 - 2 : FRAMES // 2 + 2].mean(axis=1)
    for label in range(7):
        if label != neutral:
            assert middle[label] > 1.5 * middle[neutral]
            assert middle[label] > change[label, -1]


@pytest.mark.slow
def test_both_directions_hold_the_same_frames_in_opposite_order(directions):
    for rising, falling in twins(directions):
        assert falling == rising[::-1]
        assert len(set(rising)) == FRAMES


@pytest.mark.slow
def test_shuffled_directions_hold_the_same_frames_in_no_order(directions, shuffled):
    ordered, mixed = twins(directions), twins(shuffled)
    assert {tuple(sorted(rising)) for rising, _ in ordered} == {tuple(sorted(rising)) for rising, _ in mixed}
    in_order = {tuple(sorted(rising)): rising for rising, _ in ordered}
    places = []
    for rising, falling in mixed:
        assert rising not in (falling, falling[::-1])
        for clip, sign in ((rising, 1), (falling, -1)):
            order = [in_order[tuple(sorted(clip))].index(frame) for frame in clip]
            places.append(sign * np.corrcoef(order, np.arange(FRAMES))[0, 1])
    assert abs(np.mean(places)) < 4 / np.sqrt(len(places) * (FRAMES - 1))


def test_a_bag_of_frames_is_at_chance_on_the_directions_and_the_order_of_frames_is_not(directions, shuffled):
    for table, least_ordered, most_ordered in ((directions, 0.9, 1.0), (shuffled, 0.0, 0.8)):
        clips = list(table)
        frames = np.stack([frames_of(clip) for clip in clips]).astype(np.float64)
        grey = frames.mean(axis=4).reshape(len(clips), FRAMES, SIDE // 8, 8, SIDE // 8, 8).mean(axis=(3, 5))
        tiles = grey.reshape(len(clips), FRAMES, -1)
        bag = np.concatenate([tiles.mean(axis=1), tiles.std(axis=1), tiles.min(axis=1), tiles.max(axis=1)], axis=1)
        assert nearest_class(bag, clips) == 0.5
        late_less_early = tiles[:, FRAMES // 2 :].mean(axis=1) - tiles[:, : FRAMES // 2].mean(axis=1)
        assert least_ordered <= nearest_class(late_less_early, clips) <= most_ordered


@pytest.mark.slow
def test_the_same_seed_gives_the_same_files_and_what_is_missing_is_made_again(tmp_path):
    size: dict[str, Any] = {"subjects": 3, "clips_per_class": 1, "frames": 4, "side": 32, "workers": 0}

    def checksums(folder: Path) -> dict[str, str]:
        files = sorted(path for path in folder.rglob("*") if path.is_file())
        return {str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}

    first, again = tmp_path / "first", tmp_path / "again"
    calls: list[tuple[int, int]] = []
    generate_expression_set(first, content="directions", **size)
    generate_expression_set(
        again, content="directions", **size, progress=lambda done, total: calls.append((done, total))
    )
    assert checksums(first) == checksums(again)
    assert calls == [(done, 6) for done in range(7)]
    before = checksums(again)
    sorted((again / "videos").iterdir())[0].unlink()
    calls.clear()
    generate_expression_set(
        again, content="directions", **size, progress=lambda done, total: calls.append((done, total))
    )
    assert calls == [(5, 6), (6, 6)]
    assert checksums(again) == before
    generate_expression_set(again, content="directions", **size, seed=1)
    assert not set(checksums(again).values()) & {before[name] for name in before if name.endswith(".mp4")}


def test_another_data_set_is_never_overwritten(tmp_path):
    (tmp_path / "clips.csv").write_text("precious", encoding="utf-8")
    with pytest.raises(DataError, match="not of a demo set"):
        generate_expression_set(tmp_path)
    assert (tmp_path / "clips.csv").read_text(encoding="utf-8") == "precious"


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"side": 33}, "even"),
        ({"frames": 1}, "two frames"),
        ({"subjects": 2}, "3 subjects"),
        ({"clips_per_class": 0}, "a clip of each class"),
        ({"content": "moods"}, "expressions or directions"),
    ],
)
def test_a_set_that_cannot_be_is_refused(tmp_path, settings, message):
    with pytest.raises(ValueError, match=message):
        generate_expression_set(tmp_path / "set", **settings)
    assert not (tmp_path / "set").exists()


def test_ids_tell_neither_class_nor_subject():
    clips = plan_expressions("expressions", 20, 2, seed=0)
    places = np.arange(len(clips))
    for values in ([clip.subject for clip in clips], [classes_of("expressions").index(clip.label) for clip in clips]):
        assert abs(np.corrcoef(places, values)[0, 1]) < 0.15


def test_the_command_line_makes_a_set_and_nothing_else(tmp_path, monkeypatch):
    asked: dict[str, Any] = {}

    def generate(folder: Path, **settings: Any) -> Path:
        asked.update(settings, folder=folder)
        settings["progress"](1, 2)
        return folder / "expressions.yaml"

    monkeypatch.setattr("eri.synthetic.expressions.generate_expression_set", generate)
    result = CliRunner().invoke(app, ["demo", str(tmp_path), "--only", "shuffled", "--seed", "3"])
    assert result.exit_code == 0, result.output
    assert asked["folder"] == tmp_path / "shuffled"
    assert (asked["content"], asked["shuffled"], asked["seed"]) == ("directions", True, 3)
    assert "expressions.yaml" in result.output
    assert not any(tmp_path.iterdir())
