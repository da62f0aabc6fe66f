"""The section that has a backbone learn together with its head, from pictures in place of cached embeddings."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BeforeValidator, Field

from eri.config.strict import Strict


class FinetuneConfig(Strict):
    """How the visual backbone is trained end to end with the head."""

    learning_rate: float = Field(
        1e-4, gt=0, description="Of the backbone: at the rate of a new head, trained weights would be lost at once."
    )
    freeze_norm: bool = Field(True, description="Keep the statistics of batch normalisation as the weights bring them.")
    checkpoint: bool = Field(False, description="Compute activations again on the way back: slower, far less memory.")
    pictures: int = Field(256, ge=1, description="Pictures that go through the backbone at once; changes memory only.")


def _switch(value: Any) -> Any:
    return {True: {}, False: None}[value] if isinstance(value, bool) else value


Finetune = Annotated[FinetuneConfig | None, BeforeValidator(_switch)]
"""``true`` is the section with its usual values, ``false`` is none."""


class Head(Strict):
    """What the config of every head has."""

    finetune: Finetune = Field(None, description="Train the visual backbone too, from cached face crops; or true.")
