"""Typed configuration: what an experiment is, as YAML in ``configs/`` and as Python objects.

Unknown keys are refused, contradictions are refused with the way out. Knobs that must not change the numbers
(device, batch size, workers) are not here but in :class:`Runtime`.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Annotated, Any, Literal, Self

import yaml
from pydantic import BaseModel, ConfigDict, Discriminator, Field, Tag, ValidationError, field_validator, model_validator

from eri.errors import ConfigError
from eri.tasks import Activation

Modality = Literal["visual", "audio", "multimodal"]
Precision = Literal["float32", "bf16"]


class Strict(BaseModel):
    """A frozen model that refuses unknown keys."""

    model_config = ConfigDict(extra="forbid", frozen=True, validate_default=True)


class FaceConfig(Strict):
    """How one face crop is made from each sampled frame. All of it is part of a feature's identity."""

    detector: Literal["dlib", "retinaface", "none"] = Field(
        "dlib", description="'none' takes the whole picture: for crops that the organisers ship."
    )
    backbone: Literal["resnet50", "mobilenet0.25"] = Field("resnet50", description="Of retinaface only.")
    weights: str = Field("pretrained", description="Of retinaface only: 'pretrained' or a path.")
    landmarks: Path | None = Field(
        None,
        description="A dlib shape predictor (5 or 68 points) for alignment; dlib alone gives boxes only.",
    )
    every: int = Field(4, ge=1, description="Detect on every k-th sampled frame and track between.")
    detection_size: int = Field(320, ge=64, description="Longer side of the picture the detector sees, in pixels.")
    threshold: float | None = Field(None, description="Detection score; None is the detector's usual one.")
    margin: float = Field(0.2, ge=0.0, le=2.0, description="Added on each side, as a share of the box.")
    align: bool = Field(True, description="Turn the face upright by its landmarks where they are known.")

    @model_validator(mode="after")
    def _agree(self) -> Self:
        if self.landmarks is not None and self.detector != "dlib":
            raise ValueError(f"landmarks belongs to the detector dlib, not to {self.detector}; leave it out")
        if self.detector == "retinaface" and self.threshold is not None and not 0 <= self.threshold <= 1:
            raise ValueError(f"threshold of retinaface is a probability in [0, 1], not {self.threshold}")
        return self


class ImageConfig(Strict):
    """Embeddings of face crops by a timm backbone, one a sampled frame."""

    extractor: str = Field("resnet50", description="'resnet50', 'vgg16', or any timm model name.")
    weights: str = Field("pretrained", description="'pretrained', 'random', or a path to a checkpoint.")
    seed: int = Field(0, ge=0, description="Of random weights.")
    frames: int = Field(32, ge=1, description="Frames spread evenly over the clip's presentation time.")
    input_size: int | None = Field(None, ge=32, description="Pixels; None is the backbone's own.")
    precision: Precision = "float32"
    faces: FaceConfig = FaceConfig()

    @property
    def modality(self) -> Literal["visual"]:
        """The modality that the features describe."""
        return "visual"


class DeepSpectrumConfig(Strict):
    """Mel-spectrogram pictures in viridis through an image backbone, one embedding a window."""

    extractor: Literal["deepspectrum"] = "deepspectrum"
    backbone: str = Field("densenet121", description="timm name; densenet121 gives the challenge's 1024 dimensions.")
    weights: str = Field("pretrained", description="'pretrained', 'random', or a path to a checkpoint.")
    seed: int = Field(0, ge=0, description="Of random weights.")
    window: float = Field(1.0, gt=0, description="Seconds of audio in one picture.")
    hop: float = Field(0.5, gt=0, description="Seconds between window starts.")
    mel_bands: int = Field(128, ge=8)
    input_size: int = Field(224, ge=32, description="Side of the picture in pixels.")
    precision: Precision = "float32"

    @property
    def modality(self) -> Literal["audio"]:
        """The modality that the features describe."""
        return "audio"


