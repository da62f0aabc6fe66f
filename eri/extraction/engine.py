"""What an extraction runs on: an engine loads a model, and the model gives a line that clips are put on."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any, Literal, Protocol

from eri.config import ExtractorConfig
from eri.data.clips import Clip
from eri.extraction.stages import StageShares
from eri.features.folder import FeatureFolder
from eri.features.index import Entry
from eri.features.sources import Source
from eri.utils.errors import EriError

EngineName = Literal["local", "ray"]


@dataclass(frozen=True)
class Task:
    """One clip to be done.

    Attributes:
        clip: The clip.
        source: What its features are made from; None where the data set names nothing.
    """

    clip: Clip
    source: Source | None


@dataclass(frozen=True)
class Settled:
    """What became of a clip: it has features, it failed, or, with neither, another run has it.

    Attributes:
        clip_id: The clip's id.
        entry: Of its features.
        error: Why it failed.
        computed: Whether the features were made just now, and not found.
    """

    clip_id: str
    entry: Entry | None = None
    error: EriError | None = None
    computed: bool = False


class Line(Protocol):
    """Where clips are put to be done; it tells of each exactly once, in the thread that calls it."""

    @property
    def has_room(self) -> bool:
        """Whether another clip may be submitted."""
        ...

    @property
    def busy(self) -> bool:
        """Whether any clip has been submitted and not told of."""
        ...

    def submit(self, task: Task) -> None:
        """Have a clip done."""
        ...

    def advance(self) -> None:
        """Wait until something has moved on, for a bounded time.

        Raises:
            StoreError: The feature folder cannot be written; what was finished before is kept.
            EriError: Something that concerns every clip, such as missing weights.
            RuntimeError: A bug; it names the clip, and the error itself is its cause.
        """
        ...

    def shares(self, seconds: float) -> StageShares | None:
        """Return how busy each stage was in so many seconds; None where nothing was done."""
        ...


class Model(Protocol):
    """An extractor that an engine has loaded, somewhere.

    Attributes:
        name: Short name for folders and tables.
        modality: What the features describe.
    """

    name: str
    modality: Literal["visual", "audio"]

    def identity(self) -> dict[str, Any]:
        """Return everything that determines the numbers, see :class:`~eri.features.records.Extractor`."""
        ...

    def open_line(
        self, folder: FeatureFolder, clips: int, on_settled: Callable[[Settled], None]
    ) -> AbstractContextManager[Line]:
        """Give a line for as long as a block runs.

        Args:
            folder: Where the features go.
            clips: How many clips there are to do.
            on_settled: Called with what became of each.
        """
        ...


class Engine(Protocol):
    """What loads models and runs them."""

    def load(self, config: ExtractorConfig, missing: Callable[[], int]) -> AbstractContextManager[Model]:
        """Load an extractor for as long as a block runs.

        Args:
            config: The extractor.
            missing: Counts the clips that there seem to be to do, which takes a look at each.

        Raises:
            EriError: It cannot be loaded, such as for missing weights.
        """
        ...
