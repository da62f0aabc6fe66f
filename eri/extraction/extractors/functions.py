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
from eri.features.records import Prepared
from eri.media.audio import SAMPLE_RATE
from eri.media.state import State
from eri.utils.errors import PluginError
from eri.utils.registry import source_digest

_RULES = 1  # version of the rules in this family: raised when its numbers change for the same settings
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


@dataclass(frozen=True)
class FunctionFactory:
    """Makes the extractor of a function; it is sent to other processes, which import the function's module.

    ``with_settings``: the function is given its section of the config as a last argument.
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
        try:
            dimension = self.rows(noise, config).shape[1]
        except Exception as error:
            raise PluginError(
                f"{self.function.__module__}: the extractor '{config.extractor}' fails on noise of shape "
                f"{noise.shape}: {type(error).__name__}: {error}",
                hint="It is called so once, to learn how many numbers it makes of each window or crop.",
            ) from error
        source_digest(self.function, self.version)  # refuses a function whose source cannot be read
        return FunctionExtractor(self, config, str(resolve_device(runtime.device)), dimension)

    def rows(self, inputs: NDArray[Any], config: ExtractorConfig, dimension: int | None = None) -> NDArray[np.float32]:
        """Return what the function makes of n windows or crops, float32 (n, dimension); None allows any dimension.

        Anything else, or a number that is not finite, is a ValueError.
        """
        rate = (SAMPLE_RATE,) if self.modality == "audio" else ()
        rows = np.asarray(self.function(inputs, *rate, *([config] * self.with_settings)), dtype=np.float32)
        name, wanted = (
            self.function.__qualname__,
            f"({len(inputs)}, {'any length' if dimension is None else dimension})",
        )
        if rows.ndim != 2 or len(rows) != len(inputs) or (dimension is not None and rows.shape[1] != dimension):
            raise ValueError(f"{name} returned an array of shape {rows.shape}, not {wanted}")
        if not np.isfinite(rows).all():
            raise ValueError(f"{name} returned a number that is not finite")
        return rows


class FunctionExtractor:
    """Calls a function for the valid rows of each clip, in the process that would hold a model.

    See :class:`~eri.features.records.Extractor`.
    """

    def __init__(self, factory: FunctionFactory, config: ExtractorConfig, device: str, dimension: int) -> None:
        self.name = config.extractor
        self.modality = factory.modality
        self.dimension = dimension
        self._factory, self._config = factory, config
        self.preparer: ImagePreparer | WindowPreparer
        if isinstance(config, VisualFunctionConfig):
            detect_on = device if config.faces.detector == "retinaface" else "cpu"
            self.preparer = ImagePreparer(config.frames, config.input_size, config.faces, detect_on)
        else:
            assert isinstance(config, AudioFunctionConfig)
            window, hop = (max(1, round(seconds * SAMPLE_RATE)) for seconds in (config.window, config.hop))
            self.preparer = WindowPreparer(window, hop, SAMPLE_RATE)

    def identity(self) -> dict[str, Any]:
        """Return everything that determines the numbers, as JSON values."""
        from eri.media.faces import face_identity
        from eri.models.running import library_versions  # imports torch, which a function may do without

        faces = getattr(self._config, "faces", None)
        version = self._factory.version
        return {
            "family": "function",
            "rules": _RULES,
            "settings": self._config.model_dump(mode="json", exclude={"faces"}),
            "version": version,
            "source": source_digest(self._factory.function, version),
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
            own = self.preparer
            inputs = own.cut(clip.inputs, rows[part]) if isinstance(own, WindowPreparer) else clip.inputs[part]
            result[part] = self._factory.rows(inputs, self._config, self.dimension)
        return result
