"""The sections of ``c3d`` and ``c3d-lstm``, which Liu et al. (2022, table 8) compare with."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, field_validator

from eri.config.video_base import VideoModelFields


class C3DFields(VideoModelFields):
    """What both share: the convolutions of C3D."""

    input_size: int = Field(224, ge=16, description="Side of a face crop in pixels; the network's own is 112.")
    weights: str = Field(
        "random",
        description="'random', or the path of a checkpoint with the usual names (conv1 to conv5b, fc6, fc7).",
    )
    dropout: float = Field(0.5, ge=0, lt=1, description="Before the last layers.")

    @field_validator("weights")
    @classmethod
    def _given(cls, weights: str) -> str:
        if weights == "pretrained":
            raise ValueError("no weights of C3D are registered; give the path of a checkpoint, or 'random'")
        return weights


class C3DConfig(C3DFields):
    """C3D (Tran et al. 2015): eight 3 × 3 × 3 convolutions, two dense layers, one output a label.

    Table 8 states no input; 35 frames of 224 × 224, what its own model reads of a video, give its 326.41 GMACs.
    """

    name: Literal["c3d"] = "c3d"
    frames: int = Field(35, ge=1, description="Frames that it reads of one clip; the network's own are 16.")
    dense: int = Field(4096, ge=1, description="Width of fc6 and fc7, as published; checkpoints have it too.")


class C3DLSTMConfig(C3DFields):
    """C3D's convolutions, an LSTM over the moments that they leave, a dense layer, one output a label.

    Neither table 8 nor the paper that it cites (Parmar & Morris 2017) states the sizes that were used. These give its
    110.24 M parameters, and 282.26 GMACs to 0.2 %.
    """

    name: Literal["c3d-lstm"] = "c3d-lstm"
    frames: int = Field(30, ge=1, description="Frames that it reads of one clip.")
    hidden_size: int = Field(2000, ge=1, description="Units of the LSTM.")
    dense: int = Field(512, ge=1, description="Width of the dense layer after the LSTM.")
