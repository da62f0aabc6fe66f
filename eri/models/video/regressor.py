"""A video model with everything around it: normalised frames in, labels within the task's range out."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from eri.config.tasks import Activation, Task
from eri.models.regressor import Predictor, bound
from eri.models.video.base import VideoModel, VideoOutput


class VideoRegressor(Predictor):
    """Predict a task's labels, intensities or the probabilities of classes, from the face crops of clips.

    Its inputs are the frames that the network chose: RGB on [0, 255], uint8 or float, (clips, frames, 3, side, side).
    """

    mean: Tensor
    std: Tensor

    def __init__(self, network: VideoModel, task: Task, activation: Activation | None = None) -> None:
        super().__init__()
        self.network = network
        self.low, self.high = task.low, task.high
        self.activation: Activation = activation or task.activation
        self.register_buffer("mean", torch.tensor(network.mean).view(3, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(network.std).view(3, 1, 1), persistent=False)

    def forward(self, frames: Tensor) -> tuple[Tensor, VideoOutput]:
        """Return predictions as the loss sees them, (clips, labels), and what is behind them."""
        output: VideoOutput = self.network((frames.float() / 255 - self.mean) / self.std)
        return bound(output.raw, self.activation, self.low, self.high), output

    def predict(self, inputs: Tensor) -> Tensor:
        """See :meth:`Predictor.predict`."""
        result: Tensor = self(inputs)[0].double().clamp(self.low, self.high)
        return result

    def embed(self, frames: Tensor) -> Tensor:
        """Return the features before the last layer, float32 (clips, dimension)."""
        embedding: Tensor = self(frames)[1].embedding.float()
        return embedding

    def parameter_groups(self) -> list[dict[str, Any]]:
        """Return the parameters that learn, in one group."""
        return [{"params": [own for own in self.parameters() if own.requires_grad]}]
