"""Folders of numbered face images, as organisers ship them, read like a video of about one image per second."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image as PILImage
from PIL import ImageOps, UnidentifiedImageError

from eri.media.canvas import fit, letterbox
from eri.media.sampling import even_times, on_screen
from eri.media.streams import MAX_PIXELS
from eri.utils.errors import ForbiddenMediaError, NoVideoError, OversizedMediaError, TruncatedMediaError

_SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".bmp", ".webp"})
_NUMBER = re.compile(r"(\d+)$")


@dataclass(frozen=True, eq=False)
class ImageFolder:
    """Numbered images of one clip.

    The number is the time: the lowest is shown from second 0, and one step (the median distance of neighbours) is a
    second. A number that is missing, where the organisers found no face, keeps the image before it on screen.

    Attributes:
        paths: The files, in ascending order of their numbers.
        onsets: Seconds at which each appears, float64 (images,).
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
    image) are passed over.

    Raises:
        NoVideoError: There is none.
        ForbiddenMediaError: The folder may not be read.
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
    return ImageFolder(tuple(numbered[int(number)] for number in numbers), (numbers - numbers[0]) / step)


def read_images(
    folder: Path, count: int, max_side: int | None
) -> tuple[NDArray[np.float64], NDArray[np.uint8], tuple[str, ...]]:
    """Read images that are evenly spread over a folder's time.

    Images of different sizes are fitted, without being stretched, into the largest height and width among them.

    Args:
        folder: Holds numbered images.
        count: Images wanted; with fewer in the folder, neighbours repeat.
        max_side: Larger images are scaled down to this many pixels.

    Returns:
        Times in seconds, float64 (count,); images, RGB uint8 (count, height, width, 3); notes.

    Raises:
        NoVideoError: The folder holds no images.
        TruncatedMediaError: None of those wanted can be read.
    """
    listing = list_images(folder)
    times = even_times(0.0, listing.end, count)
    paths, notes = dict(enumerate(listing.paths)), list[str]()
    while paths:
        indices = np.array(sorted(paths))
        chosen = indices[on_screen(listing.onsets[indices], times)]
        images: dict[int, NDArray[np.uint8]] = {}
        for index in dict.fromkeys(chosen.tolist()):
            image = read_image(paths[index], max_side)
            if image is None:
                notes.append(f"image {paths.pop(index).name} cannot be read and was left out")
            else:
                images[index] = image
        if all(index in images for index in chosen.tolist()):
            return times, _stack([images[index] for index in chosen.tolist()]), tuple(notes)
    raise _unreadable(folder)


def read_last_images(
    folder: Path, count: int, max_side: int | None
) -> tuple[NDArray[np.float64], NDArray[np.uint8], tuple[str, ...]]:
    """Read the last images of a folder, each once; arguments and errors are those of :func:`read_images`.

    Returns:
        Times in seconds, float64 (images,), at most ``count``; images, RGB uint8 (images, height, width, 3);
        notes.
    """
    listing = list_images(folder)
    times, images, notes = list[float](), list[NDArray[np.uint8]](), list[str]()
    for path, onset in zip(reversed(listing.paths), reversed(listing.onsets), strict=True):
        if len(images) == count:
            break
        image = read_image(path, max_side)
        if image is None:
            notes.append(f"image {path.name} cannot be read and was left out")
        else:
            times.append(float(onset))
            images.append(image)
    if not images:
        raise _unreadable(folder)
    return np.array(times[::-1]), _stack(images[::-1]), tuple(notes)


def _stack(images: Sequence[NDArray[np.uint8]]) -> NDArray[np.uint8]:
    height = max(image.shape[0] for image in images)
    width = max(image.shape[1] for image in images)
    return np.stack([letterbox(image, height, width) for image in images])


def _unreadable(folder: Path) -> TruncatedMediaError:
    return TruncatedMediaError(folder, "none of its images can be read", hint="Fetch the folder again.")


def read_image(path: Path, max_side: int | None) -> NDArray[np.uint8] | None:
    """Read one image upright, RGB uint8 (height, width, 3); None when it is damaged or no image.

    Raises:
        OversizedMediaError: It declares more than ``MAX_PIXELS`` pixels.
    """
    try:
        with PILImage.open(path) as opened:
            if opened.width * opened.height > MAX_PIXELS:
                raise OversizedMediaError(path, f"declares {opened.width} x {opened.height} pixels")
            upright = ImageOps.exif_transpose(opened).convert("RGB")
    except (UnidentifiedImageError, OSError, SyntaxError, ValueError, PILImage.DecompressionBombError):
        return None
    size = fit(upright.width, upright.height, max_side)
    if size != upright.size:
        upright = upright.resize(size, PILImage.Resampling.BOX)
    return np.asarray(upright, dtype=np.uint8)
