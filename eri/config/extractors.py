"""The sections that say which features a system uses, extractors and the face crops before them; and how to compute."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal, TypeAlias

from pydantic import Field, field_validator

from eri.config.sections import Misfits, Sections, Strict
from eri.utils.registry import Registry

Stream = Literal["visual", "audio"]
Modality = Literal["visual", "audio", "multimodal"]
Precision = Literal["float32", "bf16"]
Decoder: TypeAlias = Literal["pyav", "torchcodec"]


@dataclass(frozen=True)
class Runtime:
    """Knobs that change speed but not numbers (beyond the stated tolerance): never part of an identity.

    Attributes:
        device: ``auto``, ``cpu``, ``cuda`` or ``cuda:<n>``.
        batch_size: Model inputs a forward pass.
        workers: Processes that decode and find faces; 0 does it in the calling process.
        timeout: Seconds one clip may take before its worker is ended and the clip fails alone.
        compiled: Whether an image backbone is compiled once it has worked for ten minutes.
        decoder: What decodes sampled frames: ``pyav`` on processors, ``torchcodec`` on the device (NVDEC on a GPU).
    """

    device: str = "auto"
    batch_size: int = 32
    workers: int = 1
    timeout: float = 300.0
    compiled: bool = False
    decoder: Decoder = "pyav"


class ExtractorConfig(Strict):
    """What the section of every extractor has: its name, and the modality that its features describe.

    A class for an extractor of one's own sets both: ``extractor: Literal["mine"] = "mine"`` and
    ``modality: ClassVar[eri.config.Stream] = "audio"``.
    """

    extractor: str

    if TYPE_CHECKING:  # some have it as a setting, and pydantic would take an attribute of the base for that

        @property
        def modality(self) -> Stream:
            """The modality that the features describe."""


EXTRACTORS: Sections[ExtractorConfig] = Sections("extractor", "extractor")
"""The sections by the name of their extractor. ``image`` stands for every timm backbone."""


class _MelConfig(ExtractorConfig):
    """Mel spectra of short windows of audio, gathered into rows."""

    modality: ClassVar[Stream] = "audio"
    window: float = Field(0.025, gt=0, le=1.0, description="Seconds of audio in one spectrum.")
    step: float = Field(0.010, ge=0.001, le=1.0, description="Seconds from one spectrum to the next.")
    mel_scale: Literal["slaney", "htk"] = Field("slaney", description="slaney: filters of equal area; htk: of height.")
    deltas: int = Field(0, ge=0, le=2, description="Orders of change over time beside the values (HTK, two to a side).")
    hop: float | None = Field(0.1, gt=0, description="Gather spectra over this many seconds into a row; None: each.")
    statistics: Literal["mean", "mean-std"] = Field("mean", description="Of the spectra in a row; std: deviation.")

    def _misfits(self) -> Misfits:
        yield (
            self.hop is not None and self.hop < self.step,
            f"a row of {self.hop} s is shorter than the step of {self.step} s from one spectrum to the next; "
            "raise hop, or leave it empty to keep every spectrum",
        )
        alone = self.hop is None and self.statistics == "mean-std"
        yield alone, "statistics mean-std needs rows of several spectra; set hop, or take the mean"


@EXTRACTORS.section
class MFCCConfig(_MelConfig):
    """Mel-frequency cepstral coefficients, averaged over rows."""

    extractor: Literal["mfcc"] = "mfcc"
    coefficients: int = Field(40, ge=1, description="Coefficients kept, from the zeroth (loudness) on.")
    mel_bands: int = Field(80, ge=2)

    def _misfits(self) -> Misfits:
        yield from super()._misfits()
        yield (
            self.coefficients > self.mel_bands,
            f"{self.coefficients} coefficients cannot be made of {self.mel_bands} mel_bands; "
            "lower coefficients or raise mel_bands",
        )


@EXTRACTORS.section
class LogMelConfig(_MelConfig):
    """Log-mel spectra in decibels, averaged over rows."""

    extractor: Literal["logmel"] = "logmel"
    mel_bands: int = Field(64, ge=2)


@EXTRACTORS.section
class EGeMAPSConfig(ExtractorConfig):
    """The extended Geneva minimalistic acoustic parameter set, by openSMILE (extra `opensmile`, non-commercial)."""

    modality: ClassVar[Stream] = "audio"
    extractor: Literal["egemaps"] = "egemaps"
    level: Literal["functionals", "low-level"] = Field(
        "functionals", description="functionals: 88 of each window; low-level: 25 descriptors, averaged over each hop."
    )
    window: float | None = Field(None, ge=0.06, description="Seconds under one row of functionals; None is 1.0.")
    hop: float = Field(0.5, ge=0.02, description="Seconds from one row to the next.")

    def _misfits(self) -> Misfits:
        windowed = self.level == "low-level" and self.window is not None
        yield windowed, "window belongs to level functionals; low-level rows span one hop: leave window out"


DETECTORS: Registry[str] = Registry("face detector")
"""What each face detector is, by name; how it is made is registered with :mod:`eri.media.faces.registry`."""

for _name, _meaning in (
    ("dlib", "dlib's histogram of oriented gradients, offline"),
    ("retinaface", "RetinaFace, as in the papers; needs weights"),
    ("none", "the whole image as one face"),
):
    DETECTORS.register(_name, _meaning, "eri.media.faces.registry")


class FaceConfig(Strict):
    """How one face crop is made from each sampled frame. All of it is part of a feature's identity."""

    detector: str = Field("dlib", description="dlib, retinaface, or none: the whole image, as organisers' crops are.")
    backbone: Literal["resnet50", "mobilenet0.25"] = Field("resnet50", description="Backbone of retinaface only.")
    weights: str = Field("pretrained", description="Weights of retinaface only: 'pretrained' or a path.")
    landmarks: Path | None = Field(None, description="dlib's shape predictor (5 or 68 points), to align dlib's boxes.")
    every: int = Field(4, ge=1, description="Detect on every k-th sampled frame and track between.")
    detection_size: int = Field(320, ge=64, description="Longer side of the image that the detector sees, in pixels.")
    threshold: float | None = Field(None, description="Detection score; None is the detector's usual one.")
    margin: float = Field(0.2, ge=0, le=2, description="Margin added on each side of the face, as a share of the box.")
    align: bool = Field(True, description="Turn the face upright by its landmarks where they are known.")

    @field_validator("detector")
    @classmethod
    def _registered(cls, detector: str) -> str:
        if detector not in DETECTORS:
            raise ValueError(DETECTORS.unknown(detector))
        return detector

    def _misfits(self) -> Misfits:
        given = self.landmarks is not None and self.detector != "dlib"
        yield given, f"landmarks belongs to the detector dlib, not to {self.detector}; leave it out"
        beyond = self.detector == "retinaface" and self.threshold is not None and not 0 <= self.threshold <= 1
        yield beyond, f"threshold of retinaface is a probability in [0, 1], not {self.threshold}"


