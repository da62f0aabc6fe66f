"""``r2plus1d-scl``: R(2+1)D-18, attention over space and time, a classifier and a sparse centre loss.

Singh et al. 2023, "Facial expression recognition in video using 3D-CNN deep features discrimination". Both heads read
the features after the attention block, as the paper's abstract has it. Equation 5 is the cross-entropy, which is the
task's own loss and not part of the model.

The backbone ends after its third stage by default. The paper weights 256 pooled features, and counts 38.66 GMACs: the
whole backbone has 512 channels and needs 40.52 GMACs even without attention, its first three stages have 256 channels
and need 38.01.
"""

from __future__ import annotations

from collections import OrderedDict
from itertools import pairwise
from typing import Literal

import torch
from torch import Tensor, nn

from eri.config.video import CentersConfig, R2Plus1DConfig
from eri.models.video.base import PublishedCost, VideoModel, VideoOutput
from eri.models.video.parts import fill_backbone, run_block
from eri.weights import WEIGHTS

Axis = Literal["space", "time"]
Maps = Literal["each", "shared"]


class AxisAttention(nn.Module):
    """``V softmax(Q K^T)`` over one axis, with keys, queries and values from 1 × 1 × 1 convolutions (eq. 1 or 2).

    The softmax runs over the positions that are attended to; similarities are not scaled, as printed.

    Args:
        channels: Of the features.
        axis: ``space``: positions are the places of a map; ``time``: they are its moments.
        compression: Channels of a feature for each channel of keys and queries.
        compress_values: Values are as narrow as keys, and a convolution brings the result back.
        maps: ``each``: one map for every moment (or place); ``shared``: the similarities are summed over them.
    """

    def __init__(self, channels: int, axis: Axis, *, compression: int, compress_values: bool, maps: Maps) -> None:
        super().__init__()
        narrow = max(1, channels // compression)
        self.axis, self.maps = axis, maps
        self.query = nn.Conv3d(channels, narrow, 1)
        self.key = nn.Conv3d(channels, narrow, 1)
        self.value = nn.Conv3d(channels, narrow if compress_values else channels, 1)
        self.output = nn.Conv3d(narrow, channels, 1) if compress_values else nn.Identity()

    def forward(self, features: Tensor) -> Tensor:
        """Map features (clips, channels, moments, height, width) to the same shape."""
        query, key, value = (self._arrange(net(features)) for net in (self.query, self.key, self.value))
        weights = torch.softmax(query @ key.transpose(2, 3), dim=3)
        result: Tensor = self.output(self._restore(weights @ value, features.shape))
        return result

    def _arrange(self, values: Tensor) -> Tensor:
        """Return (clips, maps, positions, numbers a position)."""
        groups_first = (0, 2, 3, 4, 1) if self.axis == "space" else (0, 3, 4, 2, 1)
        arranged = values.permute(groups_first)
        arranged = arranged.flatten(2, 3) if self.axis == "space" else arranged.flatten(1, 2)
        return arranged if self.maps == "each" else arranged.transpose(1, 2).flatten(2)[:, None]

    def _restore(self, values: Tensor, shape: torch.Size) -> Tensor:
        clips, _, moments, height, width = shape
        groups, positions = (moments, height * width) if self.axis == "space" else (height * width, moments)
        if self.maps == "shared":
            values = values.view(clips, positions, groups, -1).transpose(1, 2)
        if self.axis == "space":
            return values.reshape(clips, moments, height, width, -1).permute(0, 4, 1, 2, 3)
        return values.reshape(clips, height, width, moments, -1).permute(0, 4, 3, 1, 2)


class SpatioTemporalAttention(nn.Module):
    """``p = f + gamma (s(f) + d(f))`` (equation 3): features, and what attention over space and over time adds.

    Args:
        channels: Of the features.
        gamma: Start of the learnt factor.
        compression: See :class:`AxisAttention`.
        compress_values: See :class:`AxisAttention`.
        maps: See :class:`AxisAttention`.
    """

    def __init__(self, channels: int, *, gamma: float, compression: int, compress_values: bool, maps: Maps) -> None:
        super().__init__()
        self.space = AxisAttention(
            channels, "space", compression=compression, compress_values=compress_values, maps=maps
        )
        self.time = AxisAttention(channels, "time", compression=compression, compress_values=compress_values, maps=maps)
        self.gamma = nn.Parameter(torch.tensor(gamma))

    def forward(self, features: Tensor) -> Tensor:
        """Map features (clips, channels, moments, height, width) to the same shape."""
        result: Tensor = features + self.gamma * (self.space(features) + self.time(features))
        return result


class SparseCenters(nn.Module):
    """A centre for each class, and the weights of a clip's dimensions in its distance to them.

    Args:
        dimension: Length of the features.
        context: Length of what the weights are made from.
        classes: Number of centres. They start at zero, so that no class is set apart by chance.
        config: What the paper leaves open.
    """

    centers: Tensor

    def __init__(self, dimension: int, context: int, classes: int, config: CentersConfig) -> None:
        super().__init__()
        self.config = config
        layers: list[nn.Module] = []
        for inputs, outputs in pairwise((context, *config.context_widths)):
            layers += [nn.Linear(inputs, outputs), nn.ReLU()]
        self.attention = nn.Sequential(*layers, nn.Linear(config.context_widths[-1], 2 * dimension))
        start = torch.zeros(classes, dimension)
        if config.center_update == "gradient":
            self.centers = nn.Parameter(start)
        else:
            self.register_buffer("centers", start)

    def forward(self, context: Tensor) -> Tensor:
        """Return the weight of each dimension, in (0, 1): the second share of a softmax over two.

        Args:
            context: (clips, context).

        Returns:
            (clips, dimension).
        """
        pairs: Tensor = self.attention(context)
        return torch.softmax(pairs.view(len(pairs), 2, -1), dim=1)[:, 1]

    def loss(self, features: Tensor, weights: Tensor, classes: Tensor) -> Tensor:
        """Return the weighted distance of features to their centres, not yet multiplied by ``center_weight``.

        ``sum_n sum_d w |f - c|^q``; halved for q = 2, as centre losses are (Wen et al. 2016, equation 2). While
        training, running centres move afterwards.

        Args:
            features: (clips, dimension).
            weights: Of :meth:`forward`, the same shape.
            classes: int64 (clips,).
        """
        features, weights = features.float(), weights.float()
        # Running centres change in place below; the gradient must see those of now.
        distance = features - self.centers[classes].clone()
        powered = distance.abs() if self.config.center_exponent == 1 else distance.square() / 2
        per_clip = (weights * powered).sum(dim=1)
        if self.training and self.config.center_update == "running":
            self._follow(features.detach(), weights.detach(), classes)
        if self.config.center_reduction == "sum":
            return per_clip.sum()
        return per_clip.mean() / (features.shape[1] if self.config.center_reduction == "mean" else 1)

    @torch.no_grad()
    def _follow(self, features: Tensor, weights: Tensor, classes: Tensor) -> None:
        """Move each centre towards the features of its class (Wen et al. 2016, equation 4, weighted as the loss is)."""
        pull = torch.zeros_like(self.centers).index_add_(0, classes, weights * (features - self.centers[classes]))
        counts = torch.bincount(classes, minlength=len(self.centers))[:, None]
        self.centers += self.config.center_rate * pull / (1 + counts)


_CHANNELS = {3: 256, 4: 512}
_WEIGHTS = "r2plus1d-18"
_EXPLANATIONS = {
    3: "the backbone ends after its third stage: all four need 40.52 GMACs, more than published, and have 512 channels "
    "where the paper weights 256; the rest is what the counter of such papers adds for normalisations and ReLUs, "
    "0.19 GMACs, and layers whose widths are not stated",
    4: "the whole backbone alone needs 40.52 GMACs, more than published; stages: 3 ends it where it has the 256 "
    "channels that the paper weights, and needs 38.01",
}


class R2Plus1DModel(VideoModel):
    """The network of the paper's figure 2.

    Args:
        config: Sizes, and what the paper leaves open.
        outputs: Number of labels. The centre loss takes a clip's strongest label as its class, and is left out where
            there is only one.

    Raises:
        WeightsError: The backbone's weights are nowhere to be found, damaged, or of another model.
    """

    def __init__(self, config: R2Plus1DConfig, outputs: int) -> None:
        channels = _CHANNELS[config.stages]
        entry = WEIGHTS[_WEIGHTS]
        assert entry.mean is not None
        assert entry.std is not None
        super().__init__(
            dimension=channels,
            frames=config.frames,
            side=config.input_size,
            mean=(entry.mean[0], entry.mean[1], entry.mean[2]),
            std=(entry.std[0], entry.std[1], entry.std[2]),
        )
        self.config = config
        self.backbone = _create_backbone(config)
        self.attention = _create_attention(config, channels) if config.attention else nn.Identity()
        moments = -(-config.frames // 2 ** (config.stages - 1))  # each stage but the first halves, rounding up
        side = -(-config.input_size // 2**config.stages)
        flattened = channels * moments * side * side
        self.classifier = nn.Linear(flattened if config.classifier == "flattened" else channels, outputs)
        self.centers: SparseCenters | None = None
        if config.center_weight and outputs > 1:
            context = flattened if config.context == "flattened" else channels
            self.centers = SparseCenters(channels, context, outputs, config)
        if config.freeze != "none":
            self.freeze("backbone" if config.freeze == "backbone" else "backbone.stem")

    def forward(self, pictures: Tensor) -> VideoOutput:
        """See :meth:`VideoModel.forward`; the part ``center_weights`` is (clips, dimension)."""
        features = pictures.transpose(1, 2)
        for block in self._blocks():
            features = run_block(block, features, recompute=self.config.checkpoint)
        attended: Tensor = self.attention(features)
        pooled, flattened = attended.mean(dim=(2, 3, 4)), attended.flatten(1)
        raw = self.classifier(flattened if self.config.classifier == "flattened" else pooled)
        if self.centers is None:
            return VideoOutput(raw, pooled)
        weights = self.centers(flattened if self.config.context == "flattened" else pooled)
        return VideoOutput(raw, pooled, {"center_weights": weights})

    def auxiliary_loss(self, output: VideoOutput, targets: Tensor) -> Tensor | None:
        """Return the sparse centre loss of the clips' strongest labels; see :meth:`VideoModel.auxiliary_loss`."""
        if self.centers is None:
            return None
        loss = self.centers.loss(output.embedding, output.parts["center_weights"], targets.argmax(dim=1))
        return self.config.center_weight * loss

    @property
    def published(self) -> PublishedCost:
        """See :meth:`VideoModel.published`."""
        return PublishedCost("Singh et al. 2023, table 2", macs=38.66, explanation=_EXPLANATIONS[self.config.stages])

    def _blocks(self) -> list[nn.Module]:
        """Return the backbone as pieces whose activations can be recomputed one at a time."""
        stem, *stages = self.backbone.children()
        return [stem, *(block for stage in stages for block in stage.children())]


def _create_backbone(config: R2Plus1DConfig) -> nn.Sequential:
    """Build torchvision's R(2+1)D-18 (Tran et al. 2018) up to the wanted stage, with its weights."""
    from torchvision.models.video import r2plus1d_18

    whole = r2plus1d_18(weights=None)
    whole.fc = nn.Identity()
    fill_backbone(whole, config.weights, name=_WEIGHTS, ignore=("fc.",))
    names = ["stem", *(f"layer{number + 1}" for number in range(config.stages))]
    return nn.Sequential(OrderedDict((name, whole.get_submodule(name)) for name in names))


def _create_attention(config: R2Plus1DConfig, channels: int) -> SpatioTemporalAttention:
    return SpatioTemporalAttention(
        channels,
        gamma=config.gamma,
        compression=config.compression,
        compress_values=config.compress_values,
        maps=config.attention_maps,
    )
