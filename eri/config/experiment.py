"""A whole system: its features, head and training, with what a paper reports for it."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import Field, model_validator

from eri.config.features import AudioConfig, CropsConfig, ExtractorConfig, ImageConfig, Modality, VisualConfig
from eri.config.finetuning import FinetuneConfig
from eri.config.losses import LossConfig
from eri.config.models import ModelConfig, head_names
from eri.config.regularization import RegularizationConfig
from eri.config.strict import Strict
from eri.config.trees import LightGBMConfig
from eri.tasks import Activation

CORRELATED_CLIPS = 8
"""Least number of clips that a correlation in the loss is measured over."""

_READ_BY_TREES = frozenset(("seed", "shuffle_labels"))


class TrainingConfig(Strict):
    """Loss, optimisation, regularisation and stopping."""

    seed: int = Field(101, ge=0)
    epochs: int = Field(30, ge=1)
    batch_size: int = Field(64, ge=2)
    accumulate: int = Field(1, ge=1, description="Batches whose predictions are joined before the loss and the step.")
    loss: LossConfig = LossConfig()
    regularization: RegularizationConfig = RegularizationConfig()
    learning_rate: float = Field(1e-3, gt=0)
    weight_decay: float = Field(0.0, ge=0)
    optimizer: Literal["adam", "adamw"] = "adam"
    patience: int = Field(15, ge=1, description="Epochs without a better validation Pearson before stopping.")
    reduce_on_plateau: bool = Field(False, description="Halve the rate after 5 epochs without a better Pearson.")
    gradient_clip: float | None = Field(1.0, gt=0)
    precision: Literal["auto", "float32", "bf16"] = Field("auto", description="auto: bf16 on CUDA, else float32.")
    standardize: bool = Field(True, description="Zero mean, unit deviation per feature, fitted on train only.")
    center: tuple[Literal["visual", "audio"], ...] = Field(
        (),
        description="Modalities whose clips lose their own mean embedding: what changes within a clip is left.",
    )
    activation: Activation | None = Field(None, description="Of the output; None is the task's own.")
    chunk: int | None = Field(None, ge=1, description="Clips held in memory at once; None decides by size.")
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
        return self


class Published(Strict):
    """What a paper reports for the system, to set beside one's own figure."""

    source: str
    task: str = Field("eri", description="The task that the figure is for; on another it is not shown.")
    metric: Literal["mean_pearson", "war", "uar"] = Field(
        "mean_pearson", description="What the figures are; recalls are shares, such as 0.5928."
    )
    validation: float | None = None
    test: float | None = None


class ExperimentConfig(Strict):
    """One system: its features, head and training. A file in ``configs/`` holds exactly this."""

    name: str = Field(pattern=r"^[a-z0-9][a-z0-9.\-]*$")
    description: str = ""
    modality: Modality
    visual: VisualConfig | None = None
    audio: AudioConfig | None = None
    model: ModelConfig
    training: TrainingConfig = TrainingConfig()
    published: Published | None = None

    @model_validator(mode="after")
    def _agree(self) -> Self:
        wanted = {"visual": {"visual"}, "audio": {"audio"}, "multimodal": {"visual", "audio"}}[self.modality]
        given = {name for name in ("visual", "audio") if getattr(self, name) is not None}
        if wanted != given:
            raise ValueError(
                f"modality '{self.modality}' needs the section(s) {sorted(wanted)} and no other, "
                f"but the config has {sorted(given)}; add or remove a section, or change modality"
            )
        for section, extractor in self.extractors.items():
            if extractor.modality != section:
                raise ValueError(
                    f"the section '{section}' asks for imported features of modality '{extractor.modality}'; "
                    "move it to the other section, or change its modality"
                )
        several = self.modality == "multimodal"
        if isinstance(self.model, LightGBMConfig):
            self._refuse_unread(self.training)
        elif self.model.fuses != several:
            raise ValueError(
                f"model.name '{self.model.name}' does not fit modality '{self.modality}'; "
                f"use {' or '.join([*head_names(fuses=several), 'lightgbm'])}"
            )
        self._refuse_unfit_pictures()
        if absent := [name for name in self.training.center if name not in given]:
            raise ValueError(
                f"training.center names {' and '.join(absent)}, which modality '{self.modality}' does not read; "
                "leave that out"
            )
        if self.training.regularization.modality_dropout and not several:
            raise ValueError(
                f"training.regularization.modality_dropout needs several modalities, but modality is '{self.modality}';"
                " leave it out, or make the system multimodal"
            )
        return self

    @staticmethod
    def _refuse_unread(training: TrainingConfig) -> None:
        given, usual = training.model_dump(), TrainingConfig().model_dump()
        unread = [name for name in given if given[name] != usual[name] and name not in _READ_BY_TREES]
        if unread:
            raise ValueError(
                f"model lightgbm does not read {', '.join(f'training.{name}' for name in unread)}; leave that out "
                "(its own settings, such as rounds, patience and learning_rate, stand under model)"
            )

    def _refuse_unfit_pictures(self) -> None:
        visual, finetune = self.visual, self.finetune
        if finetune is not None and not isinstance(visual, ImageConfig):
            raise ValueError(
                "model.finetune trains an image backbone, but the section 'visual' names none; "
                "name one, such as resnet50, or leave model.finetune out"
            )
        if isinstance(visual, CropsConfig):
            raise ValueError(
                f"model.name '{self.model.name}' reads embeddings, but visual.extractor 'crops' gives pictures; name a "
                "backbone there, with model.finetune to train it too"
            )
        if not isinstance(visual, ImageConfig):
            return
        if finetune is not None and visual.draws:
            raise ValueError(
                "visual.draws are versions of cached embeddings, but model.finetune draws a brightness for each clip "
                "anew in every epoch; leave draws out, or model.finetune"
            )
        if finetune is not None and visual.precision != "float32":
            raise ValueError(
                "visual.precision is that of cached embeddings; with model.finetune use training.precision"
            )
        if finetune is None and visual.brightness is not None and not visual.draws:
            raise ValueError(
                "visual.brightness acts on cached versions or on a backbone that is trained; "
                "set visual.draws to the number of versions, or model.finetune"
            )
        if visual.draws and isinstance(self.model, LightGBMConfig):
            raise ValueError("lightgbm learns from each clip once and has no use for visual.draws; leave them out")

    @property
    def finetune(self) -> FinetuneConfig | None:
        """How the backbone is trained with the head; None where it only made the cached embeddings."""
        return None if isinstance(self.model, LightGBMConfig) else self.model.finetune

    @property
    def extractors(self) -> dict[str, ExtractorConfig]:
        """What clips are predicted from: the extractor of each modality that the system uses, visual before audio.

        A backbone that is trained itself reads face crops, of 224 pixels where ``visual.input_size`` is left out.
        """
        visual: ExtractorConfig | None = self.visual
        if isinstance(visual, ImageConfig) and self.finetune is not None:
            visual = CropsConfig(frames=visual.frames, input_size=visual.input_size or 224, faces=visual.faces)
        elif isinstance(visual, ImageConfig):
            visual = visual.plain
        pairs = (("visual", visual), ("audio", self.audio))
        return {name: config for name, config in pairs if config is not None}

    @property
    def drawn(self) -> tuple[ExtractorConfig, ...]:
        """The brightened versions of the visual embeddings that training draws from beside the plain ones."""
        return self.visual.drawn if isinstance(self.visual, ImageConfig) and self.finetune is None else ()
