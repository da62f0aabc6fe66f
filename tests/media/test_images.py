"""A folder of numbered face pictures is read like a video of one picture a second."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from eri.media.container import probe_media
from eri.media.video import read_frames, read_last_frames
from eri.utils.errors import NoVideoError, TruncatedMediaError

COLOURS = {number: (20 + 12 * number, 200 - 12 * number, 90) for number in range(15)}


def write_pictures(folder: Path, numbers: list[int], *, size: tuple[int, int] = (48, 40), suffix: str = "png") -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for number in numbers:
        Image.new("RGB", size, COLOURS[number % 15]).save(folder / f"{number}.{suffix}")
    return folder


def numbers_of(frames: np.ndarray) -> list[int]:
    centres = frames[:, frames.shape[1] // 2, frames.shape[2] // 2].astype(int)
    return [min(COLOURS, key=lambda number: np.abs(centre - COLOURS[number]).sum()) for centre in centres]


@pytest.mark.parametrize("suffix", ["png", "jpg"])
def test_pictures_are_ordered_by_number_and_spread_over_time(tmp_path, suffix):
    folder = write_pictures(tmp_path / "00001", list(range(12)), suffix=suffix)  # 10 sorts before 2 as text
    sequence = read_frames(folder, 4)
    assert sequence.times.tolist() == [1.5, 4.5, 7.5, 10.5]
    assert numbers_of(sequence.frames) == [1, 4, 7, 10]
    assert sequence.frames.shape == (4, 40, 48, 3)


@pytest.mark.parametrize(
    ("name", "start"), [("S005_001_{:08d}.png", 1), ("{:03d}.jpeg", 0), ("{:05d}.jpg", 1), ("frame{}.bmp", 98)]
)
def test_names_as_data_sets_write_them_are_ordered_by_their_last_number(tmp_path, name, start):
    for number in reversed(range(12)):
        Image.new("RGB", (48, 40), COLOURS[number]).save(tmp_path / name.format(start + number))
    (tmp_path / f"._{name.format(start)}").write_bytes(b"of a file system")
    (tmp_path / "Thumbs.db").touch()
    (tmp_path / "000.wrl").touch()
    sequence = read_frames(tmp_path, 12)
    assert numbers_of(sequence.frames) == list(range(12))
    assert sequence.notes == ()


def test_fewer_pictures_than_rows_repeat(tmp_path):
    sequence = read_frames(write_pictures(tmp_path / "a", [3, 4]), 6)
    assert numbers_of(sequence.frames) == [3, 3, 3, 4, 4, 4]
    assert sequence.times.max() < 2.0


def test_a_missing_number_keeps_the_picture_before_it_on_screen(tmp_path):
    sequence = read_frames(write_pictures(tmp_path / "a", [0, 1, 2, 6]), 7)
    assert numbers_of(sequence.frames) == [0, 1, 2, 2, 2, 2, 6]


def test_numbers_that_count_frames_are_still_spread_evenly(tmp_path):
    sequence = read_frames(write_pictures(tmp_path / "a", [30, 60, 90, 120]), 4)
    assert sequence.times.tolist() == [0.5, 1.5, 2.5, 3.5]


def test_pictures_of_mixed_sizes_are_fitted_without_being_stretched(tmp_path):
    folder = write_pictures(tmp_path / "a", [0], size=(40, 80))
    write_pictures(folder, [1], size=(80, 40))
    frames = read_frames(folder, 2).frames
    assert frames.shape == (2, 80, 80, 3)
    assert tuple(frames[0, 40, 40]) == COLOURS[0]
    assert not frames[0, :, :18].any()
    assert not frames[1, :18].any()
    assert tuple(frames[1, 40, 5]) == COLOURS[1]


def test_large_and_grey_and_turned_pictures_are_read(tmp_path):
    folder = tmp_path / "a"
    folder.mkdir()
    Image.new("L", (400, 200), 90).save(folder / "0.png")
    turned = Image.new("RGB", (400, 200), (200, 0, 0))
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned 90 degrees clockwise
    turned.save(folder / "1.jpg", exif=exif)
    frames = read_frames(folder, 2, max_side=100).frames
    assert frames.shape == (2, 100, 100, 3)
    assert tuple(frames[0, 50, 50]) == (90, 90, 90)
    assert frames[1, 5, 50, 0] > 150
    assert frames[1, 50, 5, 0] == 0


def test_the_last_pictures_are_the_last_ones_once_each(tmp_path):
    folder = write_pictures(tmp_path / "a", list(range(12)))
    sequence = read_last_frames(folder, 4)
    assert numbers_of(sequence.frames) == [8, 9, 10, 11]
    assert sequence.times.tolist() == [8.0, 9.0, 10.0, 11.0]
    assert numbers_of(read_last_frames(folder, 20).frames) == list(range(12))
    (folder / "10.png").write_bytes(b"no picture")
    sequence = read_last_frames(folder, 4)
    assert numbers_of(sequence.frames) == [7, 8, 9, 11]
    assert sequence.notes == ("image 10.png cannot be read and was left out",)


def test_the_last_pictures_of_mixed_sizes_are_fitted_and_none_at_all_is_refused(tmp_path):
    folder = write_pictures(tmp_path / "a", [0], size=(40, 80))
    write_pictures(folder, [1], size=(80, 40))
    assert read_last_frames(folder, 5).frames.shape == (2, 80, 80, 3)
    for path in folder.iterdir():
        path.write_bytes(b"no picture")
    with pytest.raises(TruncatedMediaError, match="none of its images can be read"):
        read_last_frames(folder, 5)


def test_a_damaged_picture_is_left_out_and_told(tmp_path):
    folder = write_pictures(tmp_path / "a", [0, 1, 2, 3])
    (folder / "2.png").write_bytes(b"\x89PNG damaged")
    sequence = read_frames(folder, 4)
    assert numbers_of(sequence.frames) == [0, 1, 1, 3]
    assert any("2.png" in note for note in sequence.notes)


def test_folders_without_a_readable_picture_are_refused(tmp_path):
    folder = tmp_path / "a"
    folder.mkdir()
    (folder / "readme.txt").write_text("none")
    (folder / "cover.png").write_bytes(b"")
    for read in (lambda path: read_frames(path, 4), probe_media):
        with pytest.raises(NoVideoError):
            read(folder)
    (folder / "0.jpg").write_bytes(b"no picture")
    for read in (lambda path: read_frames(path, 4), probe_media):
        with pytest.raises(TruncatedMediaError):
            read(folder)


def test_probing_describes_the_folder(tmp_path):
    info = probe_media(write_pictures(tmp_path / "a", [0, 1, 2, 5]))
    assert (info.duration, info.frames, info.width, info.height) == (6.0, 4, 48, 40)
    assert (info.has_video, info.has_audio, info.variable_frame_rate) == (True, False, True)
