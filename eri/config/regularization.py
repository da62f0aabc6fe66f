"""The section of regularisers: all off unless a config turns them on, none active when clips are predicted."""

from __future__ import annotations

from pydantic import Field

from eri.config.strict import Strict


class RegularizationConfig(Strict):
    """What keeps a head from learning the train clips by heart."""

    mixup: float | None = Field(None, gt=0, description="Both parameters of the Beta distribution of the shares.")
    feature_noise: float = Field(0.0, ge=0, description="Deviation of Gaussian noise on standardised features.")
    modality_dropout: float = Field(0.0, ge=0, lt=1, description="Chance that a clip loses a modality; never its last.")
    ema_decay: float | None = Field(
        None, gt=0, lt=1, description="Validate and keep an exponential moving average of the weights."
    )
