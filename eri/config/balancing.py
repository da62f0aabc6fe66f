"""The section that says how many changed copies of a train clip each class gets, so that classes come out alike."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import Field, model_validator

from eri.config.strict import Strict


class Copies(Strict):
    """Changed copies of one clip, beside the clip itself."""

    flip: int = Field(0, ge=0, le=1, description="Mirrored left to right.")
    rotation: int = Field(0, ge=0, description="Turned, each by an angle of its own.")
    contrast: int = Field(0, ge=0, description="With another contrast, each with a factor of its own.")

    @property
    def total(self) -> int:
        """Clips that one becomes, itself counted."""
        return 1 + self.flip + self.rotation + self.contrast


class BalancingConfig(Strict):
    """Copies by class (Haddad et al. 2020, sections 3.2 and 4.1), the same in every epoch.

    For CK+ the paper gives contempt 1 flip, 7 rotations and 4 contrasts, and surprise 1, 1 and 0; for Oulu-CASIA every
    class 1, 5 and 2.
    """

    copies: dict[str, Copies] | Literal["even"] = Field(
        "even", description="By class; 'even' finds counts that bring every class near the largest."
    )
    others: Copies = Field(Copies(), description="Of classes that copies does not name.")
    base: int = Field(3, ge=1, description="With 'even': clips that one of the largest class becomes; CK+'s is 3.")
    rotation: float = Field(30.0, ge=0, le=180, description="Largest angle either way, in degrees.")
    contrast: tuple[float, float] = Field((0.22, 2.2), description="Least and largest factor around 127.")

    @model_validator(mode="after")
    def _agree(self) -> Self:
        low, high = self.contrast
        if not 0 <= low <= high:
            raise ValueError(f"contrast is from a smaller to a larger factor, not from {low:g} to {high:g}")
        return self
