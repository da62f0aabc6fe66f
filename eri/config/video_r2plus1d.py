"""The section of ``r2plus1d-scl``: R(2+1)D, attention over space and time, a sparse centre loss (Singh et al. 2023).

What the paper leaves open is an option here; each default is what its authors most likely did.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from eri.config.video_base import BackboneFields


class CentersConfig(BackboneFields):
    """The sparse centre loss (equation 4), and its share of the joint loss (equation 6)."""

    center_weight: float = Field(
        1.0, ge=0, description="Of the centre loss beside the task's own (equation 6: 1); 0 leaves it out."
    )
    center_exponent: Literal[1, 2] = Field(
        2, description="Of the distance to the centre; equation 4 prints none, the loss it is taken from squares."
    )
    center_reduction: Literal["mean", "clip", "sum"] = Field(
        "mean",
        description="mean: over clips and dimensions; clip: summed over dimensions, averaged over clips; sum: as "
        "equation 4 prints it. With the weight of equation 6 the sums outweigh the cross-entropy a hundredfold.",
    )
    center_update: Literal["gradient", "running"] = Field(
        "gradient",
        description="gradient: centres are parameters that the optimiser moves; running: they follow the features "
        "of each batch without a gradient (Wen et al. 2016, equation 4).",
    )
    center_rate: float = Field(0.5, gt=0, le=1, description="How far running centres go in one step.")
    context: Literal["pooled", "flattened"] = Field(
        "pooled",
        description="What FC1 reads: averages of the channels, or all positions of them (100 million weights more).",
    )
    context_widths: tuple[Annotated[int, Field(ge=1)], ...] = Field(
        (512, 256, 64), min_length=1, description="Widths of FC1 to FC3, which the paper does not state."
    )


class R2Plus1DConfig(CentersConfig):
    """R(2+1)D-18, attention over space and time, and two heads."""

    name: Literal["r2plus1d-scl"] = "r2plus1d-scl"
    stages: Literal[3, 4] = Field(
        3,
        description="Residual stages of the backbone. Three give features of 256 channels, which the paper's 256 "
        "attention weights need, and come within 2 % of its 38.66 GMACs; all four give 512 channels and 40.6 GMACs.",
    )
    attention: bool = Field(True, description="False leaves the attention block out.")
    compression: int = Field(8, ge=1, description="Channels of a feature for each channel of keys and queries.")
    compress_values: bool = Field(
        False, description="Compress values as well, and bring the result back by one more 1 × 1 × 1 convolution."
    )
    attention_maps: Literal["each", "shared"] = Field(
        "each",
        description="each: every moment has a map over space, every place a map over time; shared: one map over space "
        "and one over time for the whole clip.",
    )
    gamma: float = Field(0.0, description="Start of the learnt factor of equation 3; 0 begins with the plain features.")
    classifier: Literal["flattened", "pooled"] = Field(
        "flattened", description="What the last layer reads: all positions, as the paper says, or channel averages."
    )
