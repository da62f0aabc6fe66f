"""The section that says what training minimises: a weighted sum of losses."""

from __future__ import annotations

from typing import Self

from pydantic import Field, model_validator

from eri.config.strict import Strict


class LossConfig(Strict):
    """Weights of the losses; one that is 0 is left out."""

    mse: float = Field(1.0, ge=0, description="Mean squared error.")
    ccc: float = Field(0.0, ge=0, description="1 - Lin's concordance correlation, over the clips of one step.")
    pearson: float = Field(0.0, ge=0, description="1 - Pearson's correlation, over the clips of one step.")
    cross_entropy: float = Field(0.0, ge=0, description="Of the raw outputs, against each clip's strongest label.")

    @model_validator(mode="after")
    def _something(self) -> Self:
        if not any(dict(self).values()):
            raise ValueError("every weight is 0, so there is nothing to minimise; give one, such as mse: 1")
        return self

    @property
    def correlates(self) -> bool:
        """Whether a loss compares clips with each other, so that it needs many of them at once."""
        return self.ccc > 0 or self.pearson > 0
