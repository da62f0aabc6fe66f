"""Frames of a clip, evenly spread by presentation time or the last ones of all, upright and in RGB."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from eri.media.canvas import Canvas
from eri.media.decoding import TICK, Decoder, SeekError, Segment, choose, plan
from eri.media.images import read_images, read_last_images
from eri.media.on_device import FALLBACK, OnDeviceError, decode_on
from eri.media.opening import is_folder, open_container
from eri.media.sampling import even_times, on_screen
from eri.media.timeline import Timeline, clip_start, read_timeline
from eri.utils.errors import TruncatedMediaError

_ATTEMPTS = 3


@dataclass(frozen=True, eq=False)
class FrameSequence:
    """Frames of a clip at chosen moments.

    Attributes:
        times: Seconds since the clip's start, ascending, float64 (rows,). The image of a row is the one on screen
            at that moment; in a clip with fewer images than rows, neighbours show the same one.
        frames: Upright RGB images in [0, 255], uint8 (rows, height, width, 3).
        notes: Things worth telling about the clip, such as a damaged tail.
    """

    times: NDArray[np.float64]
    frames: NDArray[np.uint8]
    notes: tuple[str, ...] = ()


def read_frames(path: Path, count: int, *, max_side: int | None = 1280, device: str | None = None) -> FrameSequence:
    """Read frames that are evenly spread over a clip's presentation time.

    Times come from the file, never from a frame's number: with a changing frame rate, an edit list or a late start,
    the frame at time t is the one a player shows at t. Rotation, mirroring and non-square pixels are undone. Memory
    does not grow with the clip's length, and only the chosen frames are converted to RGB.

    Args:
        path: A video file, or a folder of numbered images (:mod:`eri.media.images`).
        count: Frames wanted, at least 1.
        max_side: Larger images are scaled down so that their longer side has this many pixels; None keeps them.
        device: ``cpu``, ``cuda`` or ``cuda:<n>``: torchcodec decodes there, on a GPU by NVDEC, except for the first
            frame, which must prove that the device's are right; where they are not, a note says so and PyAV decodes
            all of them, as it does for None.

    Raises:
        NoVideoError: The file holds no images (cover art of an audio file is not video).
        MissingDependencyError: A device is given, and torchcodec or FFmpeg's libraries are not installed.
        MediaError: The file is missing, damaged or not media; the subclass and its ``reason`` say which.
        ValueError: ``count`` is under 1.
    """
    _check(count)
    if is_folder(path):
        return FrameSequence(*read_images(path, count, max_side))
    return _read(path, max_side, device, lambda timeline, end: even_times(timeline.start, end, count))


def read_last_frames(
    path: Path, count: int, *, max_side: int | None = 1280, device: str | None = None
) -> FrameSequence:
    """Read the last images of a clip, each once: a sequence of an expression ends at its apex.

    Everything else is as :func:`read_frames` has it.

    Args:
        path: A video file, or a folder of numbered images.
        count: Images wanted, at least 1.
        max_side: Larger images are scaled down so that their longer side has this many pixels; None keeps them.
        device: As :func:`read_frames` has it.

    Returns:
        The images with the moments at which they appear; fewer than ``count`` where the clip has fewer.

    Raises:
        NoVideoError: The file holds no images.
        MediaError: The file is missing, damaged or not media; the subclass and its ``reason`` say which.
        ValueError: ``count`` is under 1.
    """
    _check(count)
    if is_folder(path):
        return FrameSequence(*read_last_images(path, count, max_side))
    return _read(path, max_side, device, lambda timeline, end: _onsets(timeline, end)[-count:])


def _onsets(timeline: Timeline, end: float) -> NDArray[np.float64]:
    """Return when the images before an end appear; all of them before the timeline's own, whatever the last lasts."""
    return timeline.onsets if end >= timeline.end else timeline.onsets[timeline.onsets < end - TICK]


def _check(count: int) -> None:
    if count < 1:
        raise ValueError(f"count must be at least 1, not {count}")


