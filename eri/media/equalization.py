"""Evening out the light of pictures: contrast-limited adaptive histogram equalisation, and taking the colour out."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

Pictures = NDArray[np.uint8]


def equalize_luminance(pictures: Pictures, *, clip_limit: float = 2.0, grid: tuple[int, int] = (8, 8)) -> Pictures:
    """Equalise the luminance of each picture by itself with CLAHE (Zuiderveld 1994; Reza 2004), keeping its colours.

    The luminance is Y of YCbCr, so that grey pictures stay grey. The limit and grid are those of Haddad et al. 2020.

    Args:
        pictures: RGB, (rows, height, width, 3).
        clip_limit: Most counts of a histogram's bin, as a multiple of the mean bin.
        grid: Tiles across and down.

    Returns:
        A new array of the same shape.

    Examples:
        >>> dark = np.tile(np.arange(64, dtype=np.uint8)[:, None, None], (1, 1, 64, 3)).reshape(1, 64, 64, 3)
        >>> bright = equalize_luminance(dark)
        >>> bool((bright[..., 0] == bright[..., 2]).all()), int(dark.max()), bool(bright.std() > dark.std())
        (True, 63, True)
    """
    equalizer = cv2.createCLAHE(clipLimit=clip_limit, tileGridSize=grid)
    equalized = np.empty_like(pictures)
    for row, picture in enumerate(pictures):
        channels = cv2.cvtColor(picture, cv2.COLOR_RGB2YCrCb)
        channels[..., 0] = equalizer.apply(np.ascontiguousarray(channels[..., 0]))
        cv2.cvtColor(channels, cv2.COLOR_YCrCb2RGB, dst=equalized[row])
    return equalized


def remove_colour(pictures: Pictures) -> Pictures:
    """Return each picture's luminance (ITU-R BT.601) in all three channels.

    Args:
        pictures: RGB, (rows, height, width, 3).

    Examples:
        >>> remove_colour(np.array([[[[255, 0, 0]]]], dtype=np.uint8)).tolist()
        [[[[76, 76, 76]]]]
    """
    grey = [cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY) for picture in pictures]
    if not grey:
        return pictures.copy()
    return np.repeat(np.stack(grey)[..., None], 3, axis=3).astype(np.uint8)
