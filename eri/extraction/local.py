"""The engine that needs no other: the model in this process, its workers beside it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any

from eri.config import ExtractorConfig, Runtime
from eri.extraction.engine import Line, Model, Settled
from eri.extraction.pipeline import Pipeline
from eri.features.folder import FeatureFolder
from eri.features.records import Extractor


class LocalEngine:
    """Loads models into this process.

    Args:
        runtime: Device, batch size, workers and timeout.
        create: Makes an extractor from its config.
    """

    def __init__(self, runtime: Runtime, create: Callable[[ExtractorConfig, Runtime], Extractor]) -> None:
        self._runtime = runtime
        self._create = create

    @contextmanager
    def load(self, config: ExtractorConfig, missing: Callable[[], int]) -> Iterator[Model]:
        """Load an extractor for as long as a block runs."""
        yield LocalModel(self._create(config, self._runtime), self._runtime)


class LocalModel:
    """A model of this process.

    Attributes:
        name: Short name for folders and tables.
        modality: What the features describe.
    """

    def __init__(self, extractor: Extractor, runtime: Runtime) -> None:
        self.name = extractor.name
        self.modality = extractor.modality
        self._extractor = extractor
        self._runtime = runtime

    def identity(self) -> dict[str, Any]:
        """Return everything that determines the numbers."""
        return self._extractor.identity()

    def open_line(
        self, folder: FeatureFolder, clips: int, on_settled: Callable[[Settled], None]
    ) -> AbstractContextManager[Line]:
        """Give a pipeline of this process."""
        return Pipeline(self._extractor, folder, self._runtime, clips, on_settled)