def _read(
    path: Path,
    max_side: int | None,
    device: str | None,
    moments: Callable[[Timeline, float], NDArray[np.float64]],
) -> FrameSequence:
    """Read the frames on screen at moments that a timeline and its end decide; of a damaged file, before the damage."""
    with open_container(path) as container:
        timeline, zero = read_timeline(container, path), clip_start(container)
    end, notes = timeline.end, list(timeline.notes)
    if device is not None:
        times = moments(timeline, end)
        images, note = _read_on(device, path, timeline, zero, times, max_side)
        if note is not None:
            notes.append(note)
        if images is not None:
            return FrameSequence(times, images, tuple(notes))
    for _ in range(_ATTEMPTS):
        times = moments(timeline, end)
        wanted = timeline.onsets[on_screen(timeline.onsets, times)]
        canvas, decoder = _decode(path, timeline, wanted, max_side)
        notes += decoder.damage.notes("video")
        if canvas.filled == len(times):
            return FrameSequence(times, canvas.images, tuple(dict.fromkeys(notes)))
        if decoder.reached is None:
            raise decoder.damage.error(path, "video")
        end = _end_after(timeline, decoder.reached)
        notes.append(f"frames after {end:.2f} s do not decode; the clip's frames are taken from those before")
    raise TruncatedMediaError(path, "none of its frames decodes", hint="Fetch the file again.")


def _read_on(
    device: str, path: Path, timeline: Timeline, zero: float, times: NDArray[np.float64], max_side: int | None
) -> tuple[NDArray[np.uint8] | None, str | None]:
    """Return the images at ``times`` as a device decodes them, and a note; none where they are not to be trusted."""
    wanted = timeline.onsets[on_screen(timeline.onsets, times)]
    canvas, decoder = _decode(path, timeline, wanted[:1], max_side)
    if not canvas.filled or not decoder.damage.none:
        return None, None
    try:
        images, reason = decode_on(device, path, timeline, zero, wanted, canvas.images[0])
    except OnDeviceError as error:
        return None, f"{FALLBACK}{device} but by PyAV: {error}"
    return images, None if reason is None else f"{FALLBACK}{device} but by torchcodec on a processor: {reason}"


def _end_after(timeline: Timeline, reached: float) -> float:
    """Return when the image that appeared at ``reached`` goes."""
    later = timeline.onsets[timeline.onsets > reached + TICK]
    return float(later[0]) if len(later) else timeline.end


def _decode(
    path: Path, timeline: Timeline, wanted: NDArray[np.float64], max_side: int | None
) -> tuple[Canvas, Decoder]:
    """Decode the wanted images and few others; where that does not prove right, every image from the start."""
    # Images without times of their own are counted, so that none may be left out.
    ways = ((True, not timeline.ordered), (True, False), (False, False))
    for seek, leave_out in dict.fromkeys(ways):
        with open_container(path) as container:
            decoder = Decoder(container, path, timeline, wanted if leave_out else None)
            segments = plan(timeline, wanted, seek=seek and decoder.can_seek)
            canvas = Canvas(len(wanted), max_side, decoder.pixel_aspect)
            if _fill(canvas, decoder, segments, wanted, exact=leave_out) and (decoder.damage.none or not leave_out):
                break
    return canvas, decoder


def _fill(
    canvas: Canvas, decoder: Decoder, segments: list[Segment], wanted: NDArray[np.float64], *, exact: bool
) -> bool:
    """Decode segments onto the canvas.

    Returns:
        False where a jump led to other images than the timeline has; if ``exact``, where any image is another.
    """
    exact = exact or len(segments) > 1 or segments[0].key is not None
    for segment in segments:
        rows = wanted[segment.rows.start : segment.rows.stop]
        try:
            for time, frame in choose(decoder.frames(segment.key), rows):
                if exact and not abs(time - wanted[canvas.filled]) <= TICK:
                    return False
                canvas.add(frame)
        except SeekError:
            return False
        if exact and canvas.filled < segment.rows.stop:
            return False
    return True
