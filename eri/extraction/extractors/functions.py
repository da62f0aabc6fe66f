"""A plain function as an extractor: over windows of audio, or over face crops."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from eri.config import ExtractorConfig, FaceConfig, Runtime, Stream
from eri.extraction.extractors.preparing import ImagePreparer, WindowPreparer
from eri.features.records import Prepared, Preparer
from eri.media.audio import SAMPLE_RATE
from eri.media.state import State
from eri.utils.errors import PluginError
from eri.utils.registry import source_digest

_RULES = 1
"""Version of the rules in this family: raised when its numbers change for the same settings."""

_ROWS_AT_ONCE = 256


class AudioFunctionConfig(ExtractorConfig):
    """What every function over windows of audio has beside settings of its own."""

    window: float = Field(1.0, gt=0, description="Seconds of audio in one window.")
    hop: float = Field(0.5, gt=0, description="Seconds from the start of one window to the next.")


class VisualFunctionConfig(ExtractorConfig):
    """What every function over face crops has beside settings of its own."""

    frames: int = Field(32, ge=1, description="Frames spread evenly over the clip's presentation time.")
    input_size: int = Field(224, ge=16, description="Height and width of a face crop in pixels.")
    faces: FaceConfig = FaceConfig()


@dataclass(eq=False)
class FunctionExtractor:
    """Calls a function for the valid rows of each clip, in the process that would hold a model.

    Attributes:
        function: What :func:`~eri.extraction.extractors.registry.register_extractor` was put before.
        version: As it was registered.
        modality: What the function reads.
        with_settings: Whether it is given its section of the config as a last argument.
        config: The section.
        device: Of a face detector that uses one.
        dimension: Length of a row.
        name: The name that it was registered under.
    """

    function: Callable[..., Any]
    version: str
    modality: Stream
    with_settings: bool
    config: ExtractorConfig
    device: str
    dimension: int
    name: str = ""

    def __post_init__(self) -> None:
        self.name = self.config.extractor

    @property
    def preparer(self) -> Preparer:
        """The part that decodes."""
        config = self.config
        if isinstance(config, VisualFunctionConfig):
            device = self.device if config.faces.detector == "retinaface" else "cpu"
            return ImagePreparer(config.frames, config.input_size, config.faces, device)
        assert isinstance(config, AudioFunctionConfig)
        window, hop = (max(1, round(seconds * SAMPLE_RATE)) for seconds in (config.window, config.hop))
        return WindowPreparer(window, hop, SAMPLE_RATE)

    def identity(self) -> dict[str, Any]:
        """Return everything that determines the numbers, as JSON values."""
        from eri.media.faces import face_identity
        from eri.models.running import library_versions  # imports torch, which a function may do without

        settings = self.config.model_dump(mode="json", exclude={"faces"})
        faces = getattr(self.config, "faces", None)
        return {
            "family": "function",
            "rules": _RULES,
            "settings": settings,
            "version": self.version,
            "source": source_digest(self.function, self.version),
            "versions": library_versions("av", "numpy"),
            **({} if faces is None else {"faces": face_identity(faces)}),
        }

    def embed(self, prepared: Sequence[Prepared]) -> list[NDArray[np.float32]]:
        """Call the function for each clip; each result is float32 (valid rows of that clip, dimension)."""
        return [self._rows(clip) for clip in prepared]

    def _rows(self, clip: Prepared) -> NDArray[np.float32]:
        rows = np.flatnonzero(clip.states == State.VALID)
        result = np.empty((len(rows), self.dimension), dtype=np.float32)
        for first in range(0, len(rows), _ROWS_AT_ONCE):
            part = slice(first, first + _ROWS_AT_ONCE)
            inputs = clip.inputs[part] if self.modality == "visual" else self._windows(clip, rows[part])
            result[part] = call(self.function, inputs, self._extra, self.dimension)
        return result

    @property
    def _extra(self) -> tuple[Any, ...]:
        return extra_arguments(self.modality, self.config, self.with_settings)

    def _windows(self, clip: Prepared, rows: NDArray[np.intp]) -> NDArray[np.float32]:
        """Cut windows out of a clip's audio; what is after its end is zero."""
        preparer = self.preparer
        assert isinstance(preparer, WindowPreparer)
        windows = np.zeros((len(rows), preparer.window), dtype=np.float32)
        for window, row in zip(windows, rows, strict=True):
            piece = clip.inputs[row * preparer.hop : row * preparer.hop + preparer.window]
            window[: len(piece)] = piece
        return windows


@dataclass(frozen=True)
class FunctionFactory:
    """Makes the extractor of a function; it is sent to other processes, which import the function's module.

    Attributes:
        function: The function.
        modality: What it reads.
        version: As it was registered.
        with_settings: Whether it is given its section of the config as a last argument.
    """

    function: Callable[..., Any]
    modality: Stream
    version: str
    with_settings: bool

    def __call__(self, config: Any, runtime: Runtime) -> FunctionExtractor:
        """Return the extractor; its function is called once, on noise, to learn how long a row is.

        Raises:
            PluginError: It raises, or does not return one row of numbers per window or crop.
        """
        from eri.models.running import resolve_device  # imports torch, which a function may do without

        generator = np.random.default_rng(0)
        noise: NDArray[Any]
        if self.modality == "audio":
            noise = generator.normal(0, 0.1, (2, max(1, round(config.window * SAMPLE_RATE)))).astype(np.float32)
        else:
            noise = generator.integers(0, 256, (2, config.input_size, config.input_size, 3), dtype=np.uint8)
        extra = extra_arguments(self.modality, config, self.with_settings)
        try:
            dimension = call(self.function, noise, extra).shape[1]
        except Exception as error:
            raise PluginError(
                f"{self.function.__module__}: the extractor '{config.extractor}' fails on noise of shape "
                f"{noise.shape}: {type(error).__name__}: {error}",
                hint="It is called so once, to learn how many numbers it makes of each window or crop.",
            ) from error
        source_digest(self.function, self.version)
        device = str(resolve_device(runtime.device))
        return FunctionExtractor(
            self.function, self.version, self.modality, self.with_settings, config, device, dimension
        )


def extra_arguments(modality: Stream, config: ExtractorConfig, with_settings: bool) -> tuple[Any, ...]:
    """Return what a function is given after its windows or crops."""
    return (*((SAMPLE_RATE,) if modality == "audio" else ()), *((config,) if with_settings else ()))


def call(
    function: Callable[..., Any], inputs: NDArray[Any], extra: tuple[Any, ...], dimension: int | None = None
) -> NDArray[np.float32]:
    """Call a function and check what it returns.

    Args:
        function: It.
        inputs: Windows or crops, n of them.
        extra: What else it is given.
        dimension: Length that a row must have; None allows any.

    Returns:
        float32 (n, dimension).

    Raises:
        ValueError: It returned something else, or a number that is not finite.
    """
    rows = np.asarray(function(inputs, *extra), dtype=np.float32)
    wanted = f"({len(inputs)}, {'any length' if dimension is None else dimension})"
    if rows.ndim != 2 or len(rows) != len(inputs) or (dimension is not None and rows.shape[1] != dimension):
        raise ValueError(f"{function.__qualname__} returned an array of shape {rows.shape}, not {wanted}")
    if not np.isfinite(rows).all():
        raise ValueError(f"{function.__qualname__} returned a number that is not finite")
    return rows
