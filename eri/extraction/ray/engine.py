"""The engine that runs on a Ray cluster."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path
from typing import Any

from eri.config import ExtractorConfig, Runtime
from eri.extraction.cluster.connecting import Cluster
from eri.extraction.engine import Line, Model, Settled
from eri.extraction.pipeline import WAITING
from eri.extraction.pool import look_ahead
from eri.extraction.ray.actor import Desk, ModelFacts
from eri.extraction.ray.crew import Crew
from eri.extraction.ray.line import RayLine
from eri.features.folder import FeatureFolder
from eri.features.records import Extractor
from eri.storage import mirrored_url


class RayEngine:
    """Loads models into actors of a Ray cluster.

    Each actor takes a core of its node for each worker process, and a GPU where the cluster has any and the device
    is not ``cpu``. There are as many actors as the cluster has room for, and never more than clips.

    Args:
        cluster: The cluster.
        runtime: Device, batch size, workers of each actor, and timeout.
        create: Makes an extractor from its config, on the nodes.
        data: Folder of the data set, which every node must see; None where it is in no folder.
    """

    def __init__(
        self,
        cluster: Cluster,
        runtime: Runtime,
        create: Callable[[ExtractorConfig, Runtime], Extractor],
        data: Path | None = None,
    ) -> None:
        self._cluster = cluster
        self._runtime = runtime
        self._create = create
        self._data = data
        self._limit = look_ahead(runtime.workers) + WAITING

    @contextmanager
    def load(self, config: ExtractorConfig, missing: Callable[[], int]) -> Iterator[Model]:
        """Load an extractor in as many actors as there seem to be clips to do, in one at least.

        Raises:
            EriError: It cannot be loaded there, or the cluster has no room for it.
        """
        crew = Crew(self._cluster, config, self._runtime, self._create, self._limit)
        wanted = max(1, missing())
        try:
            while crew.model is None:
                crew.keep(wanted)
                crew.poll()
            yield RayModel(crew, crew.model, self._runtime, self._limit, self._data)
        finally:
            crew.dismiss()


class RayModel:
    """A model that actors hold.

    Attributes:
        name: Short name for folders and tables.
        modality: What the features describe.
    """

    def __init__(self, crew: Crew, facts: ModelFacts, runtime: Runtime, limit: int, data: Path | None) -> None:
        self.name = facts.name
        self.modality = facts.modality
        self._crew = crew
        self._facts = facts
        self._runtime = runtime
        self._limit = limit
        self._data = data

    def identity(self) -> dict[str, Any]:
        """Return everything that determines the numbers; all actors agree on it."""
        return self._facts.identity

    def open_line(
        self, folder: FeatureFolder, clips: int, on_settled: Callable[[Settled], None]
    ) -> AbstractContextManager[Line]:
        """Give a line of actors that all see the feature folder."""
        return self._open(folder, clips, on_settled)

    @contextmanager
    def _open(self, folder: FeatureFolder, clips: int, on_settled: Callable[[Settled], None]) -> Iterator[Line]:
        # Clips of an object store are fetched by each node for itself.
        here = self._data is not None and self._data.exists() and mirrored_url(self._data, "data") is None
        data = self._data.absolute() if self._data is not None and here else None
        line = RayLine(self._crew, clips, self._limit, self._runtime.workers, on_settled)
        # A claim, so that its file is swept away by the next run should this process be killed.
        name = f"driver-{secrets.token_hex(16)}"
        claim = folder.lock_clip(name)
        with claim or nullcontext():
            self._crew.open(Desk(folder.for_others(), f".claims/{name}.lock", data), line.lose)
            yield line
            if self._crew.former:  # one that was killed may have left a file that it was writing
                folder.sweep_all()