class ImageConfig(ExtractorConfig):
    """Embeddings of face crops by a timm backbone, one a sampled frame."""

    modality: ClassVar[Stream] = "visual"
    extractor: str = Field("resnet50", description="'resnet50', 'vgg16', or any timm model name.")
    weights: str = Field("pretrained", description="'pretrained', 'random', or a path to a checkpoint.")
    seed: int = Field(0, ge=0, description="Seed of random weights.")
    frames: int = Field(32, ge=1, description="Frames spread evenly over the clip's presentation time.")
    input_size: int | None = Field(None, ge=32, description="Pixels; None is the backbone's own.")
    precision: Precision = "float32"
    faces: FaceConfig = FaceConfig()

    @classmethod
    def explain_unknown(cls, key: str) -> str:
        """Return what is wrong with a key, such as one that moved to the section ``training``."""
        moved = {"brightness": "brightness", "draws": "versions"}.get(key)
        return f"stands as training.augmentation.{moved}" if moved else super().explain_unknown(key)


class DrawnImageConfig(ImageConfig):
    """One brightened version of the features of :class:`ImageConfig`; no config file holds it."""

    brightness: float = Field(gt=1, description="Largest factor of the brightness.")
    draw: int = Field(ge=1, description="Number of the brightened version; with the clip's id it decides the factor.")


@EXTRACTORS.section
class CropsConfig(ExtractorConfig):
    """Face crops, cached as images: what a model that learns from pixels reads, so that no epoch decodes video."""

    modality: ClassVar[Stream] = "visual"
    extractor: Literal["crops"] = "crops"
    frames: int = Field(32, ge=1, description="Number of frames per clip.")
    take: Literal["spread", "last"] = Field(
        "spread", description="Frames spread evenly over the clip's presentation time, or its last ones, once each."
    )
    input_size: int = Field(224, ge=16, description="Height and width of a crop in pixels.")
    quality: int = Field(95, ge=50, le=100, description="Quality of the JPEG images; colours keep full resolution.")
    faces: FaceConfig = FaceConfig()


