"""The section that says how a system is trained: loss, optimisation, regularisation, stopping, changes to its clips."""

from __future__ import annotations

import math
from typing import Annotated, Any, ClassVar, Literal

from pydantic import AfterValidator, ConfigDict, Field, model_validator

from eri.config.sections import Misfits, Strict, refusal
from eri.config.tasks import Activation, TaskKind
from eri.utils.registry import Registry
from eri.utils.spelling import did_you_mean

_NOT_OF_HEADS = (
    "no setting of a head: it reads embeddings; images are what a video model such as ceflnet learns from; leave it out"
)
_NOT_OF_VIDEO = (
    "no setting of a video model: it reads images, not embeddings, and training.augmentation changes images; "
    "leave it out"
)


def _ascending(factors: tuple[float, float]) -> tuple[float, float]:
    low, high = factors
    if not 0 <= low <= high:
        raise ValueError(f"it is from a smaller to a larger factor, not from {low:g} to {high:g}")
    return factors


Factors = Annotated[tuple[float, float], AfterValidator(_ascending)]


class Copies(Strict):
    """Changed copies of one clip, beside the clip itself."""

    flip: int = Field(0, ge=0, le=1, description="Copies mirrored left to right.")
    rotation: int = Field(0, ge=0, description="Rotated copies, each by an angle of its own.")
    contrast: int = Field(0, ge=0, description="Copies with another contrast, each with a factor of its own.")

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
        "even", description="Changed copies by class; 'even' finds counts that bring every class near the largest."
    )
    others: Copies = Field(Copies(), description="Copies for classes that 'copies' does not name.")
    base: int = Field(3, ge=1, description="For 'even': clips that each clip of the largest class becomes; CK+'s is 3.")
    rotation: float = Field(30.0, ge=0, le=180, description="Largest angle either way, in degrees.")
    contrast: Factors = Field((0.22, 2.2), description="Least and largest factor around 127.")


class ClipAugmentationConfig(Strict):
    """Ranges that one change a clip is drawn from; what is left out stays as it is."""

    flip: float = Field(0.0, ge=0, le=1, description="Chance of a mirrored clip.")
    crop: float = Field(1.0, gt=0, le=1, description="Least share of the side that is kept, and enlarged to the whole.")
    shift: float = Field(0.0, ge=0, le=0.5, description="Farthest way along each side, as a share of it.")
    rotation: float = Field(0.0, ge=0, le=180, description="Largest angle either way, in degrees.")
    brightness: Factors = Field((1.0, 1.0), description="Least and largest factor of all values.")
    contrast: Factors = Field((1.0, 1.0), description="Least and largest α of 127 + α (v - 127).")

    @property
    def active(self) -> bool:
        """Whether anything is ever changed."""
        return self != ClipAugmentationConfig()


class BrightnessConfig(Strict):
    """Brightening of the face crops that a backbone is fine-tuned on (YAP-CSM), drawn for each clip in every epoch."""

    brightness: float = Field(1.5, gt=1, description="A clip's factor is drawn from [1, this].")

    @classmethod
    def explain_unknown(cls, key: str) -> str:
        """Return what is wrong with a key that belongs to cached versions, or to a video model's clips."""
        if key in VersionsConfig.model_fields:
            return (
                "they are of cached embeddings, but model.finetune draws a brightness for each clip in every epoch; "
                "leave them out, or model.finetune"
            )
        return _NOT_OF_HEADS if key in ClipAugmentationConfig.model_fields else super().explain_unknown(key)


class VersionsConfig(BrightnessConfig):
    """Brightened versions of the face crops (YAP-CSM), whose embeddings are cached beside the plain ones."""

    versions: int = Field(1, ge=1, description="Versions of every clip that are cached, each with a factor of its own.")


ClassWeights = Literal["none", "balanced"] | dict[str, Annotated[float, Field(gt=0)]]


LOSSES: Registry[bool] = Registry("loss")
"""The losses by the key of their weight, and whether each compares clips with each other."""

for own, compares in (("mse", False), ("ccc", True), ("pearson", True), ("cross_entropy", False)):
    LOSSES.register(own, compares, "eri.training.losses")


