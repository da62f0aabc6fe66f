"""Clips on disk: frames and samples encoded to an MP4 (H.264 and AAC) and a WAV file, and a folder of such clips."""

from __future__ import annotations

import hashlib
import json
import shutil
import wave
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from concurrent.futures import as_completed
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
from numpy.typing import NDArray

from eri.data.clips import Split
from eri.synthetic.voice import RATE
from eri.utils.errors import DataError
from eri.utils.files import atomic_path, write_json, write_text
from eri.utils.workers import WorkerPool

_TICKS = 15_360  # per second of the video's clock: whole for 10, 12 and 15 frames per second


@dataclass(frozen=True)
class PlannedClip:
    """One clip before it is made."""

    id: str  # five digits, which reveal nothing
    split: Split
    subject: int  # number of the subject, who is in no other split
    label: str  # its class, or what is unusual about it
    files: tuple[str, ...]  # in the folder of the set
    take: int = 0  # number of the subject's clip of that class


def make_set(
    mark: Path,
    content: dict[str, Any],
    clips: Sequence[PlannedClip],
    make: Callable[[PlannedClip], None],
    media: Sequence[str],
    texts: Mapping[str, str],
    workers: int,
    progress: Callable[[int, int], None] | None,
) -> None:
    """Make a set of clips, or finish or keep the one that is there; another set in the folder is replaced.

    ``mark`` is a JSON file that says under ``set`` which set it is. The clips lie in the folders ``media`` beside it;
    the ``texts`` are written after them in their order, so that a folder with the last one is whole.

    Raises DataError where the folder holds something else than a set, WorkerError where a process died.
    """
    folder = mark.parent
    _prepare_folder(mark, content, [*reversed(list(texts)), *media])
    missing = [clip for clip in clips if not all((folder / name).is_file() for name in clip.files)]
    there, report = len(clips) - len(missing), progress or (lambda done, total: None)
    report(there, len(clips))
    with WorkerPool(make, min(workers, len(missing)), task="making a demo clip", threads=1) as pool:
        futures = [pool.submit(clip, f"clip {place}") for place, clip in enumerate(missing)]
        for done, future in enumerate(as_completed(futures), there + 1):
            future.result()
            report(done, len(clips))
    if missing or not (folder / list(texts)[-1]).is_file():
        for name, text in texts.items():
            write_text(folder / name, text)


def _prepare_folder(mark: Path, content: dict[str, Any], parts: Iterable[str]) -> None:
    """Remove the parts of another set, the one that is written last first."""
    folder = mark.parent
    if mark.is_file():
        try:
            found = json.loads(mark.read_text(encoding="utf-8"))["set"]
        except (ValueError, KeyError, TypeError):
            found = None
        if found == content["set"]:
            return
        for part in parts:
            if (folder / part).is_dir():
                shutil.rmtree(folder / part, ignore_errors=True)
            else:
                (folder / part).unlink(missing_ok=True)
    elif folder.is_dir() and any(folder.iterdir()):
        hint = "Give an empty folder or one that does not exist."
        raise DataError(f"{folder}: holds files that are not of a demo set", hint=hint)
    write_json(mark, content)


def code_digest(but: Collection[str]) -> str:
    """Return a digest of the code and the portrait that clips are made from, ``but`` modules that have no part in it.

    Other code makes another set.
    """
    state = hashlib.sha256()
    for path in sorted(Path(__file__).parent.iterdir()):
        if path.suffix in (".py", ".png") and path.stem not in but:
            state.update(path.read_bytes())
    return state.hexdigest()[:12]


def write_video(
    target: Path,
    frames: Iterable[NDArray[np.uint8]],
    times: NDArray[np.float64],
    audio: NDArray[np.float32] | None,
    *,
    rotation: int = 0,
    separate: bool = False,
) -> None:
    """Encode a clip as ``.mp4`` in one atomic step, without an audio track where ``audio`` (mono, 16 kHz) is None.

    Frames are upright RGB images of one even size; ``times`` are when each comes on screen, in seconds, ascending from
    0, at a rate that may change. ``rotation`` (0 or 90) is by how many degrees clockwise a player must rotate the
    images as they are stored. ``separate`` encodes each frame by itself and alike, so that it reveals neither its
    neighbours nor its place.
    """
    with atomic_path(target) as temporary, av.open(str(temporary), "w", format="mp4") as container:
        video = container.add_stream("libx264", rate=round(1 / float(np.median(np.diff(times)))))
        video.pix_fmt = "yuv420p"
        # With its macroblock tree x264 does not give the same bytes each time, not even on one thread.
        quality = {"qp": "20", "g": "1"} if separate else {"crf": "24"}
        video.options = {"preset": "veryfast", **quality, "threads": "1", "mbtree": "0"}
        video.codec_context.time_base = Fraction(1, _TICKS)
        track = None
        if audio is not None:
            track = container.add_stream("aac", rate=RATE, layout="mono")
            track.codec_context.bit_rate = 48_000
        for index, (image, time) in enumerate(zip(frames, times, strict=True)):
            stored = np.ascontiguousarray(np.rot90(image, rotation // 90))
            if index == 0:
                video.height, video.width = stored.shape[:2]
                if rotation:
                    video.set_display_rotation(-rotation)
            frame = av.VideoFrame.from_ndarray(cv2.cvtColor(stored, cv2.COLOR_RGB2YUV_I420), format="yuv420p")
            frame.pts, frame.time_base = round(time * _TICKS), Fraction(1, _TICKS)
            container.mux(video.encode(frame))
        container.mux(video.encode())
        if track is not None and audio is not None:
            samples = av.AudioFrame.from_ndarray(audio[None, :], format="fltp", layout="mono")
            samples.sample_rate, samples.pts, samples.time_base = RATE, 0, Fraction(1, RATE)
            container.mux(track.encode(samples))
            container.mux(track.encode())


def write_wave(target: Path, audio: NDArray[np.float32]) -> None:
    """Write mono samples in [-1, 1] as 16-bit PCM at 16 kHz, in one atomic step."""
    with atomic_path(target) as temporary, wave.open(str(temporary), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(RATE)
        file.writeframes(np.round(np.clip(audio, -1, 1) * 32_767).astype("<i2").tobytes())
