"""The sections that describe models: encoders, heads and fusion over embeddings, boosted trees, video models."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Literal, get_args

from pydantic import BeforeValidator, Field, field_validator

from eri.config.sections import Misfits, Sections, Strict
from eri.config.training import EmbeddingTraining, HeadTraining, TrainingConfig, VideoTraining


class ModelConfig(Strict):
    """What the section of every model has: its name."""

    name: str

    @property
    def training_section(self) -> type[TrainingConfig]:
        """The class of the section ``training``: which settings there are for this model."""
        return TrainingConfig


MODELS: Sections[ModelConfig] = Sections("model", "name")
"""The sections of models by name: heads, encoders that are heads too, boosted trees, video models."""


class FinetuneConfig(Strict):
    """How the visual backbone is trained end to end with the head."""

    learning_rate: float = Field(1e-4, gt=0, description="Of the backbone; a new head's would undo trained weights.")
    freeze_norm: bool = Field(True, description="Keep the statistics of batch normalisation as the weights bring them.")
    checkpoint: bool = Field(False, description="Compute activations again on the way back: slower, far less memory.")
    pictures: int = Field(256, ge=1, description="Images that go through the backbone at once; it changes memory only.")


def _switch(value: Any) -> Any:
    return {True: {}, False: None}[value] if isinstance(value, bool) else value


Finetune = Annotated[FinetuneConfig | None, BeforeValidator(_switch)]
"""``true`` is the section with its usual values, ``false`` is none."""


class HeadConfig(ModelConfig):
    """What the section of every head has; ``fuses`` says whether it reads several modalities or one."""

    fuses: ClassVar[bool] = False
    finetune: Finetune = Field(None, description="Train the visual backbone too, from cached face crops; or true.")

    @property
    def training_section(self) -> type[TrainingConfig]:
        """The class of the section ``training``; a backbone that learns has no cached embeddings."""
        return EmbeddingTraining if self.finetune is None else HeadTraining


Pooling = Literal["last", "mean", "attention"]


class EncoderConfig(HeadConfig):
    """What every encoder has: the width of its rows, and the dense layer after it."""

    hidden_size: int = Field(256, ge=1, description="Length of one encoded row.")
    dense: int = Field(128, ge=1, description="Width of the dense layer after the encoder.")
    dropout: float = Field(0.3, ge=0, lt=1, description="Between layers and around the dense one.")

    @property
    def width(self) -> int:
        """Length of one encoded row, and of the vector that they are pooled to."""
        return self.hidden_size


@MODELS.section
class LSTMConfig(EncoderConfig):
    """The paper's single-modality head: an LSTM, a dense layer, one output a label."""

    name: Literal["lstm"] = "lstm"
    hidden_size: int = Field(512, ge=1)
    layers: int = Field(1, ge=1)
    dense: int = Field(128, ge=1, description="Width of the dense layer after the LSTM.")
    dropout: float = Field(0.5, ge=0, lt=1)


@MODELS.section
class BaselineLSTMConfig(HeadConfig):
    """The organisers' baseline: linear projection, stacked LSTM, last hidden state, two linear layers."""

    name: Literal["baseline-lstm"] = "baseline-lstm"
    hidden_size: int = Field(64, ge=1)
    layers: int = Field(3, ge=1)
    rnn_dropout: float = Field(0.2, ge=0, lt=1)
    dropout: float = Field(0.5, ge=0, lt=1)


@MODELS.section
class FusionLSTMConfig(HeadConfig):
    """The paper's multimodal head: two parallel LSTMs, a dense layer each, a joint layer."""

    fuses: ClassVar[bool] = True
    name: Literal["fusion-lstm"] = "fusion-lstm"
    hidden_size: int = Field(512, ge=1)
    dense: int = Field(128, ge=1)
    joint: int = Field(128, ge=1)
    dropout: float = Field(0.5, ge=0, lt=1)


@MODELS.section
class GRUConfig(EncoderConfig):
    """A stack of gated recurrent units (Cho et al. 2014)."""

    name: Literal["gru"] = "gru"
    layers: int = Field(1, ge=1)
    pooling: Pooling = "last"


@MODELS.section
class BiLSTMConfig(EncoderConfig):
    """A stack of LSTMs that read the rows forwards and backwards (Graves & Schmidhuber 2005)."""

    name: Literal["bilstm"] = "bilstm"
    hidden_size: int = Field(128, ge=1, description="Units of each direction; a row is twice as long.")
    layers: int = Field(1, ge=1)
    pooling: Pooling = Field("last", description="'last' takes the end of each direction.")

    @property
    def width(self) -> int:
        """Length of one encoded row: both directions."""
        return 2 * self.hidden_size


@MODELS.section
class AttentionPoolingConfig(EncoderConfig):
    """A weighted mean of projected rows, whose weights are learnt from each row alone: their order is not seen."""

    name: Literal["attention-pooling"] = "attention-pooling"


