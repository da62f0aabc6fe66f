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

from eri.config.models import CentersConfig, R2Plus1DConfig
from eri.models.video.base import PublishedCost, VideoModel, VideoOutput, fill_backbone, run_block
from eri.weights import WEIGHTS

_CHANNELS = {3: 256, 4: 512}
_WEIGHTS = "r2plus1d-18"
_EXPLANATIONS = {
    3: "the backbone ends after its third stage: all four need 40.52 GMACs, more than published, and have 512 channels "
    "where the paper weights 256; the rest is what the counter of such papers adds for normalisations and ReLUs, "
    "0.19 GMACs, and layers whose widths are not stated",
    4: "the whole backbone alone needs 40.52 GMACs, more than published; stages: 3 ends it where it has the 256 "
    "channels that the paper weights, and needs 38.01",
}


class AxisAttention(nn.Module):
    """``V softmax(Q K^T)`` over one axis, with keys, queries and values from 1 × 1 × 1 convolutions (eq. 1 or 2).

    The softmax runs over the positions that are attended to: the places of a map (``space``) or its moments
    (``time``). Similarities are not scaled, as printed. With ``compress_values`` values are as narrow as keys, and a
    convolution brings the result back; ``shared`` attention maps sum the similarities over the other axis.
    """

    def __init__(self, channels: int, axis: Literal["space", "time"], config: R2Plus1DConfig) -> None:
        super().__init__()
        narrow = max(1, channels // config.compression)
        self.axis, self.shared = axis, config.attention_maps == "shared"
        self.query = nn.Conv3d(channels, narrow, 1)
        self.key = nn.Conv3d(channels, narrow, 1)
        self.value = nn.Conv3d(channels, narrow if config.compress_values else channels, 1)
        self.output = nn.Conv3d(narrow, channels, 1) if config.compress_values else nn.Identity()

    def forward(self, features: Tensor) -> Tensor:
        """Map features (clips, channels, moments, height, width) to the same shape."""
        query, key, value = (self._arrange(net(features)) for net in (self.query, self.key, self.value))
        attended = torch.softmax(query @ key.transpose(2, 3), dim=3) @ value
        clips, _, moments, height, width = features.shape
        if self.shared:
            groups = moments if self.axis == "space" else height * width
            attended = attended.view(clips, attended.shape[2], groups, -1).transpose(1, 2)
        back = attended.permute(0, 3, 1, 2) if self.axis == "space" else attended.permute(0, 3, 2, 1)
        result: Tensor = self.output(back.reshape(clips, -1, moments, height, width))
        return result

    def _arrange(self, values: Tensor) -> Tensor:
        """Return (clips, maps, positions, channels); of a shared map, the other axis counts as channels."""
        arranged = values.flatten(3).permute((0, 2, 3, 1) if self.axis == "space" else (0, 3, 2, 1))
        return arranged.transpose(1, 2).flatten(2)[:, None] if self.shared else arranged


class SpatioTemporalAttention(nn.Module):
    """``p = f + gamma (s(f) + d(f))`` (equation 3): features, and what attention over space and over time adds."""

    def __init__(self, channels: int, config: R2Plus1DConfig) -> None:
        super().__init__()
        self.space = AxisAttention(channels, "space", config)
        self.time = AxisAttention(channels, "time", config)
        self.gamma = nn.Parameter(torch.tensor(config.gamma))

    def forward(self, features: Tensor) -> Tensor:
        """Map features (clips, channels, moments, height, width) to the same shape."""
        result: Tensor = features + self.gamma * (self.space(features) + self.time(features))
        return result


class SparseCenters(nn.Module):
    """A centre for each class, and the weights of a clip's dimensions in its distance to them.

    ``context`` is the length of what the weights are made from. Centres start at zero, so that no class is set apart by
    chance.
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
        """Return the weight of each dimension, (clips, dimension) in (0, 1): the second share of a softmax over two."""
        pairs: Tensor = self.attention(context)
        return torch.softmax(pairs.view(len(pairs), 2, -1), dim=1)[:, 1]

    def loss(self, features: Tensor, weights: Tensor, classes: Tensor) -> Tensor:
        """Return the weighted distance of features to their centres, not yet multiplied by ``center_weight``.

        ``sum_n sum_d w |f - c|^q``; halved for q = 2, as centre losses are (Wen et al. 2016, equation 2). Features and
        their weights are (clips, dimension), classes int64 (clips,). While training, running centres move afterwards.
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


class R2Plus1DModel(VideoModel):
    """The network of the paper's figure 2.

    The centre loss takes a clip's strongest label as its class, and is left out where there is only one.
    """

    def __init__(self, config: R2Plus1DConfig, outputs: int) -> None:
        channels = _CHANNELS[config.stages]
        entry = WEIGHTS[_WEIGHTS]
        assert entry.mean is not None
        assert entry.std is not None
        super().__init__(
            dimension=channels, frames=config.frames, side=config.input_size, mean=entry.mean, std=entry.std
        )
        self.config = config
        self.published = PublishedCost(
            "Singh et al. 2023, table 2", macs=38.66, explanation=_EXPLANATIONS[config.stages]
        )
        self.backbone = _create_backbone(config)
        self.attention = SpatioTemporalAttention(channels, config) if config.attention else nn.Identity()
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

    def forward(self, frames: Tensor) -> VideoOutput:
        """See :meth:`VideoModel.forward`; the part ``center_weights`` is (clips, dimension)."""
        features = frames.transpose(1, 2)
        stem, *stages = self.backbone.children()
        for block in (stem, *(block for stage in stages for block in stage.children())):
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


def _create_backbone(config: R2Plus1DConfig) -> nn.Sequential:
    """Build torchvision's R(2+1)D-18 (Tran et al. 2018) up to the wanted stage, with its weights."""
    from torchvision.models.video import r2plus1d_18

    whole = r2plus1d_18(weights=None)
    whole.fc = nn.Identity()
    fill_backbone(whole, config.weights, name=_WEIGHTS, ignore=("fc.",))
    names = ["stem", *(f"layer{number + 1}" for number in range(config.stages))]
    return nn.Sequential(OrderedDict((name, whole.get_submodule(name)) for name in names))
