"""``c3d`` and ``c3d-lstm``: the models of whole sequences that CEFLNet is compared with.

Tran et al. 2015, "Learning spatiotemporal features with 3D convolutional networks"; Liu et al. 2022, table 8.
"""

from __future__ import annotations

from abc import ABC
from typing import TypeVar

import torch
from torch import Tensor, nn
from torch.nn import functional

from eri.config.models import C3DConfig, C3DLSTMConfig
from eri.models.video.base import PublishedCost, VideoModel, VideoOutput, fill_backbone, run_block

_TABLE = "Liu et al. 2022, table 8"
_GRID = 4  # height and width of the maps that the dense layers read
_FEATURES = 512 * _GRID * _GRID
_Layer = TypeVar("_Layer", nn.Conv3d, nn.Linear)


class C3DConvolutions(nn.Module):
    """The eight convolutions, each 3 × 3 × 3 with a ReLU, and the poolings between them.

    A pooling leaves an axis of length 1 alone, so that clips shorter than 16 frames and small images pass.
    """

    def __init__(self, *, recompute: bool) -> None:
        super().__init__()
        self.recompute = recompute
        self.conv1 = _convolution(3, 64)
        self.conv2 = _convolution(64, 128)
        self.conv3a, self.conv3b = _convolution(128, 256), _convolution(256, 256)
        self.conv4a, self.conv4b = _convolution(256, 512), _convolution(512, 512)
        self.conv5a, self.conv5b = _convolution(512, 512), _convolution(512, 512)

    def forward(self, frames: Tensor) -> Tensor:
        """Map (clips, frames, 3, side, side) to (clips, 512, moments, height, width), before the fifth pooling."""
        values = frames.transpose(1, 2)
        for name, convolution in self.named_children():
            values = torch.relu(run_block(convolution, values, recompute=self.recompute))
            if name in ("conv1", "conv2", "conv3b", "conv4b"):
                moments, height, width = map(int, values.shape[2:])
                window = (1 if name == "conv1" else min(2, moments), min(2, height), min(2, width))
                values = functional.max_pool3d(values, window)
        return values


class C3DBase(VideoModel, ABC):
    """A model over C3D's convolutions."""

    def __init__(self, config: C3DConfig | C3DLSTMConfig) -> None:
        # Its authors subtract the mean image of Sports-1M; here channels are brought to [-1, 1].
        middle = (0.5, 0.5, 0.5)
        super().__init__(dimension=config.dense, frames=config.frames, side=config.input_size, mean=middle, std=middle)
        self.convolutions = C3DConvolutions(recompute=config.checkpoint)


class C3DModel(C3DBase):
    """C3D with one output per label; its embedding is the activation of ``fc7``.

    The maps of clips that are not 16 frames of 112 × 112 are pooled to the same 4 × 4 places.
    """

    published = PublishedCost(
        _TABLE,
        parameters=79.99,
        macs=326.41,
        explanation="the published parameters are those of C3D with the 487 classes of Sports-1M; the published "
        "MACs are those of 35 frames of 224 × 224, which the table does not state",
    )

    def __init__(self, config: C3DConfig, outputs: int) -> None:
        super().__init__(config)
        self.fc6 = _start(nn.Linear(_FEATURES, config.dense))
        self.fc7 = _start(nn.Linear(config.dense, config.dense))
        self.dropout = nn.Dropout(config.dropout)
        self.output = nn.Linear(config.dense, outputs)
        parts = nn.ModuleDict({**dict(self.convolutions.named_children()), "fc6": self.fc6, "fc7": self.fc7})
        fill_backbone(parts, config.weights, name="c3d", ignore=("fc8.",))

    def forward(self, frames: Tensor) -> VideoOutput:
        """See :meth:`VideoModel.forward`."""
        maps = functional.adaptive_max_pool3d(_last_pool(self.convolutions(frames)), (1, _GRID, _GRID))
        values = self.dropout(torch.relu(self.fc6(maps.flatten(1))))
        values = torch.relu(self.fc7(values))
        return VideoOutput(self.output(self.dropout(values)), values)


class C3DLSTMModel(C3DBase):
    """An LSTM over C3D's moments, each pooled to 4 × 4 places; its embedding is the activation of the dense layer."""

    published = PublishedCost(
        _TABLE,
        parameters=110.24,
        macs=282.26,
        explanation="the table states no sizes; both figures are met by 30 frames of 224 × 224, 2000 units and a "
        "dense layer of 512",
    )

    def __init__(self, config: C3DLSTMConfig, outputs: int) -> None:
        super().__init__(config)
        self.lstm = nn.LSTM(_FEATURES, config.hidden_size, batch_first=True)
        self.dense = nn.Linear(config.hidden_size, config.dense)
        self.dropout = nn.Dropout(config.dropout)
        self.output = nn.Linear(config.dense, outputs)
        fill_backbone(self.convolutions, config.weights, name="c3d", ignore=("fc",))

    def forward(self, frames: Tensor) -> VideoOutput:
        """See :meth:`VideoModel.forward`."""
        maps = self.convolutions(frames)
        maps = functional.adaptive_max_pool3d(_last_pool(maps, over_time=False), (int(maps.shape[2]), _GRID, _GRID))
        states = self.lstm(maps.transpose(1, 2).flatten(2))[0]
        values = torch.relu(self.dense(self.dropout(states[:, -1])))
        return VideoOutput(self.output(self.dropout(values)), values)


def _convolution(inputs: int, outputs: int) -> nn.Conv3d:
    return _start(nn.Conv3d(inputs, outputs, 3, padding=1))


def _start(layer: _Layer) -> _Layer:
    """Draw weights that keep the size of what passes (He et al. 2015): no normalisation does it here."""
    nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")
    if layer.bias is not None:
        nn.init.zeros_(layer.bias)
    return layer


def _last_pool(values: Tensor, *, over_time: bool = True) -> Tensor:
    """Halve every axis; height and width are padded, so that 7 × 7 become 4 × 4 as in the authors' network."""
    window = (min(2, int(values.shape[2])) if over_time else 1, 2, 2)
    return functional.max_pool3d(values, window, padding=(0, 1, 1))