def _add_registered(schema: dict[str, Any]) -> None:
    for name in LOSSES:
        described = {"type": "number", "minimum": 0, "default": 0, "description": f"Weight of {LOSSES.origin(name)}."}
        schema["properties"].setdefault(name, described)
    schema["additionalProperties"] = False


class LossConfig(Strict):
    """Weights of the losses; one that is 0 is left out. Losses that plugins register have theirs here too."""

    model_config = ConfigDict(extra="allow", json_schema_extra=_add_registered)

    mse: float | None = Field(
        None,
        ge=0,
        description="Squared error; None: 1 for intensities, 0 for classes, with cross_entropy 1 unless given.",
    )
    ccc: float = Field(0.0, ge=0, description="1 - Lin's concordance correlation, over the clips of one step.")
    pearson: float = Field(0.0, ge=0, description="1 - Pearson's correlation, over the clips of one step.")
    cross_entropy: float = Field(0.0, ge=0, description="Of the raw outputs, against a clip's class or top label.")
    class_weights: ClassWeights = Field(
        "none",
        description="In the cross-entropy. balanced: every class weighs the same; {class: weight}: others have 1.",
    )
    label_smoothing: float = Field(0.0, ge=0, lt=1, description="Share of the target spread evenly over all classes.")

    @model_validator(mode="after")
    def _refuse_unregistered(self) -> LossConfig:
        for name, weight in (self.__pydantic_extra__ or {}).items():
            if name not in LOSSES:
                raise refusal(type(self), name, self.explain_unknown(name), weight)
            if isinstance(weight, bool) or not isinstance(weight, int | float) or not 0 <= weight < math.inf:
                raise refusal(type(self), name, "a weight is a number of at least 0", weight)
        if self.mse == 0 and not any(self.weights.values()):
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

    @classmethod
    def explain_unknown(cls, key: str) -> str:
        """Return what is wrong with a key that is no weight of a registered loss."""
        known = dict.fromkeys([*cls.model_fields, *LOSSES])
        return f"no such setting{did_you_mean(key, known)}; there are {', '.join(known)}"

    @property
    def weights(self) -> dict[str, float]:
        """The weight of each loss that has one above 0, by name."""
        names = ("mse", "ccc", "pearson", "cross_entropy", *(self.__pydantic_extra__ or {}))
        return {name: weight for name in names if (weight := getattr(self, name))}

    @property
    def correlates(self) -> bool:
        """Whether a loss compares clips with each other, so that it needs many of them at once."""
        return any(LOSSES[name] for name in self.weights)


class AveragingConfig(Strict):
    """What keeps any network from learning the train clips by heart."""

    ema_decay: float | None = Field(None, gt=0, lt=1, description="Keep an exponential moving average of the weights.")

    @classmethod
    def explain_unknown(cls, key: str) -> str:
        """Return what is wrong with a key, such as one that changes embeddings."""
        return _NOT_OF_VIDEO if key in RegularizationConfig.model_fields else super().explain_unknown(key)


class RegularizationConfig(AveragingConfig):
    """What keeps a head from learning the train clips by heart."""

    mixup: float | None = Field(None, gt=0, description="Both parameters of the Beta distribution of the shares.")
    feature_noise: float = Field(0.0, ge=0, description="Deviation of Gaussian noise on standardised features.")
    modality_dropout: float = Field(0.0, ge=0, lt=1, description="Chance that a clip loses a modality; never its last.")


CORRELATED_CLIPS = 8
"""Least number of clips that a correlation in the loss is measured over."""


class TrainingConfig(Strict):
    """What the training of every model has, and all that boosted trees read here."""

    unread: ClassVar[str] = (
        "no setting of lightgbm, whose own, such as rounds, patience and learning_rate, stand under model; leave it out"
    )
    """What is said of a setting that belongs to the training of other models."""

    seed: int = Field(101, ge=0)
    shuffle_labels: bool = Field(False, description="Shuffled-label baseline: permute labels among the train clips.")

    @classmethod
    def explain_unknown(cls, key: str) -> str:
        """Return what is wrong with a key: it is misspelt, or of the training of other models."""
        known = EmbeddingTraining.model_fields.keys() | VideoTraining.model_fields.keys()
        return cls.unread if key in known else super().explain_unknown(key)


