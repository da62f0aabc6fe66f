"""The sections that describe fusion heads: each repeats one kind of encoder for every modality."""

from __future__ import annotations

from typing import ClassVar, Literal, Self

from pydantic import Field, model_validator

from eri.config.encoders import EncoderConfig, GRUConfig
from eri.config.finetuning import Head


class FusionBase(Head):
    """What every fusion has: the encoder of each modality, with the dense layer after it."""

    fuses: ClassVar[bool] = True
    name: str
    encoder: EncoderConfig = Field(default_factory=GRUConfig, description="Of every modality, with weights of its own.")

    @model_validator(mode="after")
    def _refuse_inner(self) -> Self:
        if self.encoder.finetune is not None:
            raise ValueError("finetune is of the whole model: put it beside encoder, not under it")
        return self


class ConcatenationConfig(FusionBase):
    """The modalities' vectors side by side, and a joint layer."""

    name: Literal["concatenation"] = "concatenation"
    joint: int = Field(128, ge=1, description="Width of the joint layer.")
    dropout: float = Field(0.3, ge=0, lt=1, description="After the joint layer.")


class GatedConfig(FusionBase):
    """The modalities' vectors added up, each unit by learnt shares (Arevalo et al. 2017, gated multimodal unit)."""

    name: Literal["gated"] = "gated"


class CrossAttentionConfig(FusionBase):
    """Each modality's vector attends to the rows of the others, then they are joined (after Tsai et al. 2019)."""

    name: Literal["cross-attention"] = "cross-attention"
    attention_heads: int = Field(4, ge=1)
    joint: int = Field(128, ge=1, description="Width of the joint layer.")
    dropout: float = Field(0.3, ge=0, lt=1, description="After the joint layer.")

    @model_validator(mode="after")
    def _agree(self) -> Self:
        if self.encoder.width % self.attention_heads:
            raise ValueError(
                f"rows of length {self.encoder.width} cannot be shared out to {self.attention_heads} attention heads; "
                "change attention_heads or encoder.hidden_size"
            )
        return self


class LateConfig(FusionBase):
    """The mean of one prediction a modality, over the modalities that a clip has."""

    name: Literal["late"] = "late"