class ConvolutionFields(EncoderConfig):
    """What the encoders with dilated convolutions share."""

    levels: int = Field(4, ge=1, le=12, description="Residual blocks; the dilation doubles with each.")
    kernel_size: int = Field(3, ge=2, description="Rows that one convolution sees.")
    causal: bool = Field(False, description="True: a row sees only those before it.")

    def _misfits(self) -> Misfits:
        yield from super()._misfits()
        yield (
            not self.causal and self.kernel_size % 2 == 0,
            f"kernel_size {self.kernel_size} has no middle row; use an odd one, or causal: true, which needs none",
        )


class TransformerFields(EncoderConfig):
    """What the encoders with self-attention share."""

    layers: int = Field(2, ge=1)
    attention_heads: int = Field(4, ge=1)
    feedforward: int = Field(512, ge=1, description="Width of the layer inside each block.")
    shortest_period: float = Field(0.2, gt=0, description="Seconds of the fastest sinusoid of a row's time.")
    longest_period: float = Field(100.0, gt=0, description="Seconds of the slowest sinusoid of a row's time.")

    def _misfits(self) -> Misfits:
        yield from super()._misfits()
        yield (
            self.hidden_size % (2 * self.attention_heads),
            f"hidden_size {self.hidden_size} cannot be shared out to {self.attention_heads} attention heads of "
            f"even width; use a multiple of {2 * self.attention_heads}, or other attention_heads",
        )
        yield (
            self.shortest_period >= self.longest_period,
            f"shortest_period {self.shortest_period:g} s must be below longest_period {self.longest_period:g} s",
        )


@MODELS.section
class TCNConfig(ConvolutionFields):
    """A temporal convolutional network (Bai, Kolter & Koltun 2018)."""

    name: Literal["tcn"] = "tcn"
    pooling: Pooling = "mean"


@MODELS.section
class TransformerConfig(TransformerFields):
    """A Transformer whose learnable regression token is what is read out (Vaswani et al. 2017)."""

    name: Literal["transformer"] = "transformer"


@MODELS.section
class TCNTransformerConfig(ConvolutionFields, TransformerFields):
    """Dilated convolutions, then a Transformer with a regression token."""

    name: Literal["tcn-transformer"] = "tcn-transformer"


@MODELS.section
class GRUTransformerConfig(TransformerFields):
    """A stack of GRUs, then a Transformer with a regression token."""

    name: Literal["gru-transformer"] = "gru-transformer"
    gru_layers: int = Field(1, ge=1)


Encoder = Annotated[EncoderConfig, MODELS.one_of(EncoderConfig, lambda config: issubclass(config, EncoderConfig))]


class FusionBase(HeadConfig):
    """What every fusion has: the encoder of each modality, with the dense layer after it."""

    fuses: ClassVar[bool] = True
    encoder: Encoder = Field(default_factory=GRUConfig, description="Of every modality, each with weights of its own.")

    def _misfits(self) -> Misfits:
        inner = self.encoder.finetune is not None
        yield inner, "finetune concerns the whole model: put it beside encoder, not under it"


@MODELS.section
class ConcatenationConfig(FusionBase):
    """The modalities' vectors side by side, and a joint layer."""

    name: Literal["concatenation"] = "concatenation"
    joint: int = Field(128, ge=1, description="Width of the joint layer.")
    dropout: float = Field(0.3, ge=0, lt=1, description="After the joint layer.")


@MODELS.section
class GatedConfig(FusionBase):
    """The modalities' vectors added up, each unit by learnt shares (Arevalo et al. 2017, gated multimodal unit)."""

    name: Literal["gated"] = "gated"


@MODELS.section
class CrossAttentionConfig(FusionBase):
    """Each modality's vector attends to the rows of the others, then they are joined (after Tsai et al. 2019)."""

    name: Literal["cross-attention"] = "cross-attention"
    attention_heads: int = Field(4, ge=1)
    joint: int = Field(128, ge=1, description="Width of the joint layer.")
    dropout: float = Field(0.3, ge=0, lt=1, description="After the joint layer.")

    def _misfits(self) -> Misfits:
        yield from super()._misfits()
        yield (
            self.encoder.width % self.attention_heads,
            f"rows of length {self.encoder.width} cannot be shared out to {self.attention_heads} attention heads; "
            "change attention_heads or encoder.hidden_size",
        )


@MODELS.section
class LateConfig(FusionBase):
    """The mean of one prediction a modality, over the modalities that a clip has."""

    name: Literal["late"] = "late"


Functional = Literal["mean", "std", "p10", "p50", "p90", "slope", "range"]
FUNCTIONALS: tuple[Functional, ...] = get_args(Functional)
"""Every functional of a feature over a clip's valid rows; the slope is in units a second."""


