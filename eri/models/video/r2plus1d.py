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

from torch import Tensor, nn

from eri.config.video_r2plus1d import R2Plus1DConfig
from eri.models.video.attention import SpatioTemporalAttention
from eri.models.video.base import PublishedCost, VideoModel, VideoOutput
from eri.models.video.centers import SparseCenters
from eri.models.video.parts import fill_backbone, run_block
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
