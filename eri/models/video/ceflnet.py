"""CEFLNet (Liu, Feng, Yuan, Zhou, Wang, Qin & Luo 2022): which pieces of a video express the emotion.

At full size, with six classes, it has 12.82 million parameters and 63.5 · 10⁹ multiply-accumulate operations a video,
of which ResNet-18 on 35 frames takes all but 0.2 %; the paper states 12.83 and 63.80, its counter adding
normalisations, activations and pooling. What it leaves open is decided as follows, each an option of
:class:`~eri.config.models.CEFLNetConfig`.

* EIAN's "one-dimensional convolutional layers" are two of 256 channels over three pieces each with ReLU, and one that
  scores: with biases throughout they bring the parameters to what the paper states.
* Eq. 5 is written for each class, but eq. 8 and 9 classify one representation, so there is one map a video.
* Queries, keys and values are as long as the features, and nothing leads round the attention (figure 2).
* The frames of the CNN-LSTM are read in the order of time, so that pieces that overlap are merged.
* ResNet-18 and the CNN-LSTM see the same 35 frames; without EIAN the pieces' vectors are averaged.
* In evaluation the pieces begin in the middle of the possible starts, and frames are evenly spread.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise
from typing import Literal

import numpy as np
import torch
from torch import Tensor, nn

from eri.config.models import CEFLNetConfig
from eri.models.backbones import create_backbone
from eri.models.video.base import PublishedCost, VideoModel, VideoOutput, run_block
from eri.models.video.sampling import Indices, piece_frames, piece_starts


class SelfAttention(nn.Module):
    """SAL, eq. 1: the frames of one piece look at each other.

    ``f' = softmax(Q Kᵀ / √d) V`` with ``Q``, ``K`` and ``V`` linear in the frames' features of length ``d``.
    """

    def __init__(self, dimension: int, *, residual: bool = False) -> None:
        super().__init__()
        self.query = nn.Linear(dimension, dimension)
        self.key = nn.Linear(dimension, dimension)
        self.value = nn.Linear(dimension, dimension)
        self.residual = residual

    def forward(self, frames: Tensor) -> Tensor:
        """Map features (pieces, frames, dimension) to the same shape."""
        scores = self.query(frames) @ self.key(frames).transpose(1, 2) / math.sqrt(frames.shape[2])
        attended: Tensor = torch.softmax(scores, dim=2) @ self.value(frames)
        return attended + frames if self.residual else attended


class LocalGlobalRelation(nn.Module):
    """LRL, eq. 2 and 3: one vector per piece, from frames weighted by their relation to the whole piece.

    ``w_k = σ([f̂' : f'_k]ᵀ q⁰)`` and ``R = (Σ w_k f'_k / Σ w_k) q¹``, where ``f̂'`` is pooled over the frames.
    """

    def __init__(self, dimension: int, pooling: Literal["mean", "max"]) -> None:
        super().__init__()
        self.relation = nn.Linear(2 * dimension, 1)
        self.projection = nn.Linear(dimension, dimension)
        self.pooling = pooling

    def forward(self, frames: Tensor) -> tuple[Tensor, Tensor]:
        """Map features (pieces, frames, dimension) to vectors (pieces, dimension) and weights (pieces, frames)."""
        whole = frames.mean(dim=1, keepdim=True) if self.pooling == "mean" else frames.amax(dim=1, keepdim=True)
        weights = torch.sigmoid(self.relation(torch.cat([whole.expand_as(frames), frames], dim=2)))
        mean = (weights * frames).sum(dim=1) / weights.sum(dim=1)
        return self.projection(mean), weights.squeeze(2)


class EmotionalActivation(nn.Module):
    """EIAN, eq. 4 to 8: where in a video emotion is expressed, and the video as those pieces show it.

    Convolutions over the sequence of pieces, all but the last followed by a ReLU, score each; a softmax over the pieces
    makes the scores activation weights ``A`` (eq. 5). The activation map is ``M = A · V`` (eq. 7), the representation
    its maximum over pieces (eq. 8). The piece of largest weight is the located one (eq. 6).
    """

    def __init__(self, dimension: int, channels: Sequence[int], kernel: int, maps: int) -> None:
        super().__init__()
        widths = (dimension, *channels)
        layers: list[nn.Module] = []
        for inputs, outputs in pairwise(widths):
            layers += [nn.Conv1d(inputs, outputs, kernel, padding=kernel // 2), nn.ReLU()]
        self.scores = nn.Sequential(*layers, nn.Conv1d(widths[-1], maps, 1))

    def forward(self, pieces: Tensor) -> tuple[Tensor, Tensor]:
        """Map (videos, pieces, dimension) to (videos, maps, dimension) and the weights (videos, maps, pieces)."""
        weights = torch.softmax(self.scores(pieces.transpose(1, 2)), dim=2)
        activation = weights[..., None] * pieces[:, None]
        return activation.amax(dim=2), weights


def complement_loss(raw: Tensor, targets: Tensor) -> Tensor:
    """Return the second term of eq. 11, ``-Σ (1 - Y) log(1 - p)``, of logits and probabilities (videos, labels)."""
    logits = raw.float()
    # log(1 - p_j) without the loss of digits when p_j is near one: the others' sum over the whole sum.
    others = torch.eye(logits.shape[1], dtype=torch.bool, device=logits.device)
    rest = logits[:, None, :].masked_fill(others, -torch.inf).logsumexp(dim=2) - logits.logsumexp(dim=1, keepdim=True)
    return -((1 - targets) * rest).sum(dim=1).mean()


class CEFLNet(VideoModel):
    """A backbone on each frame, then SAL, LRL and EIAN as far as they are switched on.

    ``VideoOutput.parts`` holds what can be drawn: ``activation``, the emotional activation weights (clips, sub-videos)
    or (clips, labels, sub-videos), and ``relation``, the weights of the frames (clips, sub-videos, sampled frames).
    """

    def __init__(self, config: CEFLNetConfig, outputs: int) -> None:
        backbone = create_backbone(
            config.backbone,
            weights=config.weights,
            seed=int(torch.randint(2**31, ())) if config.seed is None else config.seed,
            input_size=config.input_size,
            precision="float32",
            device=torch.device("cpu"),
            option="model.weights",
        )
        size = backbone.dimension
        super().__init__(
            dimension=config.hidden_size if config.recurrent else size,
            frames=config.frames,
            side=config.input_size,
            mean=backbone.mean,
            std=backbone.std,
        )
        self.config = config
        self.backbone = backbone.model
        self.attention = SelfAttention(size, residual=config.residual) if config.self_attention else None
        self.relation = LocalGlobalRelation(size, config.piece_pooling) if config.relation else None
        self.recurrent = nn.LSTM(size, config.hidden_size, batch_first=True) if config.recurrent else None
        self.emotion = None
        if config.emotional_activation:
            maps = outputs if config.maps == "label" else 1
            self.emotion = EmotionalActivation(size, config.activation_channels, config.activation_kernel, maps)
        self.dropout = nn.Dropout(config.dropout)
        self.output = nn.Linear(self.dimension, outputs)
        if config.emotional_activation and config.relation:
            reason = "the paper's counter adds normalisations, activations and pooling"
            self.published = PublishedCost("Liu et al. 2022, table 8", 12.83, 63.80, reason)
        if config.freeze == "backbone":
            self.freeze("backbone")
        elif config.freeze == "stem":
            names = [name for name, _ in self.backbone.named_children()]
            first = names.index("layer1") if "layer1" in names else 1
            self.freeze(*(f"backbone.{name}" for name in names[:first]))

    def forward(self, frames: Tensor) -> VideoOutput:
        """See :meth:`VideoModel.forward`; the frames stand in the order of :meth:`choose_frames`."""
        features = self._embed(frames.flatten(0, 1)).view(frames.shape[0], self.frames, -1)
        if self.recurrent is not None:
            encoded, _ = self.recurrent(features)
            return self._answer(encoded[:, -1], {})
        pieces, parts = self._encode(features)
        if self.emotion is None:
            return self._answer(pieces.mean(dim=1), parts)
        videos, weights = self.emotion(pieces)
        if self.config.maps == "shared":
            return self._answer(videos.squeeze(1), {**parts, "activation": weights.squeeze(1)})
        # Each label's own representation meets its own row of the last layer.
        raw = (self.dropout(videos) * self.output.weight).sum(dim=2) + self.output.bias
        return VideoOutput(raw, videos.mean(dim=1), {**parts, "activation": weights})

    def choose_frames(self, available: int, generator: np.random.Generator | None) -> Indices:
        """Choose the frames of each piece, one piece after the other.

        Pieces that overlap may share frames, and begin before their predecessor ends: positions ascend within a piece
        only, but for the CNN-LSTM, which reads them in the order of time.
        """
        length, count = self.config.sub_video_frames, self.config.sampled_frames
        starts = self._starts(available, generator)
        frames = piece_frames(starts, available, length=length, count=count, generator=generator).reshape(-1)
        return np.sort(frames) if self.config.recurrent else frames

    def pieces(self, available: int) -> Indices:
        """Return first and last frame of each piece in evaluation, (sub-videos, 2), within the clip's frames."""
        starts = self._starts(available, None)
        return np.minimum(np.stack([starts, starts + self.config.sub_video_frames - 1], axis=1), available - 1)

    def auxiliary_loss(self, output: VideoOutput, targets: Tensor) -> Tensor | None:
        """Return the second term of eq. 11 where the config weighs it; it has no meaning for a regression."""
        if not self.config.complement:
            return None
        return self.config.complement * complement_loss(output.raw, targets)

    def _starts(self, available: int, generator: np.random.Generator | None) -> Indices:
        pieces, length, overlap = self.config.sub_videos, self.config.sub_video_frames, self.config.overlap
        starts = self.config.starts
        return piece_starts(
            available, pieces=pieces, length=length, overlap=overlap, starts=starts, generator=generator
        )

    def _embed(self, frames: Tensor) -> Tensor:
        values = frames.contiguous(memory_format=torch.channels_last)
        for block in _blocks(self.backbone):
            values = run_block(block, values, recompute=self.config.checkpoint)
        return values

    def _encode(self, features: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        """Return one vector per piece, (clips, pieces, dimension), from the frames', and the weights of the frames."""
        clips, pieces = features.shape[0], self.config.sub_videos
        frames = features.reshape(clips * pieces, self.config.sampled_frames, -1)
        if self.attention is not None:
            frames = self.attention(frames)
        if self.relation is None:
            return frames.mean(dim=1).view(clips, pieces, -1), {}
        vectors, weights = self.relation(frames)
        return vectors.view(clips, pieces, -1), {"relation": weights.view(clips, pieces, -1)}

    def _answer(self, embedding: Tensor, parts: dict[str, Tensor]) -> VideoOutput:
        return VideoOutput(self.output(self.dropout(embedding)), embedding, parts)


def _blocks(backbone: nn.Module) -> list[nn.Module]:
    """Return the modules that a backbone runs through: of a ResNet its residual blocks, of another itself."""
    names = [name for name, _ in backbone.named_children()]
    if names != ["conv1", "bn1", "act1", "maxpool", "layer1", "layer2", "layer3", "layer4", "global_pool", "fc"]:
        return [backbone]
    children = list(backbone.children())
    # The stem is one block: its ReLU overwrites what it is given.
    blocks: list[nn.Module] = [nn.Sequential(*children[:4])]
    for module in children[4:]:
        blocks += list(module) if isinstance(module, nn.Sequential) else [module]
    return blocks
