"""Sources: files and folders of pictures."""

import os
from pathlib import Path

import pytest

from eri.config.tasks import ERI
from eri.data.clips import Clip, ClipTable
from eri.features.sources import Source, clip_source, clip_sources, identify_source, stamp_source
from eri.utils.errors import ForbiddenMediaError, MissingMediaError


def test_the_audio_file_comes_before_the_videos_own_track(tmp_path):
    clip = Clip("a", "train", video=tmp_path / "v.mp4", audio=tmp_path / "w" / "a.wav")
    assert clip_source(clip, "visual", tmp_path) == Source("v.mp4")
    assert clip_source(clip, "audio", tmp_path) == Source("w/a.wav")
    assert clip_source(Clip("a", "train"), "audio", tmp_path) is None


def test_a_source_outside_the_data_set_goes_by_its_own_name(tmp_path):
    clip = Clip("a", "train", video=Path("/elsewhere/v.mp4"))
    table = ClipTable("t", tmp_path, ERI, (clip,))
    source = clip_sources(table, "visual")["a"]
    assert source is not None
    assert (source.name, source.path) == ("v.mp4", Path("/elsewhere/v.mp4"))


def test_a_touched_file_keeps_its_digest_and_a_changed_one_does_not(tmp_path):
    path = tmp_path / "a.mp4"
    source = Source("a.mp4", path)
    path.write_text("one")
    before = identify_source(source)
    os.utime(path, ns=(1, 1))
    touched = identify_source(source)
    path.write_text("two")
    assert not touched.looks_like(before)
    assert touched.sha256 == before.sha256
    assert identify_source(source).sha256 != before.sha256


def test_a_folder_of_pictures_is_one_source(tmp_path):
    folder = tmp_path / "00001"
    folder.mkdir()
    (folder / "1.jpg").write_text("one")
    (folder / "2.jpg").write_text("two")
    source = Source("00001", folder)
    before = identify_source(source)
    assert before.size == 6
    (folder / ".thumbnails").write_text("made by a file manager")
    assert identify_source(source).sha256 == before.sha256
    (folder / "2.jpg").rename(folder / "3.jpg")
    assert not stamp_source(source).looks_like(before)
    assert identify_source(source).sha256 != before.sha256


def test_a_source_that_cannot_be_read_says_why(tmp_path):
    with pytest.raises(MissingMediaError, match=r"a\.mp4"):
        identify_source(Source("a.mp4", tmp_path / "a.mp4"))
    (tmp_path / "file").touch()
    with pytest.raises(MissingMediaError):
        identify_source(Source("a.mp4", tmp_path / "file" / "a.mp4"))


@pytest.mark.skipif(os.geteuid() == 0, reason="the superuser may read everything")
def test_a_forbidden_source_says_so(tmp_path):
    path = tmp_path / "a.mp4"
    path.write_text("x")
    path.chmod(0)
    with pytest.raises(ForbiddenMediaError):
        identify_source(Source("a.mp4", path))
