"""The sections that describe models: heads, one a name in the registry of heads; boosted trees; video models."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal, get_args

from pydantic import Field

from eri.config.heads import (
    AttentionPoolingConfig,
    BiLSTMConfig,
    ConcatenationConfig,
    CrossAttentionConfig,
    GatedConfig,
    GRUConfig,
    GRUTransformerConfig,
    Head,
    LateConfig,
    LightGBMConfig,
    LSTMConfig,
    TCNConfig,
    TCNTransformerConfig,
    TransformerConfig,
)
from eri.config.video import VideoModelConfig


class BaselineLSTMConfig(Head):
    """The organisers' baseline: linear projection, stacked LSTM, last hidden state, two linear layers."""

    fuses: ClassVar[bool] = False
    name: Literal["baseline-lstm"] = "baseline-lstm"
    hidden_size: int = Field(64, ge=1)
    layers: int = Field(3, ge=1)
    rnn_dropout: float = Field(0.2, ge=0, lt=1)
    dropout: float = Field(0.5, ge=0, lt=1)


class FusionLSTMConfig(Head):
    """The paper's multimodal head: two parallel LSTMs, a dense layer each, a joint layer."""

    fuses: ClassVar[bool] = True
    name: Literal["fusion-lstm"] = "fusion-lstm"
    hidden_size: int = Field(512, ge=1)
    dense: int = Field(128, ge=1)
    joint: int = Field(128, ge=1)
    dropout: float = Field(0.5, ge=0, lt=1)


HeadConfig = (
    LSTMConfig
    | BaselineLSTMConfig
    | FusionLSTMConfig
    | GRUConfig
    | BiLSTMConfig
    | AttentionPoolingConfig
    | TCNConfig
    | TransformerConfig
    | TCNTransformerConfig
    | GRUTransformerConfig
    | ConcatenationConfig
    | GatedConfig
    | CrossAttentionConfig
    | LateConfig
)
"""A neural head, see :mod:`eri.models`."""

ModelConfig = Annotated[HeadConfig | LightGBMConfig | VideoModelConfig, Field(discriminator="name")]


def head_names(*, fuses: bool) -> list[str]:
    """Return the names of the heads that read several modalities, or of those that read one.

    Examples:
        >>> head_names(fuses=True)
        ['fusion-lstm', 'concatenation', 'gated', 'cross-attention', 'late']
    """
    return [str(head.model_fields["name"].default) for head in get_args(HeadConfig) if head.fuses == fuses]
