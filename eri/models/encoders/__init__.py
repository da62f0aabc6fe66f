"""Encoders: from the rows of one modality to encoded rows and one vector. Each is known by the name of its config."""

from __future__ import annotations

from functools import singledispatch

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
from eri.utils.errors import PluginError

__all__ = ["Encoded", "Encoder", "create_encoder"]


def create_encoder(config: EncoderConfig, dimension: int) -> Encoder:
    """Build the encoder that a config names.

    Args:
        config: Its name and sizes.
        dimension: Length of one embedding.

    Raises:
        PluginError: No encoder is registered for the config.
    """
    return build_encoder(config, dimension)


@singledispatch
def build_encoder(config: EncoderConfig, dimension: int) -> Encoder:
    """Build an encoder; ``build_encoder.register(MyConfig, MyEncoder)`` adds one."""
    raise PluginError(f"{type(config).__name__}: no encoder is registered for it")


for recurrent in (LSTMConfig, GRUConfig, BiLSTMConfig):
    build_encoder.register(recurrent, RecurrentEncoder)
build_encoder.register(AttentionPoolingConfig, AttentionPoolingEncoder)
build_encoder.register(TCNConfig, TCNEncoder)
build_encoder.register(TransformerConfig, TransformerEncoder)
build_encoder.register(TCNTransformerConfig, TCNTransformerEncoder)
build_encoder.register(GRUTransformerConfig, GRUTransformerEncoder)
