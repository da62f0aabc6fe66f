"""Encoders: from the rows of one modality to encoded rows and one vector. Each is known by the name of its config."""

from __future__ import annotations

from eri.config import (
    AttentionPoolingConfig,
    BiLSTMConfig,
    EncoderConfig,
    GRUConfig,
    GRUTransformerConfig,
    LSTMConfig,
    TCNConfig,
    TCNTransformerConfig,
    TransformerConfig,
)
from eri.models.encoders.convolution import TCNEncoder
from eri.models.encoders.pooling import AttentionPoolingEncoder, Encoded, Encoder
from eri.models.encoders.recurrent import RecurrentEncoder
from eri.models.encoders.transformer import GRUTransformerEncoder, TCNTransformerEncoder, TransformerEncoder

__all__ = ["Encoded", "Encoder", "create_encoder"]


def create_encoder(config: EncoderConfig, dimension: int) -> Encoder:
    """Build the encoder that a config names.

    Args:
        config: Its name and sizes.
        dimension: Length of one embedding.
    """
    match config:
        case LSTMConfig() | GRUConfig() | BiLSTMConfig():
            return RecurrentEncoder(config, dimension)
        case AttentionPoolingConfig():
            return AttentionPoolingEncoder(config, dimension)
        case TCNConfig():
            return TCNEncoder(config, dimension)
        case TransformerConfig():
            return TransformerEncoder(config, dimension)
        case TCNTransformerConfig():
            return TCNTransformerEncoder(config, dimension)
        case GRUTransformerConfig():
            return GRUTransformerEncoder(config, dimension)
