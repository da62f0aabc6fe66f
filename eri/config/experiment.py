"""A whole system: its features, head and training, with what a paper reports for it."""

from __future__ import annotations

from typing import Annotated, Any, Literal, TypeVar

from pydantic import ConfigDict, Field

from eri.config.extractors import (
    AudioConfig,
    CropsConfig,
    DrawnImageConfig,
    ExtractorConfig,
    ImageConfig,
    Modality,
    VisualConfig,
)
from eri.config.models import MODELS, FinetuneConfig, HeadConfig, ModelConfig, VideoModelConfig, head_names
from eri.config.sections import Misfits, OneOf, Strict
from eri.config.training import (
    EmbeddingTraining,
    GradientTraining,
    HeadTraining,
    TrainingConfig,
    VersionsConfig,
    VideoTraining,
)

Training = TypeVar("Training", bound=TrainingConfig)


class _AnyTraining(GradientTraining):
    """The training of a model that does not fit itself, so that what is wrong with both is reported at once."""

    model_config = ConfigDict(extra="ignore")


_BY_MODEL = OneOf(
    TrainingConfig,
    lambda _, before: before["model"].training_section if "model" in before else _AnyTraining,
    lambda: (TrainingConfig, EmbeddingTraining, HeadTraining, VideoTraining),
)


_USUAL: Any = {}  # a section without settings, whose class follows from the model


class Published(Strict):
    """What a paper reports for the system, to set beside one's own score."""

    source: str
    task: str = Field("eri", description="The task that the score is for; on another it is not shown.")
    metric: Literal["mean_pearson", "war", "uar"] = Field("mean_pearson", description="Recalls are shares, as 0.59.")
    validation: float | None = None
    test: float | None = None


class ExperimentConfig(Strict):
    """One system: its features, head and training. A file in ``configs/`` holds exactly this."""

    name: str = Field(pattern=r"^[a-z0-9][a-z0-9.\-]*$")
    description: str = ""
    modality: Modality
    visual: VisualConfig | None = None
    audio: AudioConfig | None = None
    model: Annotated[ModelConfig, MODELS.one_of(ModelConfig, lambda _: True)]
    training: Annotated[TrainingConfig, _BY_MODEL] = Field(_USUAL, description="Its settings depend on the model.")
    published: Published | None = None

    def _misfits(self) -> Misfits:
        wanted = {"visual": ["visual"], "audio": ["audio"], "multimodal": ["audio", "visual"]}[self.modality]
        given = [name for name in ("audio", "visual") if getattr(self, name) is not None]
        yield (
            wanted != given,
            f"modality '{self.modality}' needs the section(s) {wanted} and no other, but the config has {given}; "
            "add or remove a section, or change modality",
        )
        for section, extractor in self.extractors.items():
            yield (
                extractor.modality != section,
                f"the section '{section}' asks for imported features of modality '{extractor.modality}'; "
                "move it to the other section, or change its modality",
            )
        yield from self._video_misfits(self.model) if isinstance(self.model, VideoModelConfig) else self._head_misfits()
        made, wanted_section = type(self.training).__name__, self.model.training_section
        other = not isinstance(self.training, wanted_section)
        yield other, f"training is {made}, but that of {self.model.name} is {wanted_section.__name__}"
        if isinstance(self.training, HeadTraining):
            yield from self._training_misfits(self.training)

    def _video_misfits(self, model: VideoModelConfig) -> Misfits:
        yield (
            self.modality != "visual",
            f"model.name '{model.name}' reads face crops alone, but modality is '{self.modality}'; make it visual, "
            "and join it with audio by `eri ensemble`, or by its features (`eri extract --weights RUN`)",
        )
        visual, name = self.visual, model.name
        if not isinstance(visual, CropsConfig):
            yield True, f"model.name '{name}' reads face crops, but visual.extractor gives embeddings; set it to crops"
            return
        yield (
            visual.input_size != model.input_size,
            f"visual.input_size {visual.input_size} is not model.input_size {model.input_size}; cached crops are "
            "read as they are, so give both the same",
        )
        yield (
            visual.frames < model.frames,
            f"model.frames {model.frames} are more than the visual.frames {visual.frames} that are cached of a "
            "clip; cache more, or read fewer",
        )

    def _head_misfits(self) -> Misfits:
        name, visual, several = self.model.name, self.visual, self.modality == "multimodal"
        yield (
            isinstance(self.model, HeadConfig) and self.model.fuses != several,
            f"model.name '{name}' does not fit modality '{self.modality}'; "
            f"use {' or '.join([*head_names(fuses=several), 'lightgbm'])}",
        )
        image = visual if isinstance(visual, ImageConfig) else None
        yield (
            self.finetune and image is None,
            "model.finetune trains an image backbone, but the section 'visual' names none; "
            "name one, such as resnet50, or leave model.finetune out",
        )
        yield (
            isinstance(visual, CropsConfig),
            f"model.name '{name}' reads embeddings, but visual.extractor 'crops' gives images; name a "
            "backbone there, with model.finetune to train it too",
        )
        cached = self.finetune and image is not None and image.precision != "float32"
        yield cached, "visual.precision is that of cached embeddings; with model.finetune use training.precision"

    def _training_misfits(self, training: HeadTraining) -> Misfits:
        absent = [name for name in training.center if getattr(self, name) is None]
        yield (
            absent,
            f"training.center names {' and '.join(absent)}, which modality '{self.modality}' does not read; "
            "leave that out",
        )
        yield (
            training.regularization.modality_dropout and self.modality != "multimodal",
            f"training.regularization.modality_dropout needs several modalities, but modality is '{self.modality}'; "
            "leave it out, or make the system multimodal",
        )
        yield (
            training.augmentation and not isinstance(self.visual, ImageConfig),
            "training.augmentation brightens what an image backbone reads, but the section 'visual' names none; "
            "name one, such as resnet50, or leave training.augmentation out",
        )

    @property
    def finetune(self) -> FinetuneConfig | None:
        """How the backbone is trained with the head; None where it only made the cached embeddings."""
        return self.model.finetune if isinstance(self.model, HeadConfig) else None

    @property
    def extractors(self) -> dict[str, ExtractorConfig]:
        """What clips are predicted from: the extractor of each modality that the system uses, visual before audio.

        A backbone that is trained itself reads face crops, of 224 pixels where ``visual.input_size`` is left out.
        """
        visual: ExtractorConfig | None = self.visual
        if isinstance(visual, ImageConfig) and self.finetune is not None:
            visual = CropsConfig(frames=visual.frames, input_size=visual.input_size or 224, faces=visual.faces)
        pairs = (("visual", visual), ("audio", self.audio))
        return {name: config for name, config in pairs if config is not None}

    @property
    def drawn(self) -> tuple[DrawnImageConfig, ...]:
        """The brightened versions of the visual embeddings that training draws from beside the plain ones."""
        visual, changed = self.visual, getattr(self.training, "augmentation", None)
        if not (isinstance(visual, ImageConfig) and isinstance(changed, VersionsConfig)):
            return ()
        kept, numbers = visual.model_dump(), range(1, changed.versions + 1)
        return tuple(DrawnImageConfig(**kept, brightness=changed.brightness, draw=number) for number in numbers)

    def training_of(self, section: type[Training]) -> Training:
        """Return the section ``training``, whose class follows from the model; a ``TypeError`` where it is another."""
        if not isinstance(self.training, section):
            raise TypeError(f"{self.name}: the training of {self.model.name} is no {section.__name__}")
        return self.training
