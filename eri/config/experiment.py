"""A whole system: its features, head and training, with what a paper reports for it."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from eri.config.extractors import AudioConfig, CropsConfig, ExtractorConfig, ImageConfig, Modality, VisualConfig
from eri.config.models import MODELS, FinetuneConfig, HeadConfig, LightGBMConfig, ModelConfig, head_names
from eri.config.sections import Strict, by_name
from eri.config.training import TrainingConfig
from eri.config.video import VideoModelConfig

_READ_BY_TREES = frozenset(("seed", "shuffle_labels"))
_UNREAD_BY_VIDEO = frozenset(("standardize", "center", "chunk"))
_UNREAD_BY_HEADS = frozenset(("augmentation", "balancing"))


class Published(Strict):
    """What a paper reports for the system, to set beside one's own score."""

    source: str
    task: str = Field("eri", description="The task that the score is for; on another it is not shown.")
    metric: Literal["mean_pearson", "war", "uar"] = Field(
        "mean_pearson", description="Metric of the scores; recalls are shares, such as 0.5928."
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
    model: Annotated[ModelConfig, by_name(MODELS, ModelConfig, "name")]
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
        self._refuse_unread()
        several = self.modality == "multimodal"
        if isinstance(self.model, VideoModelConfig):
            self._refuse_unfit_video(self.model)
        else:
            if isinstance(self.model, HeadConfig) and self.model.fuses != several:
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

    def _refuse_unread(self) -> None:
        given, usual = self.training.model_dump(), TrainingConfig().model_dump()
        changed = {name for name in given if given[name] != usual[name]}
        if isinstance(self.model, LightGBMConfig):
            unread = changed - _READ_BY_TREES
            hint = " (its own settings, such as rounds, patience and learning_rate, stand under model)"
        elif isinstance(self.model, VideoModelConfig):
            unread = changed & _UNREAD_BY_VIDEO
            regularization = self.training.regularization.model_dump(exclude={"ema_decay"})
            unread |= {f"regularization.{name}" for name, value in regularization.items() if value}
            hint = " (it reads images, not embeddings; training.augmentation changes images)"
        else:
            unread = changed & _UNREAD_BY_HEADS
            hint = " (it reads embeddings; images are what a video model such as ceflnet learns from)"
        if unread:
            names = ", ".join(f"training.{name}" for name in (*given, *sorted(unread - set(given))) if name in unread)
            raise ValueError(f"model {self.model.name} does not read {names}; leave that out{hint}")

    def _refuse_unfit_video(self, model: VideoModelConfig) -> None:
        if self.modality != "visual":
            raise ValueError(
                f"model.name '{model.name}' reads face crops alone, but modality is '{self.modality}'; make it visual, "
                "and join it with audio by `eri ensemble`, or by its features (`eri extract --weights RUN`)"
            )
        visual = self.visual
        if not isinstance(visual, CropsConfig):
            raise ValueError(
                f"model.name '{model.name}' reads face crops, but visual.extractor gives embeddings; set it to crops"
            )
        if visual.input_size != model.input_size:
            raise ValueError(
                f"visual.input_size {visual.input_size} is not model.input_size {model.input_size}; cached crops are "
                "read as they are, so give both the same"
            )
        if visual.frames < model.frames:
            raise ValueError(
                f"model.frames {model.frames} are more than the visual.frames {visual.frames} that are cached of a "
                "clip; cache more, or read fewer"
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
                f"model.name '{self.model.name}' reads embeddings, but visual.extractor 'crops' gives images; name a "
                "backbone there, with model.finetune to train it too"
            )
        if not isinstance(visual, ImageConfig):
            return
        if finetune is not None and visual.draws:
            raise ValueError(
                "visual.draws are versions of cached embeddings, but model.finetune draws a brightness for each clip "
                "in every epoch; leave draws out, or model.finetune"
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
        return self.model.finetune if isinstance(self.model, HeadConfig) else None

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
