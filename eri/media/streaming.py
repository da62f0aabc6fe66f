"""Frames of a video at any number of moments, a few in memory at a time: for videos of any length."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from eri.media.canvas import Canvas, letterbox
from eri.media.decoding import Decoder, choose
from eri.media.images import list_images, read_image
from eri.media.opening import is_folder, open_container
from eri.media.sampling import on_screen
from eri.media.timeline import read_timeline
from eri.media.video import FrameSequence
from eri.utils.errors import TruncatedMediaError


class FrameStream:
    """The images of a video, read once from its begin to its end.

    Attributes:
        end: Second at which the last image goes.
        notes: Problems met so far.

    Args:
        path: A video file, or a folder of numbered images.
        max_side: Larger images are scaled down so that their longer side has this many pixels; None keeps them.

    Raises:
        NoVideoError: It holds no images.
        MediaError: The file is missing, damaged or not media.
    """

    def __init__(self, path: Path, *, max_side: int | None = 1280) -> None:
        self._path, self._max_side = path, max_side
        self.notes: list[str] = []
        if is_folder(path):
            self._listing = list_images(path)
            self._timeline = None
            self.end = self._listing.end
            return
        with open_container(path) as container:
            self._timeline = read_timeline(container, path)
        self.notes += self._timeline.notes
        self.end = self._timeline.end

    @property
    def onsets(self) -> NDArray[np.float64]:
        """When the images appear, seconds since the clip's start, ascending, float64 (images,)."""
        return self._listing.onsets if self._timeline is None else self._timeline.onsets

    def blocks(self, times: NDArray[np.float64], rows: int = 32) -> Iterator[FrameSequence]:
        """Read the images on screen at some moments.

        Args:
            times: Seconds since the clip's start, ascending, float64 (times,).
            rows: Images in memory at once.

        Yields:
            Images of ``rows`` moments, the last of fewer; of a file that is damaged, those before the damage.

        Raises:
            MediaError: No image decodes.
        """
        yield from self._of_folder(times, rows) if self._timeline is None else self._of_file(times, rows)

    def _of_file(self, times: NDArray[np.float64], rows: int) -> Iterator[FrameSequence]:
        timeline = self._timeline
        assert timeline is not None
        wanted = timeline.onsets[on_screen(timeline.onsets, times)]
        with open_container(self._path) as container:
            decoder = Decoder(container, self._path, timeline)
            chosen = choose(decoder.frames(), wanted)
            for first in range(0, len(times), rows):
                asked = times[first : first + rows]
                canvas = Canvas(len(asked), self._max_side, decoder.pixel_aspect)
                for _, frame in islice(chosen, len(asked)):
                    canvas.add(frame)
                if canvas.filled:
                    yield FrameSequence(asked[: canvas.filled], canvas.images[: canvas.filled])
                if canvas.filled < len(asked):
                    self._note_end(decoder, times[first + canvas.filled - 1] if first + canvas.filled else None)
                    return
            self.notes += [note for note in decoder.damage.notes("video") if note not in self.notes]

    def _note_end(self, decoder: Decoder, last: float | None) -> None:
        """Say up to where the images decode."""
        if last is None or decoder.reached is None:
            raise decoder.damage.error(self._path, "video")
        self.notes += [note for note in decoder.damage.notes("video") if note not in self.notes]
        self.notes.append(f"frames after {last:.2f} s do not decode")

    def _of_folder(self, times: NDArray[np.float64], rows: int) -> Iterator[FrameSequence]:
        places = on_screen(self._listing.onsets, times)
        latest: tuple[int, NDArray[np.uint8] | None] = (-1, None)
        shown = 0
        for first in range(0, len(times), rows):
            images, kept = list[NDArray[np.uint8]](), list[float]()
            for time, place in zip(times[first : first + rows], places[first : first + rows].tolist(), strict=True):
                if place != latest[0]:
                    latest = (place, self._read(place))
                if latest[1] is not None:
                    images.append(letterbox(latest[1], *(images[0].shape[:2] if images else latest[1].shape[:2])))
                    kept.append(float(time))
            shown += len(kept)
            if kept:
                yield FrameSequence(np.array(kept), np.stack(images))
        if not shown:
            raise TruncatedMediaError(self._path, "none of its images can be read", hint="Fetch the folder again.")

    def _read(self, place: int) -> NDArray[np.uint8] | None:
        path = self._listing.paths[place]
        image = read_image(path, self._max_side)
        if image is None:
            self.notes.append(f"image {path.name} cannot be read and was left out")
        return image