@EXTRACTORS.section
class VideoConfig(ExtractorConfig):
    """Embeddings of whole clips by a video model that was trained before: its features before the last layer.

    Which frames, how large, and which faces is what the run's own config says.
    """

    modality: ClassVar[Stream] = "visual"
    extractor: Literal["video"] = "video"
    weights: Path = Field(description="Folder of the run that trained the model.")
    windows: int = Field(1, ge=1, description="Rows per clip: as many even pieces of its frames, each read as a clip.")


@EXTRACTORS.section
class DeepSpectrumConfig(ExtractorConfig):
    """Mel-spectrogram images in viridis through an image backbone, one embedding per window."""

    modality: ClassVar[Stream] = "audio"
    extractor: Literal["deepspectrum"] = "deepspectrum"
    backbone: str = Field("densenet121", description="timm name; densenet121 gives the challenge's 1024 dimensions.")
    weights: str = Field("pretrained", description="'pretrained', 'random', or a path to a checkpoint.")
    seed: int = Field(0, ge=0, description="Seed of random weights.")
    window: float = Field(1.0, gt=0, description="Seconds of audio in one image.")
    hop: float = Field(0.5, gt=0, description="Seconds between window starts.")
    mel_bands: int = Field(128, ge=8)
    input_size: int = Field(224, ge=32, description="Side of the image in pixels.")
    precision: Precision = "float32"


@EXTRACTORS.section
class Wav2Vec2Config(ExtractorConfig):
    """Hidden states of a wav2vec 2.0 model (or HuBERT, WavLM) from transformers."""

    modality: ClassVar[Stream] = "audio"
    extractor: Literal["wav2vec2"] = "wav2vec2"
    model: str = Field(
        "facebook/wav2vec2-base",
        description="A local folder, any hub name, or wav2vec2-base, hubert-base, wavlm-base-plus.",
    )
    layer: int | Literal["mean"] = Field(-1, description="Hidden state (0: convolutional front end), or 'mean' of all.")
    hop: float | None = Field(None, gt=0, description="Average frames over this many seconds; None keeps every 20 ms.")
    chunk: float = Field(30.0, gt=1.0, description="Longer audio is embedded in pieces of this many seconds.")
    precision: Precision = "float32"


@EXTRACTORS.section
class ImportedConfig(ExtractorConfig):
    """Features that someone else computed, such as the organisers'; `eri features import` puts them into the store."""

    extractor: Literal["imported"] = "imported"
    name: str = Field(
        pattern=r"^[A-Za-z0-9][A-Za-z0-9._\-]*$",
        description="Name they were imported under: the organisers' folder, such as 'FAUs' (in any case), or --name.",
    )
    modality: Stream = Field(description="Modality of the section they are in.")
    dimension: int | None = Field(None, ge=1, description="Length of one row, to be checked; None takes any.")

    @field_validator("name")
    @classmethod
    def _organisers_case(cls, name: str) -> str:
        return ORGANISERS_FEATURES.get(name.lower(), name)


ORGANISERS_FEATURES = MappingProxyType({name.lower(): name for name in ("FAUs", "DeepSpectrum", "VGGFace2", "eGeMAPS")})
"""MuSe-2022's names of features by their lower case: copies of the data differ in it."""
EXTRACTORS.section(ImageConfig, "image")


def _describes(modality: Stream) -> Callable[[type[ExtractorConfig]], bool]:
    return lambda config: getattr(config, "modality", None) == modality or "modality" in config.model_fields


VisualConfig = Annotated[
    ExtractorConfig, EXTRACTORS.one_of(ExtractorConfig, _describes("visual"), "resnet50", ImageConfig)
]
AudioConfig = Annotated[ExtractorConfig, EXTRACTORS.one_of(ExtractorConfig, _describes("audio"))]


def parse_extractor(values: Mapping[str, Any]) -> ExtractorConfig:
    """Return the section that values describe, such as those that stand in a feature folder, of this version or 0.1.

    Raises:
        pydantic.ValidationError: They describe none.
    """
    kind = DrawnImageConfig if "draw" in values else EXTRACTORS.get(str(values.get("extractor")), ImageConfig)
    if issubclass(kind, ImageConfig):  # 0.1 recorded what training did with the features too
        values = {key: values[key] for key in values if key in kind.model_fields or key not in ("brightness", "draws")}
    return kind.model_validate(values)
