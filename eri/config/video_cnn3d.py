"""The section that describes the searched 3D-CNN (Haddad, Lézoray & Hamel 2020)."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from eri.config.video_base import VideoModelFields

Nonlinearity = Literal["relu", "elu", "prelu", "leaky_relu", "mish"]


class CNN3DConfig(VideoModelFields):
    """The paper's network, with each searched part of its table 1 as a setting; the values are table 2's, for CK+.

    Two rows of table 1 belong to training rather than to the network: Lookahead, and weights of the classes in the
    loss.
    """

    name: Literal["cnn3d"] = "cnn3d"
    frames: int = Field(10, ge=8, description="The last frames of a clip; a shorter clip repeats its last one.")
    input_size: int = Field(112, ge=16, description="Side of the pictures in pixels.")
    pooling: Literal["average", "max"] = "average"
    nonlinearity: Nonlinearity = "relu"
    temporal_size: Literal[1, 3, 5, 7, 9] = Field(3, description="Frames that one convolution sees.")
    initializer: Literal["xavier_uniform", "xavier_normal"] = "xavier_uniform"
    second_convolution: bool = Field(False, description="Two convolutions in the first two groups too.")
    dropout: float = Field(0.2511, ge=0, le=1, description="After each dense layer but the last.")
    clahe: bool = Field(True, description="Equalise the luminance (clip limit 2, grid 8 × 8).")
    grey: bool = Field(True, description="Take the colour out: CK+ has sequences of both kinds.")
    normalize: bool = Field(False, description="Pixels on [-1, 1] in place of [0, 1].")
    filters: tuple[int, int, int, int, int] = Field(
        (64, 128, 256, 512, 512), description="Of the five groups: C3D's, on which the paper builds."
    )
    dense: tuple[int, ...] = Field((4096, 4096), description="Widths of the dense layers: C3D's.")
    batch_norm_momentum: float = Field(0.1, gt=0, le=1)
