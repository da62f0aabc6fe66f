"""The actor: a process on some node that holds a model and puts clips through a pipeline of its own."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Mapping
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from queue import Empty, Queue
from threading import Event
from typing import Any, Literal

from eri.config import ExtractorConfig, Runtime
from eri.extraction.cluster.connecting import NodeFacts, this_node
from eri.extraction.engine import Settled, Task
from eri.extraction.pipeline import Pipeline
from eri.extraction.stages import Stage
from eri.features.folder import FeatureFolder
from eri.features.problems import explained
from eri.features.records import Extractor
from eri.utils.errors import DataError, StoreError

_HEARTBEAT = 0.5
"""Seconds after which an actor that has nothing to do looks whether it is to end."""


@dataclass(frozen=True)
class ModelFacts:
    """What a model says of itself.

    Attributes:
        name: Short name for folders and tables.
        modality: What the features describe.
        identity: Everything that determines the numbers.
    """

    name: str
    modality: Literal["visual", "audio"]
    identity: dict[str, Any]


@dataclass(frozen=True)
class Desk:
    """What every actor must find on its node.

    Attributes:
        folder: Where the features go.
        probe: A file in it that the driver has made, of a name that is nowhere else.
        data: Folder of the data set, where it is one that the driver sees.
    """

    folder: FeatureFolder
    probe: str
    data: Path | None


@dataclass(frozen=True)
class Answer:
    """What became of a clip, and how busy the stages of this actor have been so far.

    Attributes:
        settled: What became of it.
        seconds: Of each stage, since the actor began.
    """

    settled: Settled
    seconds: Mapping[Stage, float]


class ModelActor:
    """Introduces itself, loads a model, sits down at a desk, and then does clips until it is to leave.

    Ray calls each method in a thread of its own; one more thread runs the pipeline, and the calls wait for what it
    says of their clips.
    """

    def __init__(self) -> None:
        # Worker processes would import the main program anew, and Ray's takes half a second and 50 MB.
        sys.modules["__main__"].__dict__.pop("__file__", None)
        self._tasks: Queue[Task] = Queue()
        self._answers: dict[str, Future[Answer]] = {}
        self._ending = Event()
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="pipeline")

    def introduce(self, place: Path) -> NodeFacts:
        """Go to the driver's own folder, where the node has it, so that relative paths mean the same."""
        with suppress(OSError):
            os.chdir(place)
        return this_node()

    def load(
        self, config: ExtractorConfig, runtime: Runtime, create: Callable[[ExtractorConfig, Runtime], Extractor]
    ) -> ModelFacts:
        """Load the model.

        Raises:
            EriError: It cannot be loaded, such as for weights that this node lacks.
        """
        self._extractor = create(config, runtime)
        self._runtime = runtime
        return ModelFacts(self._extractor.name, self._extractor.modality, self._extractor.identity())

    def sit_down(self, desk: Desk) -> None:
        """Begin to wait for clips.

        Raises:
            StoreError: The feature folder is not the driver's, or cannot be written here.
            DataError: The data set is not here.
        """
        _find(desk)
        self._running = self._thread.submit(self._run, desk.folder)

    def work_on(self, task: Task) -> Answer:
        """Do a clip.

        Raises:
            EriError: Something that concerns every clip.
            RuntimeError: A bug; it names the clip.
        """
        answer: Future[Answer] = Future()
        self._answers[task.clip.id] = answer
        self._tasks.put(task)
        either: list[Future[Any]] = [answer, self._running]
        wait(either, return_when=FIRST_COMPLETED)
        if not answer.done():
            self._running.result()  # raises what ended the pipeline
        return answer.result(timeout=0)

    def leave(self) -> None:
        """End the worker processes and remove what is temporary; clips that are not done yet are left undone."""
        self._ending.set()
        self._thread.shutdown(wait=True)

    def _run(self, folder: FeatureFolder) -> None:
        line = Pipeline(
            self._extractor,
            folder,
            self._runtime,
            max(1, self._runtime.workers),
            lambda settled: self._answers.pop(settled.clip_id).set_result(Answer(settled, line.clock.seconds())),
        )
        with line:
            while not self._ending.is_set():
                while line.has_room and (task := self._next(wait=not line.busy)) is not None:
                    line.submit(task)
                if line.busy:
                    line.advance()
        folder.finish()

    def _next(self, *, wait: bool) -> Task | None:
        try:
            return self._tasks.get(wait, _HEARTBEAT)
        except Empty:
            return None


def _find(desk: Desk) -> None:
    """Raise an error unless this node sees what the driver sees."""
    if desk.folder.on_disk:
        _find_folder(desk.folder.path, desk)
    if desk.data is not None and not desk.data.exists():
        raise DataError(
            f"{desk.data}: the data set is not there",
            hint="Every node must see the clips under the same path: put them on a file system that all nodes share.",
        )


def _find_folder(folder: Path, desk: Desk) -> None:
    if not (folder / desk.probe).exists():
        raise StoreError(
            f"{folder}: is {'not the feature folder of the driver' if folder.exists() else 'not there'}",
            hint="Every node must see one feature folder under the same path: put it on a file system that all nodes "
            "share, such as NFS, and name it with --features DIR, or give the URL of an object store. Without either, "
            "give each machine its own --shard.",
        )
    with explained(folder):
        probe = folder / f".probe.{os.getpid()}.{os.urandom(4).hex()}.tmp"
        probe.touch()
        probe.unlink()