class Wav2Vec2Config(Strict):
    """Hidden states of a wav2vec 2.0 model (or HuBERT, WavLM) from transformers."""

    extractor: Literal["wav2vec2"] = "wav2vec2"
    model: str = Field("facebook/wav2vec2-base", description="A local folder or a hub name.")
    layer: int | Literal["mean"] = Field(
        -1,
        description="Index into the hidden states (0 is the convolutional front end), or 'mean' of all layers.",
    )
    hop: float | None = Field(None, gt=0, description="Average frames over this many seconds; None keeps every 20 ms.")
    chunk: float = Field(30.0, gt=1.0, description="Longer audio is embedded in pieces of this many seconds.")
    precision: Precision = "float32"

    @property
    def modality(self) -> Literal["audio"]:
        """The modality that the features describe."""
        return "audio"


class ImportedConfig(Strict):
    """Features that someone else computed, such as the organisers'; `eri features import` puts them into the store."""

    extractor: Literal["imported"] = "imported"
    name: str = Field(
        pattern=r"^[A-Za-z0-9][A-Za-z0-9._\-]*$",
        description="As they were imported: the organisers' folder, such as 'FAUs' (these in any case), or --name.",
    )
    modality: Literal["visual", "audio"] = Field(description="That of the section they stand in.")
    dimension: int | None = Field(None, ge=1, description="Length of one row, to be checked; None takes any.")

    @field_validator("name")
    @classmethod
    def _organisers_case(cls, name: str) -> str:
        return ORGANISERS_FEATURES.get(name.lower(), name)


ORGANISERS_FEATURES = MappingProxyType({name.lower(): name for name in ("FAUs", "DeepSpectrum", "VGGFace2", "eGeMAPS")})
"""MuSe-2022's names of features by their lower case: copies of the data differ in it."""


_KINDS = ("deepspectrum", "wav2vec2", "imported")


def _extractor_kind(value: Any) -> str:
    name = value.get("extractor", "resnet50") if isinstance(value, dict) else getattr(value, "extractor", "")
    return name if name in _KINDS else "image"


VisualConfig = Annotated[
    Annotated[ImageConfig, Tag("image")] | Annotated[ImportedConfig, Tag("imported")],
    Discriminator(_extractor_kind),
]
AudioConfig = Annotated[
    Annotated[DeepSpectrumConfig, Tag("deepspectrum")]
    | Annotated[Wav2Vec2Config, Tag("wav2vec2")]
    | Annotated[ImportedConfig, Tag("imported")],
    Discriminator(_extractor_kind),
]
ExtractorConfig = ImageConfig | DeepSpectrumConfig | Wav2Vec2Config | ImportedConfig


class LSTMConfig(Strict):
    """The paper's single-modality head: an LSTM, a dense layer, one output a label."""

    name: Literal["lstm"] = "lstm"
    hidden_size: int = Field(512, ge=1)
    layers: int = Field(1, ge=1)
    dense: int = Field(128, ge=1, description="Width of the dense layer after the LSTM.")
    dropout: float = Field(0.5, ge=0, lt=1)


class BaselineLSTMConfig(Strict):
    """The organisers' baseline: linear projection, stacked LSTM, last hidden state, two linear layers."""

    name: Literal["baseline-lstm"] = "baseline-lstm"
    hidden_size: int = Field(64, ge=1)
    layers: int = Field(3, ge=1)
    rnn_dropout: float = Field(0.2, ge=0, lt=1)
    dropout: float = Field(0.5, ge=0, lt=1)


class FusionLSTMConfig(Strict):
    """The paper's multimodal head: two parallel LSTMs, a dense layer each, a joint layer."""

    name: Literal["fusion-lstm"] = "fusion-lstm"
    hidden_size: int = Field(512, ge=1)
    dense: int = Field(128, ge=1)
    joint: int = Field(128, ge=1)
    dropout: float = Field(0.5, ge=0, lt=1)


ModelConfig = Annotated[LSTMConfig | BaselineLSTMConfig | FusionLSTMConfig, Field(discriminator="name")]


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


@dataclass(frozen=True)
class Runtime:
    """Knobs that change speed but not numbers (beyond the stated tolerance): never part of an identity.

    Attributes:
        device: ``auto``, ``cpu``, ``cuda`` or ``cuda:<n>``.
        batch_size: Model inputs a forward pass.
        workers: Processes that decode and find faces; 0 does it in the calling process.
        timeout: Seconds one clip may take before its worker is ended and the clip fails alone.
    """

    device: str = "auto"
    batch_size: int = 32
    workers: int = 1
    timeout: float = 300.0


