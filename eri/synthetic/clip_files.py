"""Clips on disk: frames and samples encoded to an MP4 (H.264 and AAC) and a WAV file, and a folder of such clips."""

from __future__ import annotations

import hashlib
import json
import shutil
import wave
from collections.abc import Callable, Collection, Iterable, Sequence
from concurrent.futures import as_completed
from fractions import Fraction
from pathlib import Path
from typing import Any, TypeVar

import av
import cv2
import numpy as np
from numpy.typing import NDArray

from eri.synthetic.voice import RATE
from eri.utils.errors import DataError
from eri.utils.files import atomic_path, write_json
from eri.utils.workers import WorkerPool

_Clip = TypeVar("_Clip")

_TICKS = 15_360
"""Ticks per second of the video's clock: whole for 10, 12 and 15 frames per second."""


def prepare_folder(
    folder: Path, mark: str, wanted: dict[str, Any], parts: Iterable[str], notes: dict[str, Any] | None = None
) -> None:
    """Prepare a folder for a set of clips: clips of another set are removed, those of this one stay.

    Args:
        folder: The folder; made if absent.
        mark: Name of the JSON file that says which set it is.
        wanted: Which set it is to be.
        parts: Files and folders that a set is made of, the one that is written last first.
        notes: What the mark says besides.

    Raises:
        DataError: The folder holds something else than such a set.
    """
    path = folder / mark
    if path.is_file():
        try:
            found = json.loads(path.read_text(encoding="utf-8"))["set"]
        except (ValueError, KeyError, TypeError):
            found = None
        if found == wanted:
            return
        for part in parts:
            if (folder / part).is_dir():
                shutil.rmtree(folder / part, ignore_errors=True)
            else:
                (folder / part).unlink(missing_ok=True)
    elif folder.is_dir() and any(folder.iterdir()):
        raise DataError(
            f"{folder}: holds files that are not of a demo set", hint="Give an empty folder or one that does not exist."
        )
    write_json(path, {"set": wanted, **(notes or {})})


def make_missing(
    make: Callable[[_Clip], None],
    clips: Sequence[_Clip],
    files: Callable[[_Clip], Iterable[Path]],
    workers: int,
    progress: Callable[[int, int], None] | None,
) -> int:
    """Make those clips whose files are not all there, and return how many that were.

    Args:
        make: Makes one clip.
        clips: All clips of the set.
        files: Returns the files of one clip.
        workers: Processes; 0 works in this one.
        progress: Called with the number of clips that are there and the number wanted.

    Raises:
        WorkerError: A process died.
    """
    missing = [clip for clip in clips if not all(path.is_file() for path in files(clip))]
    done = len(clips) - len(missing)
    report = progress or (lambda done, total: None)
    report(done, len(clips))
    with WorkerPool(make, min(workers, len(missing)), task="making a demo clip", threads=1) as pool:
        for future in as_completed([pool.submit(clip, f"clip {place}") for place, clip in enumerate(missing)]):
            future.result()
            done += 1
            report(done, len(clips))
    return len(missing)


def code_digest(but: Collection[str]) -> str:
    """Return a digest of the code and the portrait that clips are made from: other code makes another set.

    Args:
        but: Names of modules of :mod:`eri.synthetic` that have no part in the set.
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
    """Encode a clip in one atomic step.

    Args:
        target: The ``.mp4`` file.
        frames: RGB images of one even size, one for each time.
        times: When each frame comes on screen, seconds, ascending from 0; the rate may change.
        audio: Mono samples at 16 kHz, or None for a file without an audio track.
        rotation: Clockwise degrees by which a player must rotate the stored images: 0 or 90. The frames given are
            upright; they are stored rotated the other way.
        separate: Encode each frame by itself and alike, so that it reveals neither its neighbours nor its place.
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
            planes = cv2.cvtColor(stored, cv2.COLOR_RGB2YUV_I420)
            frame = av.VideoFrame.from_ndarray(planes, format="yuv420p")
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
