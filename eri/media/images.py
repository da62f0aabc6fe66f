"""Folders of numbered face images, as organisers ship them, read like a video of about one image per second."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps, UnidentifiedImageError

from eri.media.canvas import fit, letterbox
from eri.media.streams import MAX_PIXELS
from eri.media.timeline import even_times, on_screen
from eri.utils.errors import ForbiddenMediaError, NoVideoError, OversizedMediaError, TruncatedMediaError

_SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".bmp", ".webp"})
_NUMBER = re.compile(r"(\d+)$")
Read = tuple[NDArray[np.float64], NDArray[np.uint8], tuple[str, ...]]
"""Times in seconds, (count,); images, RGB uint8 (count, height, width, 3), all fitted into the largest; notes."""


@dataclass(frozen=True, eq=False)
class ImageFolder:
    """Numbered images of one clip, in ascending order, with the seconds (images,) at which they appear.

    The number is the time: the lowest is shown from second 0, and one step (the median distance of neighbours) is a
    second. A number that is missing, where the organisers found no face, keeps the image before it on screen.
    """

    paths: tuple[Path, ...]
    onsets: NDArray[np.float64]

    @property
    def end(self) -> float:
        """Seconds at which the last image goes."""
        return float(self.onsets[-1]) + 1.0


def list_images(folder: Path) -> ImageFolder:
    """List a folder's images, whose names end in their numbers: ``7.jpg``, ``S005_001_00000007.png``.

    Other files, images without a number, and hidden ones (``._7.jpg``, which archives from macOS hold beside each
    image) are passed over. A NoVideoError where none is left.
    """
    numbered: dict[int, Path] = {}
    try:
        for path in sorted(folder.iterdir()):
            number = _NUMBER.search(path.stem)
            if number and path.suffix.lower() in _SUFFIXES and not path.name.startswith("."):
                numbered.setdefault(int(number[1]), path)
    except PermissionError:
        raise ForbiddenMediaError(folder, "may not be read by this user", hint="chmod +rx the folder.") from None
    if not numbered:
        raise NoVideoError(folder, "is a folder without numbered images (such as 0.jpg, 1.jpg)")
    numbers = np.array(sorted(numbered), dtype=np.float64)
    step = float(np.median(np.diff(numbers))) if len(numbers) > 1 else 1.0
    return ImageFolder(tuple(numbered[number] for number in sorted(numbered)), (numbers - numbers[0]) / step)


def read_images(folder: Path, count: int, max_side: int | None) -> Read:
    """Read ``count`` images, evenly spread over a folder's time, which repeat where it holds fewer."""
    listing = list_images(folder)
    times = even_times(0.0, listing.end, count)
    left, images, notes = list(range(len(listing.paths))), dict[int, NDArray[np.uint8]](), list[str]()
    while left:
        chosen = np.array(left)[on_screen(listing.onsets[left], times)].tolist()
        for index in sorted(set(chosen) - set(images)):
            image = read_image(listing.paths[index], max_side)
            if image is not None:
                images[index] = image
            else:
                left.remove(index)
                notes.append(unreadable_note(listing.paths[index]))
        if all(index in images for index in chosen):
            return times, _stack([images[index] for index in chosen]), tuple(notes)
    raise unreadable(folder)


def read_last_images(folder: Path, count: int, max_side: int | None) -> Read:
    """Read the last images of a folder, at most ``count``, each once."""
    listing = list_images(folder)
    times, images, notes = list[float](), list[NDArray[np.uint8]](), list[str]()
    for path, onset in zip(reversed(listing.paths), reversed(listing.onsets), strict=True):
        if len(images) == count:
            break
        image = read_image(path, max_side)
        if image is None:
            notes.append(unreadable_note(path))
        else:
            times.append(float(onset))
            images.append(image)
    if not images:
        raise unreadable(folder)
    return np.array(times[::-1]), _stack(images[::-1]), tuple(notes)


def _stack(images: Sequence[NDArray[np.uint8]]) -> NDArray[np.uint8]:
    height, width = (max(image.shape[side] for image in images) for side in (0, 1))
    return np.stack([letterbox(image, height, width) for image in images])


def unreadable(folder: Path) -> TruncatedMediaError:
    """Return the error for a folder of which no image can be read."""
    return TruncatedMediaError(folder, "none of its images can be read", hint="Fetch the folder again.")


def unreadable_note(path: Path) -> str:
    """Return the note on one image that cannot be read."""
    return f"image {path.name} cannot be read and was left out"


def read_image(path: Path, max_side: int | None) -> NDArray[np.uint8] | None:
    """Read one image upright, RGB uint8 (height, width, 3); None when it is damaged or no image."""
    try:
        with Image.open(path) as image:
            if image.width * image.height > MAX_PIXELS:
                raise OversizedMediaError(path, f"declares {image.width} x {image.height} pixels")
            upright = ImageOps.exif_transpose(image).convert("RGB")
    except (UnidentifiedImageError, OSError, SyntaxError, ValueError, Image.DecompressionBombError):
        return None
    size = fit(upright.width, upright.height, max_side)
    if size != upright.size:
        upright = upright.resize(size, Image.Resampling.BOX)
    return np.asarray(upright, dtype=np.uint8)
