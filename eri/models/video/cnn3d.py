"""The searched 3D-CNN (Haddad, Lézoray & Hamel 2020): C3D's five groups of convolutions with batch normalisation.

The numbers of filters stand in figures that our text of the paper lacks. It builds on C3D and describes C3D's pooling
exactly, so they are C3D's: 64, 128, 256, 512 and 512 filters, two convolutions in the last three groups, and
two dense layers of 4096. As published for CK+ it then has 78.0 million parameters. Biases start at zero.
"""

from __future__ import annotations

from itertools import pairwise

import cv2
import numpy as np
from numpy.typing import NDArray
from torch import Tensor, nn

from eri.config.video import CNN3DConfig, Nonlinearity
from eri.models.video.base import VideoModel, VideoOutput
from eri.models.video.parts import run_block
from eri.models.video.sampling import last_frames

Pictures = NDArray[np.uint8]


def equalize_luminance(pictures: Pictures, *, clip_limit: float = 2.0, grid: tuple[int, int] = (8, 8)) -> Pictures:
    """Equalise the luminance of each image by itself with CLAHE (Zuiderveld 1994; Reza 2004), keeping its colours.

    The luminance is Y of YCbCr, so that grey images stay grey. The limit and grid are those of Haddad et al. 2020.

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
    """Return each image's luminance (ITU-R BT.601) in all three channels.

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


_SECOND = (False, False, True, True, True)
"""Groups that have a second convolution whatever the config says."""


class CNN3D(VideoModel):
    """Five groups of 3D convolutions, each ended by pooling, then dense layers.

    Args:
        config: Its settings.
        outputs: Labels of the task.
    """

    def __init__(self, config: CNN3DConfig, outputs: int) -> None:
        level = 0.5 if config.normalize else 0.0
        spread = 0.5 if config.normalize else 1.0
        sizes = [_flattened(config), *config.dense]
        super().__init__(
            dimension=sizes[-1],
            frames=config.frames,
            side=config.input_size,
            mean=(level, level, level),
            std=(spread, spread, spread),
        )
        self.config = config
        channels = (3, *config.filters)
        self.groups = nn.ModuleList(_group(config, index, channels[index], channels[index + 1]) for index in range(5))
        dense: list[nn.Module] = []
        for incoming, outgoing in pairwise(sizes):
            dense += [nn.Linear(incoming, outgoing), _nonlinearity(config.nonlinearity), nn.Dropout(config.dropout)]
        self.dense = nn.Sequential(*dense)
        self.output = nn.Linear(sizes[-1], outputs)
        _initialize(self, config.initializer)

    def forward(self, pictures: Tensor) -> VideoOutput:
        """See :meth:`~eri.models.video.base.VideoModel.forward`."""
        values = pictures.transpose(1, 2)
        for group in self.groups:
            values = run_block(group, values, recompute=self.config.checkpoint)
        embedding = self.dense(values.flatten(1))
        return VideoOutput(self.output(embedding), embedding)

    def choose_frames(self, available: int, generator: np.random.Generator | None) -> NDArray[np.int64]:
        """Choose the last frames, in training as in evaluation: there the sequences of CK+ and Oulu-CASIA peak.

        Args:
            available: As in the base.
            generator: Not used.
        """
        return last_frames(available, self.frames)

    def prepare(self, pictures: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Take the colour out and even out the light, as far as the config asks for it."""
        from eri.models.video.cnn3d import equalize_luminance, remove_colour

        if self.config.grey:
            pictures = remove_colour(pictures)
        return equalize_luminance(pictures) if self.config.clahe else pictures


def _group(config: CNN3DConfig, index: int, incoming: int, outgoing: int) -> nn.Sequential:
    size = config.temporal_size
    convolutions = 2 if _SECOND[index] or config.second_convolution else 1
    layers: list[nn.Module] = []
    for number in range(convolutions):
        layers += [
            nn.Conv3d(outgoing if number else incoming, outgoing, (size, 3, 3), padding=(size // 2, 1, 1)),
            nn.BatchNorm3d(outgoing, momentum=config.batch_norm_momentum),
            _nonlinearity(config.nonlinearity),
        ]
    pool = nn.AvgPool3d if config.pooling == "average" else nn.MaxPool3d
    kernel, stride, padding = _pooling(index)
    return nn.Sequential(*layers, pool(kernel, stride, padding))


def _pooling(index: int) -> tuple[tuple[int, int, int], tuple[int, int, int], tuple[int, int, int]]:
    """Return kernel, stride and padding of a group's pooling, as section 3.1 gives them."""
    if index == 0:
        return (1, 2, 2), (1, 2, 2), (0, 0, 0)
    if index == 4:
        return (1, 2, 2), (2, 2, 2), (0, 1, 1)
    return (2, 2, 2), (2, 2, 2), (0, 0, 0)


def _flattened(config: CNN3DConfig) -> int:
    shape = (config.frames, config.input_size, config.input_size)
    for index in range(5):
        rule = zip(shape, *_pooling(index), strict=True)
        frames, height, width = ((size + 2 * padding - kernel) // stride + 1 for size, kernel, stride, padding in rule)
        shape = (frames, height, width)
    return config.filters[-1] * shape[0] * shape[1] * shape[2]


def _nonlinearity(name: Nonlinearity) -> nn.Module:
    match name:
        case "relu":
            return nn.ReLU()
        case "elu":
            return nn.ELU()
        case "prelu":
            return nn.PReLU()
        case "leaky_relu":
            return nn.LeakyReLU()
        case "mish":
            return nn.Mish()


def _initialize(model: nn.Module, initializer: str) -> None:
    fill = nn.init.xavier_uniform_ if initializer == "xavier_uniform" else nn.init.xavier_normal_
    for module in model.modules():
        if isinstance(module, nn.Conv3d | nn.Linear):
            fill(module.weight)
            if module.bias is not None:
                nn.init.zeros_(module.bias)
