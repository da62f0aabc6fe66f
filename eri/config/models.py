"""The sections that describe heads, one a name in the registry of heads."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from eri.config.strict import Strict


class LSTMConfig(Strict):
    """The paper's single-modality head: an LSTM, a dense layer, one output a label."""

    name: Literal["lstm"] = "lstm"
    hidden_size: int = Field(512, ge=1)
    layers: int = Field(1, ge=1)
    dense: int = Field(128, ge=1, description="Width of the dense layer after the LSTM.")
    dropout: float = Field(0.5, ge=0, lt=1)


class BaselineLSTMConfig(Strict):
    """The organisers' baseline: linear projection, stacked LSTM, last hidden state, two linear layers."""

    name: Literal["baseline-lstm"] = "baseline-lstm"
    hidden_size: int = Field(64, ge=1)
    layers: int = Field(3, ge=1)
    rnn_dropout: float = Field(0.2, ge=0, lt=1)
    dropout: float = Field(0.5, ge=0, lt=1)


class FusionLSTMConfig(Strict):
    """The paper's multimodal head: two parallel LSTMs, a dense layer each, a joint layer."""

    name: Literal["fusion-lstm"] = "fusion-lstm"
    hidden_size: int = Field(512, ge=1)
    dense: int = Field(128, ge=1)
    joint: int = Field(128, ge=1)
    dropout: float = Field(0.5, ge=0, lt=1)


ModelConfig = Annotated[LSTMConfig | BaselineLSTMConfig | FusionLSTMConfig, Field(discriminator="name")]
