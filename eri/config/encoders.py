"""The sections that describe encoders: how the rows of one modality become one vector.

Each is a head of its own for one modality (``model.name: gru``), and the part that a fusion head repeats for every
modality (``model.encoder.name: gru``).
"""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal, Self

from pydantic import Field, model_validator

from eri.config.finetuning import Head

Pooling = Literal["last", "mean", "attention"]


class EncoderBase(Head):
    """What every encoder has: the width of its rows, and the dense layer after it."""

    fuses: ClassVar[bool] = False
    name: str
    hidden_size: int = Field(256, ge=1, description="Length of one encoded row.")
    dense: int = Field(128, ge=1, description="Width of the dense layer after the encoder.")
    dropout: float = Field(0.3, ge=0, lt=1, description="Between layers and around the dense one.")

    @property
    def width(self) -> int:
        """Length of one encoded row, and of the vector that they are pooled to."""
        return self.hidden_size


class LSTMConfig(EncoderBase):
    """The paper's single-modality head: an LSTM, a dense layer, one output a label."""

    name: Literal["lstm"] = "lstm"
    hidden_size: int = Field(512, ge=1)
    layers: int = Field(1, ge=1)
    dense: int = Field(128, ge=1, description="Width of the dense layer after the LSTM.")
    dropout: float = Field(0.5, ge=0, lt=1)


class GRUConfig(EncoderBase):
    """A stack of gated recurrent units (Cho et al. 2014)."""

    name: Literal["gru"] = "gru"
    layers: int = Field(1, ge=1)
    pooling: Pooling = "last"


class BiLSTMConfig(EncoderBase):
    """A stack of LSTMs that read the rows forwards and backwards (Graves & Schmidhuber 2005)."""

    name: Literal["bilstm"] = "bilstm"
    hidden_size: int = Field(128, ge=1, description="Units of each direction; a row is twice as long.")
    layers: int = Field(1, ge=1)
    pooling: Pooling = Field("last", description="'last' takes the end of each direction.")

    @property
    def width(self) -> int:
        """Length of one encoded row: both directions."""
        return 2 * self.hidden_size


class AttentionPoolingConfig(EncoderBase):
    """A weighted mean of projected rows, whose weights are learnt from each row alone: their order is not seen."""

    name: Literal["attention-pooling"] = "attention-pooling"


class ConvolutionFields(EncoderBase):
    """What the encoders with dilated convolutions share."""

    levels: int = Field(4, ge=1, le=12, description="Residual blocks; the dilation doubles with each.")
    kernel_size: int = Field(3, ge=2, description="Rows that one convolution sees.")
    causal: bool = Field(False, description="True: a row sees only those before it.")

    @model_validator(mode="after")
    def _centred(self) -> Self:
        if not self.causal and self.kernel_size % 2 == 0:
            raise ValueError(
                f"kernel_size {self.kernel_size} has no middle row; use an odd one, or causal: true, which needs none"
            )
        return self


class TransformerFields(EncoderBase):
    """What the encoders with self-attention share."""

    layers: int = Field(2, ge=1)
    attention_heads: int = Field(4, ge=1)
    feedforward: int = Field(512, ge=1, description="Width of the layer inside each block.")
    shortest_period: float = Field(0.2, gt=0, description="Seconds of the fastest sinusoid of a row's time.")
    longest_period: float = Field(100.0, gt=0, description="Seconds of the slowest sinusoid of a row's time.")

    @model_validator(mode="after")
    def _agree(self) -> Self:
        if self.hidden_size % (2 * self.attention_heads):
            raise ValueError(
                f"hidden_size {self.hidden_size} cannot be shared out to {self.attention_heads} attention heads of "
                f"even width; use a multiple of {2 * self.attention_heads}, or other attention_heads"
            )
        if self.shortest_period >= self.longest_period:
            raise ValueError(
                f"shortest_period {self.shortest_period:g} s must be below longest_period {self.longest_period:g} s"
            )
        return self


class TCNConfig(ConvolutionFields):
    """A temporal convolutional network (Bai, Kolter & Koltun 2018)."""

    name: Literal["tcn"] = "tcn"
    pooling: Pooling = "mean"


class TransformerConfig(TransformerFields):
    """A Transformer whose learnable regression token is what is read out (Vaswani et al. 2017)."""

    name: Literal["transformer"] = "transformer"


class TCNTransformerConfig(ConvolutionFields, TransformerFields):
    """Dilated convolutions, then a Transformer with a regression token."""

    name: Literal["tcn-transformer"] = "tcn-transformer"


class GRUTransformerConfig(TransformerFields):
    """A stack of GRUs, then a Transformer with a regression token."""

    name: Literal["gru-transformer"] = "gru-transformer"
    gru_layers: int = Field(1, ge=1)


EncoderConfig = Annotated[
    LSTMConfig
    | GRUConfig
    | BiLSTMConfig
    | AttentionPoolingConfig
    | TCNConfig
    | TransformerConfig
    | TCNTransformerConfig
    | GRUTransformerConfig,
    Field(discriminator="name"),
]
