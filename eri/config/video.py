"""The sections that describe video models."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, field_validator

from eri.config.models import ModelConfig, model_section
from eri.config.sections import Misfits
from eri.config.training import TrainingConfig, VideoTraining


class VideoModelConfig(ModelConfig):
    """A network that reads the face crops of a clip themselves, trained end to end; see :mod:`eri.models.video`."""

    frames: int = Field(16, ge=1, description="Frames that it reads of one clip.")
    input_size: int = Field(112, ge=16, description="Side of a face crop in pixels.")
    seed: int | None = Field(None, ge=0, description="Seed of untrained weights; None goes on from training.seed.")
    checkpoint: bool = Field(False, description="Compute activations again for gradients: less memory, a third slower.")

    @property
    def training_section(self) -> type[TrainingConfig]:
        """The class of the section ``training``."""
        return VideoTraining


class BackboneFields(VideoModelConfig):
    """A video model around a published backbone."""

    weights: str = Field("pretrained", description="Weights of the backbone: 'pretrained', 'random', or a path.")
    freeze: Literal["none", "stem", "backbone"] = Field(
        "none", description="Layers that keep their weights; stem: the first."
    )


class C3DFields(VideoModelConfig):
    """What both share: the convolutions of C3D."""

    input_size: int = Field(224, ge=16, description="Side of a face crop in pixels; the network's own is 112.")
    weights: str = Field("random", description="'random', or a checkpoint's path (names conv1 to conv5b, fc6, fc7).")
    dropout: float = Field(0.5, ge=0, lt=1, description="Before the last layers.")

    @field_validator("weights")
    @classmethod
    def _given(cls, weights: str) -> str:
        if weights == "pretrained":
            raise ValueError("no weights of C3D are registered; give the path of a checkpoint, or 'random'")
        return weights


@model_section
class C3DConfig(C3DFields):
    """C3D (Tran et al. 2015): eight 3 × 3 × 3 convolutions, two dense layers, one output a label.

    Table 8 states no input; 35 frames of 224 × 224, what its own model reads of a video, give its 326.41 GMACs.
    """

    name: Literal["c3d"] = "c3d"
    frames: int = Field(35, ge=1, description="Frames that it reads of one clip; the network's own are 16.")
    dense: int = Field(4096, ge=1, description="Width of fc6 and fc7, as published; checkpoints have it too.")


@model_section
class C3DLSTMConfig(C3DFields):
    """C3D's convolutions, an LSTM over the moments that they leave, a dense layer, one output a label.

    Neither table 8 nor the paper that it cites (Parmar & Morris 2017) states the sizes that were used. These give its
    110.24 M parameters, and 282.26 GMACs to 0.2 %.
    """

    name: Literal["c3d-lstm"] = "c3d-lstm"
    frames: int = Field(30, ge=1, description="Frames that it reads of one clip.")
    hidden_size: int = Field(2000, ge=1, description="Units of the LSTM.")
    dense: int = Field(512, ge=1, description="Width of the dense layer after the LSTM.")


@model_section
class CEFLNetConfig(BackboneFields):
    """CEFLNet, all of whose parts can be switched off: the rows of the paper's table 6 are configs of this.

    ==================  ================  ==========  ======================  ===========
    row of table 6      `self_attention`  `relation`  `emotional_activation`  `recurrent`
    ==================  ================  ==========  ======================  ===========
    ResNet-18           false             false       false                   false
    CNN-LSTM            false             false       false                   true
    + SAL               true              false       false                   false
    + LRL               true              true        false                   false
    + EIAN              true              true        true                    false
    ==================  ================  ==========  ======================  ===========
    """

    name: Literal["ceflnet"] = "ceflnet"
    backbone: str = Field("resnet18", description="Backbone of the frames: a timm model with global pooling.")
    weights: str = Field(
        "pretrained",
        description="Of the backbone: 'pretrained' (ImageNet; the paper names no data), 'random', or a path.",
    )
    input_size: int = Field(224, ge=16, description="Side of a face crop in pixels.")
    frames: int = Field(35, ge=1, description="Frames read of one clip: as many of each piece, so 5 of each of 7.")
    sub_videos: int = Field(7, ge=1, description="Pieces that a video is cut into.")
    sub_video_frames: int = Field(15, ge=1, description="Consecutive frames of one piece, of which some are read.")
    overlap: int = Field(5, ge=0, description="Frames that a piece shares with the next.")
    starts: int = Field(30, ge=1, description="First frames, at one of which the first piece begins; else the middle.")
    self_attention: bool = Field(True, description="SAL, eq. 1: the frames of a piece attend to each other.")
    residual: bool = Field(False, description="Add SAL's input to its output, which the paper's figure does not do.")
    relation: bool = Field(True, description="LRL, eq. 2 and 3: frames are weighted by their relation to the piece.")
    piece_pooling: Literal["mean", "max"] = Field(
        "mean", description="The pooling over the frames of a piece in eq. 2, which the paper leaves open."
    )
    emotional_activation: bool = Field(True, description="EIAN, eq. 4 to 8: pieces are weighted by their intensity.")
    activation_channels: tuple[Annotated[int, Field(ge=1)], ...] = Field(
        (256, 256), description="Widths of EIAN's hidden convolutions over the pieces: chosen for 12.83 M parameters."
    )
    activation_kernel: int = Field(3, ge=1, description="Pieces that one convolution of EIAN sees; an odd number.")
    maps: Literal["shared", "label"] = Field(
        "shared", description="One activation map a video, as eq. 8 and 9 need, or one for each label, as eq. 5 has it."
    )
    recurrent: bool = Field(False, description="CNN-LSTM: an LSTM over all frames in place of SAL, LRL and EIAN.")
    hidden_size: int = Field(512, ge=1, description="Units of that LSTM.")
    dropout: float = Field(0.0, ge=0, lt=1, description="Before the last layer; the paper names none.")
    complement: float = Field(
        0.0, ge=0, description="Weight of eq. 11's second term, (1 - Y) log(1 - p): 1 is eq. 11, 0 the cross-entropy."
    )

    def _misfits(self) -> Misfits:
        frames, piece = self.frames, self.sub_video_frames
        stuck = self.overlap >= piece
        yield stuck, f"overlap {self.overlap} must be below sub_video_frames {piece}, or no piece moves on"
        uneven = frames % self.sub_videos
        yield uneven, f"frames {frames} cannot be shared out evenly to {self.sub_videos} sub_videos"
        wanted = self.sampled_frames
        yield wanted > piece, f"frames {frames} asks for {wanted} of each sub-video, but sub_video_frames is {piece}"
        even = self.activation_kernel % 2 == 0
        yield even, f"activation_kernel {self.activation_kernel} has no middle piece; use an odd one"
        yield (
            self.recurrent and (self.self_attention or self.relation or self.emotional_activation),
            "recurrent takes the place of self_attention, relation and emotional_activation; set those to false",
        )

    @property
    def sampled_frames(self) -> int:
        """Frames read of each piece: drawn in training, evenly spread in evaluation."""
        return self.frames // self.sub_videos

    @property
    def window(self) -> int:
        """Consecutive frames that the pieces cover together: 75 in the paper."""
        return (self.sub_videos - 1) * (self.sub_video_frames - self.overlap) + self.sub_video_frames


Nonlinearity = Literal["relu", "elu", "prelu", "leaky_relu", "mish"]


@model_section
class CNN3DConfig(VideoModelConfig):
    """The paper's network, with each searched part of its table 1 as a setting; the values are table 2's, for CK+.

    Two rows of table 1 belong to training: Lookahead, and weights of the classes in the loss.
    """

    name: Literal["cnn3d"] = "cnn3d"
    frames: int = Field(10, ge=8, description="The last frames of a clip; a shorter clip repeats its last one.")
    input_size: int = Field(112, ge=16, description="Side of the images in pixels.")
    pooling: Literal["average", "max"] = "average"
    nonlinearity: Nonlinearity = "relu"
    temporal_size: Literal[1, 3, 5, 7, 9] = Field(3, description="Frames that one convolution sees.")
    initializer: Literal["xavier_uniform", "xavier_normal"] = "xavier_uniform"
    second_convolution: bool = Field(False, description="Two convolutions in the first two groups too.")
    dropout: float = Field(0.2511, ge=0, le=1, description="After each dense layer but the last.")
    clahe: bool = Field(True, description="Equalise the luminance (clip limit 2, grid 8 × 8).")
    grey: bool = Field(True, description="Take the colour out: CK+ has sequences of both kinds.")
    normalize: bool = Field(False, description="Pixels on [-1, 1] in place of [0, 1].")
    filters: tuple[int, int, int, int, int] = Field((64, 128, 256, 512, 512), description="Of the five groups: C3D's.")
    dense: tuple[int, ...] = Field((4096, 4096), description="Widths of the dense layers: C3D's.")
    batch_norm_momentum: float = Field(0.1, gt=0, le=1)


class CentersConfig(BackboneFields):
    """The sparse centre loss (equation 4), and its share of the joint loss (equation 6)."""

    center_weight: float = Field(1.0, ge=0, description="Weight of the centre loss (equation 6: 1); 0 leaves it out.")
    center_exponent: Literal[1, 2] = Field(
        2, description="Exponent of the distance to the centre; equation 4 prints none, the original loss squares it."
    )
    center_reduction: Literal["mean", "clip", "sum"] = Field(
        "mean",
        description="mean: over clips and dimensions; clip: summed over dimensions, averaged over clips; sum: as "
        "equation 4 prints it. With the weight of equation 6 the sums outweigh the cross-entropy a hundredfold.",
    )
    center_update: Literal["gradient", "running"] = Field(
        "gradient",
        description="gradient: centres are parameters that the optimiser moves; running: they follow the features "
        "of each batch without a gradient (Wen et al. 2016, equation 4).",
    )
    center_rate: float = Field(0.5, gt=0, le=1, description="How far running centres go in one step.")
    context: Literal["pooled", "flattened"] = Field(
        "pooled", description="What FC1 reads: averages of the channels, or all positions (100 million weights more)."
    )
    context_widths: tuple[Annotated[int, Field(ge=1)], ...] = Field(
        (512, 256, 64), min_length=1, description="Widths of FC1 to FC3, which the paper does not state."
    )


@model_section
class R2Plus1DConfig(CentersConfig):
    """R(2+1)D-18, attention over space and time, and two heads."""

    name: Literal["r2plus1d-scl"] = "r2plus1d-scl"
    stages: Literal[3, 4] = Field(
        3,
        description="Residual stages of the backbone. Three give features of 256 channels, which the paper's 256 "
        "attention weights need, and come within 2 % of its 38.66 GMACs; all four give 512 channels and 40.6 GMACs.",
    )
    attention: bool = Field(True, description="False leaves the attention block out.")
    compression: int = Field(8, ge=1, description="Channels of a feature for each channel of keys and queries.")
    compress_values: bool = Field(False, description="Compress values too; a 1 × 1 × 1 convolution brings them back.")
    attention_maps: Literal["each", "shared"] = Field(
        "each",
        description="each: every moment has a map over space, every place one over time; shared: one each a clip.",
    )
    gamma: float = Field(0.0, description="Start of the learnt factor of equation 3; 0 begins with the plain features.")
    classifier: Literal["flattened", "pooled"] = Field(
        "flattened", description="What the last layer reads: all positions, as the paper says, or channel averages."
    )
