"""A whole system: its features, head and training, with what a paper reports for it."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import Field, model_validator

from eri.config.features import AudioConfig, ExtractorConfig, Modality, VisualConfig
from eri.config.models import ModelConfig
from eri.config.strict import Strict
from eri.tasks import Activation


class TrainingConfig(Strict):
    """Optimisation and stopping."""

    seed: int = Field(101, ge=0)
    epochs: int = Field(30, ge=1)
    batch_size: int = Field(64, ge=2)
    learning_rate: float = Field(1e-3, gt=0)
    weight_decay: float = Field(0.0, ge=0)
    optimizer: Literal["adam", "adamw"] = "adam"
    patience: int = Field(15, ge=1, description="Epochs without a better validation Pearson before stopping.")
    reduce_on_plateau: bool = Field(False, description="Halve the rate after 5 epochs without a better Pearson.")
    gradient_clip: float | None = Field(1.0, gt=0)
    precision: Literal["auto", "float32", "bf16"] = Field("auto", description="auto: bf16 on CUDA, else float32.")
    standardize: bool = Field(True, description="Zero mean, unit deviation per feature, fitted on train only.")
    activation: Activation | None = Field(None, description="Of the output; None is the task's own.")
    chunk: int | None = Field(None, ge=1, description="Clips held in memory at once; None decides by size.")
    shuffle_labels: bool = Field(False, description="Control: train on labels permuted among the train clips.")


class Published(Strict):
    """What a paper reports for the system, to set beside one's own figure."""

    source: str
    task: str = Field("eri", description="The task that the figure is for; on another it is not shown.")
    metric: Literal["mean_pearson"] = "mean_pearson"
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
        if (self.model.name == "fusion-lstm") != (self.modality == "multimodal"):
            raise ValueError(
                f"model.name '{self.model.name}' does not fit modality '{self.modality}'; "
                "use fusion-lstm for multimodal, lstm or baseline-lstm otherwise"
            )
        return self

    @property
    def extractors(self) -> dict[str, ExtractorConfig]:
        """The extractor of each modality that the system uses, visual before audio."""
        pairs = (("visual", self.visual), ("audio", self.audio))
        return {name: config for name, config in pairs if config is not None}
