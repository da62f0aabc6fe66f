"""The sections that describe models over embeddings: encoders, heads, fusion, boosted trees."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Literal, get_args

from pydantic import BeforeValidator, Field

from eri.config.sections import Misfits, Sections, Strict
from eri.config.training import EmbeddingTraining, HeadTraining, TrainingConfig


class ModelConfig(Strict):
    """What the section of every model has: its name."""

    name: str

    @property
    def training_section(self) -> type[TrainingConfig]:
        """The class of the section ``training``: which settings there are for this model."""
        return TrainingConfig


MODELS: Sections[ModelConfig] = Sections("model", "name")
"""The sections of models by name: heads, encoders that are heads too, boosted trees, video models."""

model_section = MODELS.section


class FinetuneConfig(Strict):
    """How the visual backbone is trained end to end with the head."""

    learning_rate: float = Field(
        1e-4,
        gt=0,
        description="That of the backbone; at the rate of a new head, trained weights would be lost at once.",
    )
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


@model_section
class LSTMConfig(EncoderConfig):
    """The paper's single-modality head: an LSTM, a dense layer, one output a label."""

    name: Literal["lstm"] = "lstm"
    hidden_size: int = Field(512, ge=1)
    layers: int = Field(1, ge=1)
    dense: int = Field(128, ge=1, description="Width of the dense layer after the LSTM.")
    dropout: float = Field(0.5, ge=0, lt=1)


@model_section
class BaselineLSTMConfig(HeadConfig):
    """The organisers' baseline: linear projection, stacked LSTM, last hidden state, two linear layers."""

    name: Literal["baseline-lstm"] = "baseline-lstm"
    hidden_size: int = Field(64, ge=1)
    layers: int = Field(3, ge=1)
    rnn_dropout: float = Field(0.2, ge=0, lt=1)
    dropout: float = Field(0.5, ge=0, lt=1)


@model_section
class FusionLSTMConfig(HeadConfig):
    """The paper's multimodal head: two parallel LSTMs, a dense layer each, a joint layer."""

    fuses: ClassVar[bool] = True
    name: Literal["fusion-lstm"] = "fusion-lstm"
    hidden_size: int = Field(512, ge=1)
    dense: int = Field(128, ge=1)
    joint: int = Field(128, ge=1)
    dropout: float = Field(0.5, ge=0, lt=1)


@model_section
class GRUConfig(EncoderConfig):
    """A stack of gated recurrent units (Cho et al. 2014)."""

    name: Literal["gru"] = "gru"
    layers: int = Field(1, ge=1)
    pooling: Pooling = "last"


@model_section
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


@model_section
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


@model_section
class TCNConfig(ConvolutionFields):
    """A temporal convolutional network (Bai, Kolter & Koltun 2018)."""

    name: Literal["tcn"] = "tcn"
    pooling: Pooling = "mean"


@model_section
class TransformerConfig(TransformerFields):
    """A Transformer whose learnable regression token is what is read out (Vaswani et al. 2017)."""

    name: Literal["transformer"] = "transformer"


@model_section
class TCNTransformerConfig(ConvolutionFields, TransformerFields):
    """Dilated convolutions, then a Transformer with a regression token."""

    name: Literal["tcn-transformer"] = "tcn-transformer"


@model_section
class GRUTransformerConfig(TransformerFields):
    """A stack of GRUs, then a Transformer with a regression token."""

    name: Literal["gru-transformer"] = "gru-transformer"
    gru_layers: int = Field(1, ge=1)


Encoder = Annotated[EncoderConfig, MODELS.one_of(EncoderConfig, lambda config: issubclass(config, EncoderConfig))]


class FusionBase(HeadConfig):
    """What every fusion has: the encoder of each modality, with the dense layer after it."""

    fuses: ClassVar[bool] = True
    encoder: Encoder = Field(
        default_factory=GRUConfig, description="Encoder of every modality, each with weights of its own."
    )

    def _misfits(self) -> Misfits:
        inner = self.encoder.finetune is not None
        yield inner, "finetune concerns the whole model: put it beside encoder, not under it"


@model_section
class ConcatenationConfig(FusionBase):
    """The modalities' vectors side by side, and a joint layer."""

    name: Literal["concatenation"] = "concatenation"
    joint: int = Field(128, ge=1, description="Width of the joint layer.")
    dropout: float = Field(0.3, ge=0, lt=1, description="After the joint layer.")


@model_section
class GatedConfig(FusionBase):
    """The modalities' vectors added up, each unit by learnt shares (Arevalo et al. 2017, gated multimodal unit)."""

    name: Literal["gated"] = "gated"


@model_section
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


@model_section
class LateConfig(FusionBase):
    """The mean of one prediction a modality, over the modalities that a clip has."""

    name: Literal["late"] = "late"


Functional = Literal["mean", "std", "p10", "p50", "p90", "slope", "range"]
FUNCTIONALS: tuple[Functional, ...] = get_args(Functional)
"""Every functional of a feature over a clip's valid rows; the slope is in units a second."""


@model_section
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
    """Return the names of the heads that read several modalities, or of those that read one.

    Examples:
        >>> head_names(fuses=True)
        ['fusion-lstm', 'concatenation', 'gated', 'cross-attention', 'late']
    """
    return [name for name, model in MODELS.items() if issubclass(model, HeadConfig) and model.fuses == fuses]