class GradientTraining(TrainingConfig):
    """Loss, optimisation, regularisation and stopping of every network."""

    epochs: int = Field(30, ge=1)
    batch_size: int = Field(64, ge=2)
    accumulate: int = Field(1, ge=1, description="Batches whose loss is joined before a step of the optimiser.")
    loss: LossConfig = LossConfig()
    regularization: AveragingConfig = AveragingConfig()
    learning_rate: float = Field(1e-3, gt=0)
    weight_decay: float = Field(0.0, ge=0)
    optimizer: Literal["adam", "adamw"] = "adam"
    lookahead: bool = Field(False, description="Go back half the way after every 5 steps (Zhang et al. 2019).")
    schedule: Literal["constant", "cosine"] = Field(
        "constant", description="Schedule of the learning rate: cosine falls from its full value to 0 over all epochs."
    )
    warmup: float = Field(0.0, ge=0, description="Epochs over which the rate rises to its full value at first.")
    patience: int = Field(15, ge=1, description="Epochs without a better validation score before stopping.")
    reduce_on_plateau: bool = Field(False, description="Halve the learning rate after 5 epochs without a better score.")
    gradient_clip: float | None = Field(1.0, gt=0)
    precision: Literal["auto", "float32", "bf16"] = Field("auto", description="auto: bf16 on CUDA, else float32.")
    activation: Activation | None = Field(None, description="Activation of the output; None is the task's own.")
    save_every: float = Field(60.0, ge=0, description="Seconds between saves within an epoch, to go on from if killed.")

    def _misfits(self) -> Misfits:
        together = self.batch_size * self.accumulate
        yield (
            self.loss.correlates and together < CORRELATED_CLIPS,
            f"a correlation in the loss is measured over the clips of one step, but those are {together}; "
            f"raise batch_size, or accumulate batches, to {CORRELATED_CLIPS} clips or more",
        )
        yield (
            self.loss.cross_entropy and self.activation == "linear",
            "loss.cross_entropy reads the raw outputs as logits, but with activation linear they are intensities; "
            "use activation sigmoid or softmax, or leave cross_entropy out",
        )
        yield (
            self.reduce_on_plateau and (self.schedule == "cosine" or self.warmup),
            "reduce_on_plateau and a schedule with cosine or warmup would both set the learning rate; "
            "leave one of them out",
        )
        yield (
            self.warmup >= self.epochs,
            f"warmup over {self.warmup:g} epochs leaves none of the {self.epochs} at the full learning rate; "
            "shorten it, or train for more epochs",
        )


class HeadTraining(GradientTraining):
    """How a head is trained; as it stands, of one whose backbone is fine-tuned with it."""

    unread: ClassVar[str] = _NOT_OF_HEADS

    regularization: RegularizationConfig = RegularizationConfig()
    standardize: bool = Field(True, description="Zero mean, unit deviation per feature, fitted on train only.")
    center: tuple[Literal["visual", "audio"], ...] = Field(
        (), description="Modalities whose clips lose their own mean embedding: what changes within a clip is left."
    )
    augmentation: BrightnessConfig | None = Field(None, description="Augmentation of the clips; None leaves it out.")
    chunk: int | None = Field(None, ge=1, description="Clips held in memory at once; None decides by size.")

    def _misfits(self) -> Misfits:
        yield from super()._misfits()
        yield (
            self.regularization.feature_noise and not self.standardize,
            "regularization.feature_noise is in deviations of standardised features, but standardize is false; "
            "standardise, or leave the noise out",
        )


class EmbeddingTraining(HeadTraining):
    """How a head is trained on cached embeddings."""

    augmentation: VersionsConfig | None = Field(None, description="An epoch takes one version of a clip, or the plain.")


class VideoTraining(GradientTraining):
    """How a video model is trained."""

    unread: ClassVar[str] = _NOT_OF_VIDEO

    augmentation: ClipAugmentationConfig | None = Field(None, description="Drawn for each clip in every epoch.")
    balancing: BalancingConfig | None = Field(None, description="Of classes by copies of clips, alike in every epoch.")
