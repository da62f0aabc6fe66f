"""The heads: from sequences of embeddings to one raw output a label. Each is known by the name of its config."""

from __future__ import annotations

from collections.abc import Mapping

from eri.config import (
    BaselineLSTMConfig,
    ConcatenationConfig,
    CrossAttentionConfig,
    FusionLSTMConfig,
    GatedConfig,
    HeadConfig,
    LateConfig,
    LSTMConfig,
)
from eri.models.heads.encoded import EncoderHead, Head
from eri.models.heads.fusion import ConcatenationHead, CrossAttentionHead, GatedHead, LateHead
from eri.models.heads.lstm import BaselineLSTMHead, FusionLSTMHead, LSTMHead

__all__ = ["Head", "create_head"]


def create_head(config: HeadConfig, dimensions: Mapping[str, int], labels: int) -> Head:
    """Build the head that a config names.

    Args:
        config: Its name and sizes.
        dimensions: Length of one embedding by modality.
        labels: Number of outputs.

    Raises:
        ValueError: A head of one modality is given several.
    """
    match config:
        case LSTMConfig():
            return LSTMHead(config, dimensions, labels)
        case BaselineLSTMConfig():
            return BaselineLSTMHead(config, dimensions, labels)
        case FusionLSTMConfig():
            return FusionLSTMHead(config, dimensions, labels)
        case ConcatenationConfig():
            return ConcatenationHead(config, dimensions, labels)
        case GatedConfig():
            return GatedHead(config, dimensions, labels)
        case CrossAttentionConfig():
            return CrossAttentionHead(config, dimensions, labels)
        case LateConfig():
            return LateHead(config, dimensions, labels)
        case _:  # every other config is that of an encoder
            return EncoderHead(config, dimensions, labels)
