"""The section that says how a system is trained: loss, optimisation, regularisation, stopping, changes to its clips."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import Field, model_validator

from eri.config.balancing import BalancingConfig
from eri.config.clip_augmentation import ClipAugmentationConfig
from eri.config.losses import LossConfig
from eri.config.regularization import RegularizationConfig
from eri.config.strict import Strict
from eri.tasks import Activation

CORRELATED_CLIPS = 8
"""Least number of clips that a correlation in the loss is measured over."""


class TrainingConfig(Strict):
    """Loss, optimisation, regularisation and stopping."""

    seed: int = Field(101, ge=0)
    epochs: int = Field(30, ge=1)
    batch_size: int = Field(64, ge=2)
    accumulate: int = Field(1, ge=1, description="Batches whose loss is joined before a step of the optimiser.")
    loss: LossConfig = LossConfig()
    regularization: RegularizationConfig = RegularizationConfig()
    learning_rate: float = Field(1e-3, gt=0)
    weight_decay: float = Field(0.0, ge=0)
    optimizer: Literal["adam", "adamw"] = "adam"
    lookahead: bool = Field(False, description="Go back half the way after every 5 steps (Zhang et al. 2019).")
    schedule: Literal["constant", "cosine"] = Field(
        "constant", description="Of the learning rate: cosine falls from its full value to 0 over all epochs."
    )
    warmup: float = Field(0.0, ge=0, description="Epochs over which the rate rises to its full value at first.")
    patience: int = Field(15, ge=1, description="Epochs without a better validation figure before stopping.")
    reduce_on_plateau: bool = Field(False, description="Halve the rate after 5 epochs without a better figure.")
    gradient_clip: float | None = Field(1.0, gt=0)
    precision: Literal["auto", "float32", "bf16"] = Field("auto", description="auto: bf16 on CUDA, else float32.")
    standardize: bool = Field(True, description="Zero mean, unit deviation per feature, fitted on train only.")
    center: tuple[Literal["visual", "audio"], ...] = Field(
        (),
        description="Modalities whose clips lose their own mean embedding: what changes within a clip is left.",
    )
    activation: Activation | None = Field(None, description="Of the output; None is the task's own.")
    augmentation: ClipAugmentationConfig | None = Field(
        None, description="Of a video model's clips, drawn anew for each clip and epoch."
    )
    balancing: BalancingConfig | None = Field(
        None, description="Of a video model's classes: changed copies of clips, the same in every epoch."
    )
    chunk: int | None = Field(None, ge=1, description="Clips held in memory at once; None decides by size.")
    save_every: float = Field(
        60.0, ge=0, description="Seconds between saves within an epoch, which a run that was killed goes on from."
    )
    shuffle_labels: bool = Field(False, description="Control: train on labels permuted among the train clips.")

    @model_validator(mode="after")
    def _agree(self) -> Self:
        together = self.batch_size * self.accumulate
        if self.loss.correlates and together < CORRELATED_CLIPS:
            raise ValueError(
                f"a correlation in the loss is measured over the clips of one step, but those are {together}; "
                f"raise batch_size, or accumulate batches, to {CORRELATED_CLIPS} clips or more"
            )
        if self.loss.cross_entropy and self.activation == "linear":
            raise ValueError(
                "loss.cross_entropy reads the raw outputs as logits, but with activation linear they are intensities; "
                "use activation sigmoid or softmax, or leave cross_entropy out"
            )
        if self.regularization.feature_noise and not self.standardize:
            raise ValueError(
                "regularization.feature_noise is in deviations of standardised features, but standardize is false; "
                "standardise, or leave the noise out"
            )
        if self.reduce_on_plateau and (self.schedule == "cosine" or self.warmup):
            raise ValueError(
                "reduce_on_plateau and a schedule with cosine or warmup would both set the learning rate; "
                "leave one of them out"
            )
        if self.warmup >= self.epochs:
            raise ValueError(
                f"warmup over {self.warmup:g} epochs leaves none of the {self.epochs} at the full learning rate; "
                "shorten it, or train for more epochs"
            )
        return self