@MODELS.section
class LightGBMConfig(ModelConfig):
    """Gradient-boosted trees (LightGBM), a booster a label, on functionals of the features of any modalities."""

    name: Literal["lightgbm"] = "lightgbm"
    functionals: tuple[Functional, ...] = Field(FUNCTIONALS, min_length=1, description="Of each feature over a clip.")
    rounds: int = Field(500, ge=1, description="Most trees of a booster.")
    patience: int | None = Field(50, ge=1, description="Trees without a smaller validation error; None: all rounds.")
    learning_rate: float = Field(0.05, gt=0, le=1)
    leaves: int = Field(15, ge=2, description="Most leaves of a tree.")
    leaf_clips: int = Field(10, ge=1, description="Fewest clips in a leaf.")
    feature_share: float = Field(0.3, gt=0, le=1, description="Share of the features that each tree may use.")
    clip_share: float = Field(0.8, gt=0, le=1, description="Share of the clips that each tree learns from.")
    l2: float = Field(1.0, ge=0, description="Penalty on the values of the leaves.")

    def _misfits(self) -> Misfits:
        duplicated = len(set(self.functionals)) != len(self.functionals)
        yield duplicated, "a functional is duplicated; name each once"


def head_names(*, fuses: bool) -> list[str]:
    """Return the names of the heads that read several modalities, or of those that read one."""
    return [name for name, model in MODELS.items() if issubclass(model, HeadConfig) and model.fuses == fuses]


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
    freeze: Literal["none", "stem", "backbone"] = Field("none", description="Not trained, such as the first layers.")


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


@MODELS.section
class C3DConfig(C3DFields):
    """C3D (Tran et al. 2015): eight 3 × 3 × 3 convolutions, two dense layers, one output a label.

    Table 8 states no input; 35 frames of 224 × 224, what its own model reads of a video, give its 326.41 GMACs.
    """

    name: Literal["c3d"] = "c3d"
    frames: int = Field(35, ge=1, description="Frames that it reads of one clip; the network's own are 16.")
    dense: int = Field(4096, ge=1, description="Width of fc6 and fc7, as published; checkpoints have it too.")


@MODELS.section
class C3DLSTMConfig(C3DFields):
    """C3D's convolutions, an LSTM over the moments that they leave, a dense layer, one output a label.

    Neither table 8 nor the paper that it cites (Parmar & Morris 2017) states the sizes that were used. These give its
    110.24 M parameters, and 282.26 GMACs to 0.2 %.
    """

    name: Literal["c3d-lstm"] = "c3d-lstm"
    frames: int = Field(30, ge=1, description="Frames that it reads of one clip.")
    hidden_size: int = Field(2000, ge=1, description="Units of the LSTM.")
    dense: int = Field(512, ge=1, description="Width of the dense layer after the LSTM.")


@MODELS.section
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
    weights: str = Field("pretrained", description="'pretrained' (ImageNet; the paper names none), 'random', a path.")
    input_size: int = Field(224, ge=16, description="Side of a face crop in pixels.")
    frames: int = Field(35, ge=1, description="Frames read of one clip: as many of each piece, so 5 of each of 7.")
    sub_videos: int = Field(7, ge=1, description="Pieces that a video is cut into.")
    sub_video_frames: int = Field(15, ge=1, description="Consecutive frames of one piece, of which some are read.")
    overlap: int = Field(5, ge=0, description="Frames that a piece shares with the next.")
    starts: int = Field(30, ge=1, description="First frames, at one of which the first piece begins; else the middle.")
    self_attention: bool = Field(True, description="SAL, eq. 1: the frames of a piece attend to each other.")
    residual: bool = Field(False, description="Add SAL's input to its output, which the paper's figure does not do.")
    relation: bool = Field(True, description="LRL, eq. 2 and 3: frames are weighted by their relation to the piece.")
    piece_pooling: Literal["mean", "max"] = Field("mean", description="Over a piece's frames; eq. 2 leaves it open.")
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
    complement: float = Field(0.0, ge=0, description="Weight of (1 - Y) log(1 - p): 1 is eq. 11, 0 the cross-entropy.")

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


@MODELS.section
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
    center_exponent: Literal[1, 2] = Field(2, description="Of the distance; eq. 4 has none, the original squares it.")
    center_reduction: Literal["mean", "clip", "sum"] = Field(
        "mean",
        description="mean: over clips and dimensions; clip: summed over dimensions, averaged over clips; sum: as "
        "equation 4 prints it. With the weight of equation 6 the sums outweigh the cross-entropy a hundredfold.",
    )
    center_update: Literal["gradient", "running"] = Field(
        "gradient",
        description="gradient: the optimiser moves centres; running: they follow each batch (Wen et al., eq. 4).",
    )
    center_rate: float = Field(0.5, gt=0, le=1, description="How far running centres go in one step.")
    context: Literal["pooled", "flattened"] = Field(
        "pooled", description="What FC1 reads: averages of the channels, or all positions (100 million weights more)."
    )
    context_widths: tuple[Annotated[int, Field(ge=1)], ...] = Field(
        (512, 256, 64), min_length=1, description="Widths of FC1 to FC3, which the paper does not state."
    )


@MODELS.section
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
