"""The section that says what training minimises: a weighted sum of losses."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from eri.config.strict import Strict
from eri.tasks import TaskKind

ClassWeights = Literal["none", "balanced"] | dict[str, Annotated[float, Field(gt=0)]]


class LossConfig(Strict):
    """Weights of the losses; one that is 0 is left out."""

    mse: float | None = Field(
        None,
        ge=0,
        description="Mean squared error. None is 1 for intensities; for classes it is 0, with cross_entropy 1 unless "
        "that is given.",
    )
    ccc: float = Field(0.0, ge=0, description="1 - Lin's concordance correlation, over the clips of one step.")
    pearson: float = Field(0.0, ge=0, description="1 - Pearson's correlation, over the clips of one step.")
    cross_entropy: float = Field(
        0.0, ge=0, description="Of the raw outputs, against each clip's class, or its strongest label."
    )
    class_weights: ClassWeights = Field(
        "none",
        description="How much a clip counts in the cross-entropy by its class. balanced: the clips of every class "
        "together as much; or {class: weight}, where a class that is not named has 1.",
    )
    label_smoothing: float = Field(
        0.0, ge=0, lt=1, description="Share of the cross-entropy's target that is spread evenly over all classes."
    )

    @model_validator(mode="after")
    def _something(self) -> Self:
        if self.mse == 0 and not (self.ccc or self.pearson or self.cross_entropy):
            raise ValueError("every weight is 0, so there is nothing to minimise; give one, such as mse: 1")
        return self

    def resolved(self, kind: TaskKind) -> LossConfig:
        """Return the section with what a kind of task minimises where nothing else is asked for.

        Examples:
            >>> LossConfig().resolved("regression").mse, LossConfig().resolved("classification").cross_entropy
            (1.0, 1.0)
            >>> LossConfig(mse=0.5).resolved("classification").cross_entropy
            0.0
        """
        if self.mse is not None:
            return self
        if kind == "regression":
            return self.model_copy(update={"mse": 1.0})
        return self.model_copy(update={"mse": 0.0, "cross_entropy": self.cross_entropy or 1.0})

    @property
    def correlates(self) -> bool:
        """Whether a loss compares clips with each other, so that it needs many of them at once."""
        return self.ccc > 0 or self.pearson > 0