def config_names() -> list[str]:
    """Return the names of the shipped configs, sorted."""
    return sorted(path.stem for path in _config_folder().glob("*.yaml"))


def load_config(source: str | Path, overrides: Sequence[str] = ()) -> ExperimentConfig:
    """Read a config by its shipped name or from a YAML file, and apply dotted overrides.

    Args:
        source: A name from :func:`config_names`, or a path that ends in ``.yaml`` or ``.yml``.
        overrides: ``section.key=value`` strings; values are read as YAML.

    Raises:
        ConfigError: No such config, YAML that cannot be read, an unknown key or a value that does not fit.

    Examples:
        >>> load_config("yap-csm-v4", ["training.epochs=2"]).training.epochs
        2
    """
    path = _find(source)
    try:
        values = read_yaml(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise ConfigError(f"{path}: cannot be read as YAML: {error}") from error
    if not isinstance(values, dict):
        raise ConfigError(f"{path}: expected a mapping of sections, found {type(values).__name__}")
    for override in overrides:
        _override(values, override)
    return parse_config(values, origin=str(path))


def parse_config(values: dict[str, Any], *, origin: str = "config") -> ExperimentConfig:
    """Validate a mapping as an experiment.

    Args:
        values: The mapping, as YAML or JSON gives it.
        origin: Named in errors.

    Raises:
        ConfigError: Lists every key that is unknown or does not fit.
    """
    try:
        return ExperimentConfig.model_validate(values)
    except ValidationError as error:
        raise ConfigError(
            f"{origin}: {describe_misfits(error)}",
            hint="`eri schema` prints every key, its type and meaning.",
        ) from error


class _UniqueKeyLoader(yaml.SafeLoader):
    """A safe loader that refuses a mapping with a key that stands twice, rather than take the last."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        seen: set[Any] = set()
        for key_node, _ in node.value:
            key = key_node.value if isinstance(key_node, yaml.ScalarNode) else None
            if key is not None and key != "<<" and key in seen:
                raise yaml.MarkedYAMLError(problem=f"key '{key}' stands twice", problem_mark=key_node.start_mark)
            seen.add(key)
        return super().construct_mapping(node, deep)


def read_yaml(text: str) -> Any:
    """Read YAML safely; a key that stands twice is an error.

    Raises:
        yaml.YAMLError: The text is not YAML, or a key stands twice.

    Examples:
        >>> read_yaml("epochs: 2")
        {'epochs': 2}
    """
    return yaml.load(text, _UniqueKeyLoader)


def describe_misfits(error: ValidationError) -> str:
    """Return one line for every setting that does not fit, for a message that begins with the file."""
    lines = [f"  {_dotted(item['loc']) or '(whole)'}: {item['msg']}" for item in error.errors()]
    return f"{len(lines)} setting(s) do not fit:\n" + "\n".join(lines)


def _dotted(location: tuple[int | str, ...]) -> str:
    """Return the key as a file has it: pydantic puts the kind of extractor after the section, which no file does."""
    if len(location) > 1 and location[0] in ("visual", "audio") and location[1] in ("image", *_KINDS):
        location = (location[0], *location[2:])
    return ".".join(map(str, location))


def _config_folder() -> Path:
    inside = Path(__file__).parent / "configs"
    return inside if inside.is_dir() else Path(__file__).parent.parent / "configs"


def _find(source: str | Path) -> Path:
    if str(source).endswith((".yaml", ".yml")):
        path = Path(source)
        if not path.is_file():
            raise ConfigError(f"{path}: no such config file")
        return path
    path = _config_folder() / f"{source}.yaml"
    if not path.is_file():
        raise ConfigError(
            f"no config is named '{source}'",
            hint=f"Known: {', '.join(config_names())}; or give the path of a .yaml file.",
        )
    return path


def _override(values: dict[str, Any], override: str) -> None:
    key, equals, text = override.partition("=")
    if not equals or not key:
        raise ConfigError(f"override '{override}' is not of the form section.key=value")
    *parents, last = key.split(".")
    node = values
    for parent in parents:
        child = node.setdefault(parent, {})
        if not isinstance(child, dict):
            raise ConfigError(f"override '{override}': '{parent}' is a value, not a section")
        node = child
    try:
        node[last] = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise ConfigError(f"override '{override}': the value is not YAML: {error}") from error
