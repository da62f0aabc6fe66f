"""Decoding through torchcodec, on a GPU by its video decoder (NVDEC); torch is imported only when that is asked for."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from eri.media.decoding import TICK
from eri.media.timeline import Timeline
from eri.utils.errors import MissingDependencyError

MOST_LEVELS = 4.0
"""Mean difference, of 255 levels, that an image may have from FFmpeg's own: converting colours and scaling are not
exact, but a frame that is rotated, mirrored, of another moment or in the wrong range lies far beyond."""

FALLBACK = "not decoded on "
"""What a clip's note begins with when another than the device decoded it."""

_AT_ONCE = 8  # images in their full size that a device holds at a time
_LATER = 1e-3  # seconds after an image's onset at which it is asked for
_PLACE = re.compile(r"^.*\.cpp:\d+, ")  # torchcodec begins its messages with the line of its code


class OnDeviceError(Exception):
    """The device's images cannot be had or cannot be trusted; the message says why."""


def require_torchcodec() -> Any:
    """Return torchcodec's decoders; a MissingDependencyError without the package or FFmpeg's libraries."""
    try:
        import torchcodec
        from torchcodec import decoders
    except ImportError as error:
        raise MissingDependencyError(
            "--decoder torchcodec needs the package torchcodec, which is not installed",
            hint="pip install 'eri[torchcodec]', and FFmpeg's shared libraries (on Debian: apt install ffmpeg).",
        ) from error
    if torchcodec.ffmpeg_major_version is None:
        raise MissingDependencyError(
            "--decoder torchcodec: torchcodec finds none of FFmpeg's shared libraries that it can use",
            hint="Install FFmpeg 4 to 9 with shared libraries (on Debian: apt install ffmpeg), or leave --decoder out.",
        )
    return decoders


def decode_on(
    device: str, path: Path, timeline: Timeline, zero: float, wanted: NDArray[np.float64], first: NDArray[np.uint8]
) -> tuple[NDArray[np.uint8], str | None]:
    """Decode images on a device, upright RGB, uint8 (rows, height, width, 3).

    ``wanted`` are their ascending onsets, which may repeat, and ``zero`` is the clip's start on the file's own clock.
    ``first`` is the first of them as FFmpeg's own decoder has it: the others get its size, and the device's must be
    like it. Also returns why a processor decoded them where a GPU should have; an OnDeviceError where the device has no
    image of a moment, or another one.
    """
    if timeline.ordered:
        raise OnDeviceError("its frames have no times")
    video = require_torchcodec().VideoDecoder
    onsets, rows = np.unique(wanted, return_inverse=True)
    try:
        # The prefix keeps a colon in a name from naming a protocol.
        decoder = video(f"file:{path}", stream_index=timeline.stream, device=device)
        pieces = [
            _decode(decoder, timeline, zero, onsets[start : start + _AT_ONCE], first.shape[:2])
            for start in range(0, len(onsets), _AT_ONCE)
        ]
    except (RuntimeError, ValueError, IndexError) as error:
        first_line = next(iter(str(error).splitlines()), type(error).__name__)
        raise OnDeviceError(_PLACE.sub("", first_line)) from error
    images = np.concatenate(pieces)
    levels = float(np.abs(images[0].astype(np.int16) - first).mean())
    if levels > MOST_LEVELS:
        raise OnDeviceError(f"its first frame differs by {levels:.1f} of 255 levels")
    return images[rows], str(decoder.cpu_fallback) if decoder.cpu_fallback else None


def _decode(
    decoder: Any, timeline: Timeline, zero: float, onsets: NDArray[np.float64], size: tuple[int, ...]
) -> NDArray[np.uint8]:
    """Decode images that appear at ``onsets``, scaled to (height, width) on the device."""
    from torchvision.transforms.v2.functional import resize

    # A little later than each appears, where rounding cannot lead to the image before it, and before the next comes.
    following = np.append(timeline.onsets, np.inf)[np.searchsorted(timeline.onsets, onsets + TICK)]
    batch = decoder.get_frames_played_at((onsets + np.minimum((following - onsets) / 2, _LATER) + zero).tolist())
    if (np.abs(batch.pts_seconds.numpy() - zero - onsets) > TICK).any():
        raise OnDeviceError("it has frames of other moments")
    frames = batch.data
    if tuple(frames.shape[-2:]) != size:
        frames = resize(frames, list(size), antialias=True)
    images: NDArray[np.uint8] = frames.permute(0, 2, 3, 1).contiguous().cpu().numpy()
    return images
