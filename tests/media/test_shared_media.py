"""Every real file of the shared media folder is extracted or refused by name. Skipped where the folder is absent.

What each of these files shows is also covered by a file that the other tests generate.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from eri.media import decoding
from eri.media.audio import read_audio
from eri.media.container import probe_media
from eri.media.video import read_frames
from eri.utils.errors import MediaError

SHARED = Path(__file__).resolve().parents[2].parent / "shared" / "media"
VIDEOS = sorted(path for folder in ("clips", "containers") for path in (SHARED / folder).glob("*"))
SOUNDS = sorted((SHARED / "emodb" / "audio").glob("*.flac"))
NO_VIDEO = {"sample_audio_only.mp4": "no-video"}
NO_SOUND = dict.fromkeys(
    (
        "bbb_176x144_128kbps_15fps_h263.3gp",
        "bear-vp9-odd-dimensions.webm",
        "no.mkv",
        "sample_android_slow_motion.mp4",
        "sample_video_only.mp4",
        "sorry.mkv",
        "thanks.mkv",
        "water_180_mvhevc_5frames.mov",
        "yes.mkv",
    ),
    "no-audio",
) | {"sample_missing_stsd.mp4": "unsupported"}
LATE_SOUND = {"face_noface.mov": 2.43, "sample_portrait.mp4": 0.043, "sample_shorter_audio.mp4": 0.0232}
TURNED = {
    "h265_with_metadata_track.mp4": (90, False),
    "sample_edit_list.mp4": (90, False),
    "sample_rotate_and_reflect.mp4": (90, True),
}

JUMPED = {"WolfgangLanger_Pexels.mp4", "face_noface.mov", "noface_face.mov", "silent-black-10s.mp4"}

pytestmark = pytest.mark.skipif(not SHARED.is_dir(), reason="the folder ../shared/media is absent")


def named(paths: list[Path]) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("path", paths, ids=lambda path: path.name)


@pytest.mark.timeout(60)
@named([path for path in VIDEOS if path.name not in NO_VIDEO])
def test_frames_are_extracted(path):
    sequence, info = read_frames(path, 16), probe_media(path)
    assert sequence.frames.shape[0] == 16
    assert (np.diff(sequence.times) > 0).all()
    assert sequence.times[0] >= 0
    assert info.duration is not None
    assert sequence.times[-1] < info.duration
    assert (info.rotation, info.mirrored) == TURNED.get(path.name, (0, False))
    assert info.width is not None
    assert info.height is not None
    shown = sequence.frames.shape[2] / sequence.frames.shape[1]
    assert shown == pytest.approx(info.width / info.height, rel=0.01)
    assert sequence.frames.std() > 5 or "black" in path.name


@named([path for path in VIDEOS if path.name not in NO_SOUND])
def test_sound_is_extracted(path):
    sound, duration = read_audio(path), probe_media(path).duration
    assert sound.start == pytest.approx(LATE_SOUND.get(path.name, sound.start), abs=0.001)
    assert np.isfinite(sound.samples).all()
    assert duration is not None
    assert 0.03 < sound.duration < duration + 0.1


@named([path for path in VIDEOS if path.name in NO_VIDEO | NO_SOUND])
def test_what_is_not_there_is_refused_by_name(path):
    with pytest.raises(MediaError) as caught:
        _ = read_frames(path, 16) if path.name in NO_VIDEO else read_audio(path)
    assert caught.value.reason == (NO_VIDEO | NO_SOUND)[path.name]


@pytest.mark.slow
@named([path for path in VIDEOS if path.name in JUMPED])
def test_jumping_to_key_frames_changes_nothing(path, monkeypatch):
    quick = read_frames(path, 4, max_side=160).frames
    planned = decoding.plan
    monkeypatch.setattr("eri.media.video.plan", lambda timeline, wanted, seek: planned(timeline, wanted, seek=False))
    np.testing.assert_array_equal(quick, read_frames(path, 4, max_side=160).frames)


@pytest.mark.slow
def test_every_spoken_sentence_is_read():
    if not SOUNDS:
        pytest.skip("the folder ../shared/media/emodb is absent")
    for path in SOUNDS:
        sound = read_audio(path)
        assert sound.start == 0.0
        assert 0.5 < sound.duration < 20
        assert 0.02 < np.abs(sound.samples).max() <= 1.0
        assert sound.notes == ()
