"""The section that says how training changes its clips anew in every epoch, all frames of a clip alike."""

from __future__ import annotations

from typing import Self

from pydantic import Field, model_validator

from eri.config.strict import Strict


class ClipAugmentationConfig(Strict):
    """Ranges that one change a clip is drawn from; what is left out stays as it is."""

    flip: float = Field(0.0, ge=0, le=1, description="Chance of a mirrored clip.")
    crop: float = Field(1.0, gt=0, le=1, description="Least share of the side that is kept, and enlarged to the whole.")
    shift: float = Field(0.0, ge=0, le=0.5, description="Farthest way along each side, as a share of it.")
    rotation: float = Field(0.0, ge=0, le=180, description="Largest angle either way, in degrees.")
    brightness: tuple[float, float] = Field((1.0, 1.0), description="Least and largest factor of all values.")
    contrast: tuple[float, float] = Field((1.0, 1.0), description="Least and largest α of 127 + α (v - 127).")

    @model_validator(mode="after")
    def _agree(self) -> Self:
        for name in ("brightness", "contrast"):
            low, high = getattr(self, name)
            if not 0 <= low <= high:
                raise ValueError(f"{name} is from a smaller to a larger factor, not from {low:g} to {high:g}")
        return self

    @property
    def active(self) -> bool:
        """Whether anything is ever changed."""
        return self != ClipAugmentationConfig()
