"""The section of boosted trees on functionals of cached features."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, field_validator

from eri.config.strict import Strict

Functional = Literal["mean", "std", "p10", "p50", "p90", "slope", "range"]
FUNCTIONALS: tuple[Functional, ...] = ("mean", "std", "p10", "p50", "p90", "slope", "range")
"""Every functional of a feature over a clip's valid rows; the slope is in units a second."""


class LightGBMConfig(Strict):
    """Gradient-boosted trees (LightGBM), a booster a label, on functionals of the features of any modalities.

    Of the section ``training`` they read ``seed`` and ``shuffle_labels`` only.
    """

    name: Literal["lightgbm"] = "lightgbm"
    functionals: tuple[Functional, ...] = Field(FUNCTIONALS, min_length=1, description="Of each feature, over a clip.")
    rounds: int = Field(500, ge=1, description="Most trees of a booster.")
    patience: int | None = Field(
        50, ge=1, description="Trees without a smaller validation error before a booster stops; None keeps all rounds."
    )
    learning_rate: float = Field(0.05, gt=0, le=1)
    leaves: int = Field(15, ge=2, description="Most leaves of a tree.")
    leaf_clips: int = Field(10, ge=1, description="Fewest clips in a leaf.")
    feature_share: float = Field(0.3, gt=0, le=1, description="Share of the features that each tree may use.")
    clip_share: float = Field(0.8, gt=0, le=1, description="Share of the clips that each tree learns from.")
    l2: float = Field(1.0, ge=0, description="Penalty on the values of the leaves.")

    @field_validator("functionals")
    @classmethod
    def _each_once(cls, functionals: tuple[Functional, ...]) -> tuple[Functional, ...]:
        if len(set(functionals)) != len(functionals):
            raise ValueError("a functional stands twice; name each once")
        return functionals
