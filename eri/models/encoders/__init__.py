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


@singledispatch
def create_encoder(config: EncoderConfig, dimension: int) -> Encoder:
    """Build the encoder that a config names, for embeddings of a length.

    ``create_encoder.register(MyConfig, MyEncoder)`` adds one; PluginError where none is registered.
    """
    raise PluginError(f"{type(config).__name__}: no encoder is registered for it")


for recurrent in (LSTMConfig, GRUConfig, BiLSTMConfig):
    create_encoder.register(recurrent, RecurrentEncoder)
create_encoder.register(AttentionPoolingConfig, AttentionPoolingEncoder)
create_encoder.register(TCNConfig, TCNEncoder)
create_encoder.register(TransformerConfig, TransformerEncoder)
create_encoder.register(TCNTransformerConfig, TCNTransformerEncoder)
create_encoder.register(GRUTransformerConfig, GRUTransformerEncoder)
