"""Frames of a clip, upright and in RGB: evenly spread by presentation time, the last ones, or at any moments."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from eri.media.canvas import Canvas, letterbox
from eri.media.decoding import TICK, Decoder, Segment, choose, plan
from eri.media.images import list_images, read_image, read_images, read_last_images, unreadable, unreadable_note
from eri.media.on_device import FALLBACK, OnDeviceError, decode_on
from eri.media.streams import is_folder, open_container
from eri.media.timeline import Timeline, clip_start, even_times, on_screen, read_timeline
from eri.utils.errors import TruncatedMediaError

_ATTEMPTS = 3


@dataclass(frozen=True, eq=False)
class FrameSequence:
    """Frames of a clip at chosen moments, with notes on such things as a damaged tail.

    A row's image is the one on screen at its time; in a clip with fewer images than rows, neighbours show the same one.
    """

    times: NDArray[np.float64]  # seconds since the clip's start, ascending, (rows,)
    frames: NDArray[np.uint8]  # upright RGB, (rows, height, width, 3)
    notes: tuple[str, ...] = ()


def read_frames(path: Path, count: int, *, max_side: int | None = 1280, device: str | None = None) -> FrameSequence:
    """Read frames that are evenly spread over the presentation time of a video, or of a folder of numbered images.

    Times come from the file, never from a frame's number: with a changing frame rate, an edit list or a late start,
    the frame at time t is the one a player shows at t. Rotation, mirroring and non-square pixels are undone, and images
    whose longer side exceeds ``max_side`` scaled down. Memory does not grow with the clip's length.

    On a ``device`` (``cpu``, ``cuda``, ``cuda:<n>``) torchcodec decodes, on a GPU by NVDEC, except for the first frame,
    which must prove that the device's are right; where they are not, a note says so and PyAV decodes all of them, as it
    does for None. Raises a MediaError, or a MissingDependencyError for a device without torchcodec.
    """
    if is_folder(path):
        return FrameSequence(*read_images(path, count, max_side))
    return _read(path, max_side, device, lambda timeline, end: even_times(float(timeline.onsets[0]), end, count))


def read_last_frames(
    path: Path, count: int, *, max_side: int | None = 1280, device: str | None = None
) -> FrameSequence:
    """Read the last images of a clip, each once, with the moments at which they appear; else as :func:`read_frames`.

    A sequence of an expression ends at its apex.
    """
    if count < 1:
        raise ValueError(f"count must be at least 1, not {count}")
    if is_folder(path):
        return FrameSequence(*read_last_images(path, count, max_side))
    return _read(path, max_side, device, lambda timeline, end: _onsets(timeline, end)[-count:])


def _onsets(timeline: Timeline, end: float) -> NDArray[np.float64]:
    """Return when the images before an end appear; all of them before the timeline's own, whatever the last lasts."""
    return timeline.onsets if end >= timeline.end else timeline.onsets[timeline.onsets < end - TICK]


def _read(
    path: Path, max_side: int | None, device: str | None, moments: Callable[[Timeline, float], NDArray[np.float64]]
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
        later = timeline.onsets[timeline.onsets > decoder.reached + TICK]
        end = float(later[0]) if len(later) else timeline.end  # when the last image that decodes goes
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

    False where a jump led to other images than the timeline has or, if ``exact``, where any image is another.
    """
    exact = exact or len(segments) > 1 or segments[0].key is not None
    for segment in segments:
        rows = wanted[segment.rows.start : segment.rows.stop]
        for time, frame in choose(decoder.frames(segment.key), rows):
            if exact and not abs(time - wanted[canvas.filled]) <= TICK:
                return False
            canvas.add(frame)
        if exact and canvas.filled < segment.rows.stop:
            return False
    return True


class FrameStream:
    """The images of a video or a folder at any number of moments, read once from begin to end, a few in memory."""

    def __init__(self, path: Path, *, max_side: int | None = 1280) -> None:
        self._path, self._max_side = path, max_side
        self._timeline: Timeline | None = None
        self.notes: list[str] = []
        if is_folder(path):
            self._listing = list_images(path)
            self.onsets, self.end = self._listing.onsets, self._listing.end
            return
        with open_container(path) as container:
            self._timeline = read_timeline(container, path)
        self.onsets, self.end = self._timeline.onsets, self._timeline.end
        self.notes += self._timeline.notes

    def blocks(self, times: NDArray[np.float64], rows: int = 32) -> Iterator[FrameSequence]:
        """Read the images on screen at some moments (seconds, ascending), ``rows`` at once.

        Of a file that is damaged, those before the damage; a MediaError where no image decodes.
        """
        if self._timeline is None:
            return self._of_folder(times, rows)
        return self._of_file(self._timeline, times, rows)

    def _of_file(self, timeline: Timeline, times: NDArray[np.float64], rows: int) -> Iterator[FrameSequence]:
        shown = 0
        with open_container(self._path) as container:
            decoder = Decoder(container, self._path, timeline)
            chosen = choose(decoder.frames(), timeline.onsets[on_screen(timeline.onsets, times)])
            for first in range(0, len(times), rows):
                asked = times[first : first + rows]
                canvas = Canvas(len(asked), self._max_side, decoder.pixel_aspect)
                for _, frame in islice(chosen, len(asked)):
                    canvas.add(frame)
                shown += canvas.filled
                if canvas.filled:
                    yield FrameSequence(asked[: canvas.filled], canvas.images[: canvas.filled])
                if canvas.filled < len(asked):
                    break
            if len(times) and not shown:
                raise decoder.damage.error(self._path, "video")
            self.notes += [note for note in decoder.damage.notes("video") if note not in self.notes]
            if shown < len(times):
                self.notes.append(f"frames after {times[shown - 1]:.2f} s do not decode")

    def _of_folder(self, times: NDArray[np.float64], rows: int) -> Iterator[FrameSequence]:
        places = on_screen(self.onsets, times)
        latest, shown, image = -1, 0, None
        for first in range(0, len(times), rows):
            images, kept = list[NDArray[np.uint8]](), list[float]()
            for time, place in zip(times[first : first + rows], places[first : first + rows].tolist(), strict=True):
                if place != latest:
                    latest, image = place, read_image(self._listing.paths[place], self._max_side)
                    if image is None:
                        self.notes.append(unreadable_note(self._listing.paths[place]))
                if image is not None:
                    images.append(letterbox(image, *(images[0] if images else image).shape[:2]))
                    kept.append(float(time))
            shown += len(kept)
            if kept:
                yield FrameSequence(np.array(kept), np.stack(images))
        if not shown:
            raise unreadable(self._path)
