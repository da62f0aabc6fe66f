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

from eri.config.models import CNN3DConfig
from eri.models.video.base import VideoModel, VideoOutput, run_block
from eri.models.video.sampling import Indices, last_frames

Images = NDArray[np.uint8]

_NONLINEARITIES: dict[str, type[nn.Module]] = {
    "relu": nn.ReLU,
    "elu": nn.ELU,
    "prelu": nn.PReLU,
    "leaky_relu": nn.LeakyReLU,
    "mish": nn.Mish,
}
# Kernel, stride and padding of each group's pooling, as section 3.1 gives them.
_MIDDLE = ((2, 2, 2), (2, 2, 2), (0, 0, 0))
_POOLINGS = (((1, 2, 2), (1, 2, 2), (0, 0, 0)), _MIDDLE, _MIDDLE, _MIDDLE, ((1, 2, 2), (2, 2, 2), (0, 1, 1)))


def equalize_luminance(images: Images) -> Images:
    """Equalise the luminance of each RGB image, (rows, height, width, 3), with CLAHE (Zuiderveld 1994; Reza 2004).

    The luminance is Y of YCbCr, so that grey images stay grey. The clip limit of 2 and the grid of 8 × 8 tiles are
    those of Haddad et al. 2020.

    Examples:
        >>> dark = np.tile(np.arange(64, dtype=np.uint8)[:, None, None], (1, 1, 64, 3)).reshape(1, 64, 64, 3)
        >>> bright = equalize_luminance(dark)
        >>> bool((bright[..., 0] == bright[..., 2]).all()), int(dark.max()), bool(bright.std() > dark.std())
        (True, 63, True)
    """
    equalizer = cv2.createCLAHE(clipLimit=2.0, tileGridSize=(8, 8))
    equalized = np.empty_like(images)
    for row, image in enumerate(images):
        channels = cv2.cvtColor(image, cv2.COLOR_RGB2YCrCb)
        channels[..., 0] = equalizer.apply(np.ascontiguousarray(channels[..., 0]))
        cv2.cvtColor(channels, cv2.COLOR_YCrCb2RGB, dst=equalized[row])
    return equalized


def remove_colour(images: Images) -> Images:
    """Return the luminance (ITU-R BT.601) of RGB images (rows, height, width, 3) in all three channels.

    Examples:
        >>> remove_colour(np.array([[[[255, 0, 0]]]], dtype=np.uint8)).tolist()
        [[[[76, 76, 76]]]]
    """
    grey = np.empty_like(images)
    for row, image in enumerate(images):
        grey[row] = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)[..., None]
    return grey


class CNN3D(VideoModel):
    """Five groups of 3D convolutions, each ended by pooling, then dense layers."""

    def __init__(self, config: CNN3DConfig, outputs: int) -> None:
        level, spread = (0.5, 0.5) if config.normalize else (0.0, 1.0)
        # The poolings halve the frames three times, then rounding up; the side five times, the last one padded.
        moments, side = -(-(config.frames // 8) // 2), config.input_size // 32 + 1
        sizes = [config.filters[-1] * moments * side * side, *config.dense]
        super().__init__(
            dimension=sizes[-1],
            frames=config.frames,
            side=config.input_size,
            mean=(level, level, level),
            std=(spread, spread, spread),
        )
        self.config = config
        self.groups = nn.ModuleList(_group(config, *own) for own in enumerate(pairwise((3, *config.filters))))
        dense: list[nn.Module] = []
        for incoming, outgoing in pairwise(sizes):
            dense += [nn.Linear(incoming, outgoing), _NONLINEARITIES[config.nonlinearity](), nn.Dropout(config.dropout)]
        self.dense = nn.Sequential(*dense)
        self.output = nn.Linear(sizes[-1], outputs)
        fill = nn.init.xavier_uniform_ if config.initializer == "xavier_uniform" else nn.init.xavier_normal_
        for module in self.modules():
            if isinstance(module, nn.Conv3d | nn.Linear):
                fill(module.weight)
                if module.bias is not None:
                    nn.init.zeros_(module.bias)

    def forward(self, frames: Tensor) -> VideoOutput:
        """See :meth:`VideoModel.forward`."""
        values = frames.transpose(1, 2)
        for group in self.groups:
            values = run_block(group, values, recompute=self.config.checkpoint)
        embedding = self.dense(values.flatten(1))
        return VideoOutput(self.output(embedding), embedding)

    def choose_frames(self, available: int, generator: np.random.Generator | None) -> Indices:
        """Choose the last frames, in training as in evaluation: there the sequences of CK+ and Oulu-CASIA peak."""
        return last_frames(available, self.frames)

    def prepare(self, frames: Images) -> Images:
        """Take the colour out and even out the light, as far as the config asks for it."""
        if self.config.grey:
            frames = remove_colour(frames)
        return equalize_luminance(frames) if self.config.clahe else frames


def _group(config: CNN3DConfig, index: int, channels: tuple[int, int]) -> nn.Sequential:
    incoming, outgoing = channels
    size = config.temporal_size
    layers: list[nn.Module] = []
    for inputs in (incoming, outgoing) if index >= 2 or config.second_convolution else (incoming,):
        layers += [
            nn.Conv3d(inputs, outgoing, (size, 3, 3), padding=(size // 2, 1, 1)),
            nn.BatchNorm3d(outgoing, momentum=config.batch_norm_momentum),
            _NONLINEARITIES[config.nonlinearity](),
        ]
    pool = nn.AvgPool3d if config.pooling == "average" else nn.MaxPool3d
    return nn.Sequential(*layers, pool(*_POOLINGS[index]))
