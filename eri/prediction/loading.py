"""A trained run that predicts any video: its features are computed with the extractors that it was trained with."""

from __future__ import annotations

import hashlib
import json
import logging
import re
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pandas as pd

from eri.config import Runtime
from eri.config.tasks import Task
from eri.data.clips import Clip, ClipTable
from eri.extraction.extractors.registry import create_extractor
from eri.extraction.report import ExtractionEvent
from eri.extraction.run import extract
from eri.features.folder import FeatureFolder
from eri.features.records import Extractor, Prepared
from eri.features.store import open_folder
from eri.prediction.availability import Availability, Missing, check_availability, describe_states
from eri.prediction.timeline import Timeline, TimelineEvent
from eri.prediction.videos import find_videos
from eri.prediction.windows import slide
from eri.runs.opening import Member, OpenedRun, Source, open_run
from eri.training.learners import create_learner
from eri.utils.errors import RunError
from eri.utils.files import canonical_json, differences
from eri.utils.tables import Shown, Summary
from eri.utils.workers import WorkerPool, report_progress

OnExtraction = Callable[[ExtractionEvent], None]

_LOG = logging.getLogger(__name__)

_CLIPS_AT_ONCE = 128  # clips whose features are in memory and predicted together

_MILD = frozenset({"batch_norm", "dlib", "opencv", "retinaface-pytorch", "rules", "versions"})
"""Keys of an identity that name libraries, the version of our own rules, and ways to compute the same. Another one
there changes numbers a little; another weight or setting makes other features."""


def load(run: str | Path, runtime: Runtime = Runtime()) -> LoadedRun:
    """Load a trained run, a cross-validation (the mean of its models) or an ensemble, to predict videos with it.

    Args:
        run: Its folder, or the folder that `eri export` made.
        runtime: Device, batch size, workers and timeout.

    Raises:
        RunError: The folder is incomplete, or the weights of an extractor are not those it was trained with.
        WeightsError: Weights of an extractor are nowhere to be found.
        ConfigError: The run reads imported features, which nothing computes.
        MissingDependencyError: An extractor needs an optional package.

    Examples:
        A table of a folder of clips, and the course of one over time::

            run = eri.load("runs/yap-csm-v4-seed101")
            run.predict("clips")
            run.timeline("clips/smile.mp4", window=4, hop=1)
    """
    opened = open_run(run, runtime)
    for member in opened.members:
        create_learner(member.run.config.model).chosen(member.run)  # refuses a run whose weights are gone
    extractors = {digest: RecordedExtractor(source, runtime) for digest, source in opened.sources.items()}
    return LoadedRun(opened, extractors, runtime)


class RecordedExtractor:
    """An extractor that goes by the identity it had when a run was trained with it.

    It is made again, and a RunError where its weights or settings are others than those recorded.
    """

    def __init__(self, source: Source, runtime: Runtime) -> None:
        inner: Extractor = create_extractor(source.config, runtime)
        self._inner, self._identity = inner, source.identity
        self.name, self.modality, self.dimension = inner.name, inner.modality, inner.dimension
        self.preparer = inner.preparer
        changed = [key for key, _, _ in differences(source.identity, json.loads(canonical_json(inner.identity())))]
        grave = [key for key in changed if _MILD.isdisjoint(key.split("."))]
        if grave:
            raise RunError(
                f"{self.name}: not what the run was trained with, it differs in {', '.join(grave)}",
                hint="Bring back the weights that it had, or train a run with these.",
            )
        if changed:
            _LOG.warning("%s: %s changed since the run was trained", self.name, ", ".join(changed))

    def identity(self) -> dict[str, Any]:
        """Return the recorded identity."""
        return self._identity

    def embed(self, prepared: Sequence[Prepared]) -> list[Any]:
        """Embed clips, see :meth:`~eri.features.records.Extractor.embed`."""
        return self._inner.embed(prepared)


@dataclass(frozen=True, eq=False, repr=False)
class LoadedRun(Shown):
    """What :func:`load` returns.

    Attributes:
        run: The run, which predicts from features.
        extractors: What computes them, by the digest of each source.
        runtime: Device, batch size, workers and timeout.
    """

    run: OpenedRun
    extractors: Mapping[str, Extractor]
    runtime: Runtime

    def as_table(self) -> Summary:
        """Return the models and what they read."""
        rows = [(member.run.path.name, member.run.config.name) for member in self.members]
        return Summary(f"{self.path}: predicts {', '.join(self.task.labels)}", ("model", "system"), rows)

    @property
    def path(self) -> Path:
        """The folder."""
        return self.run.path

    @property
    def task(self) -> Task:
        """What is predicted."""
        return self.run.task

    @property
    def members(self) -> tuple[Member, ...]:
        """The models behind it."""
        return self.run.members

    def predict(
        self,
        videos: str | Path | Sequence[str | Path],
        *,
        features: Path | None = None,
        on_event: OnExtraction | None = None,
    ) -> pd.DataFrame:
        """Predict videos.

        Args:
            videos: Files, folders and patterns; see :func:`~eri.prediction.videos.find_videos`.
            features: Keep the features in this cache, so that the same videos are quick the next time.
            on_event: Called with the progress of each extractor.

        Returns:
            Index ``file``; a float64 column per label, within the task's range, NaN where there is no prediction;
            ``rule``: ``train-mean`` where a video shows and says nothing; ``reason``: why there is no prediction;
            ``notes``: what to know of the others.

        Raises:
            DataError: Nothing is named, or a folder or pattern holds no media.
            StoreError: The cache cannot be written.
        """
        named = [videos] if isinstance(videos, str | Path) else list(videos)
        files = {path: clip_id_of(path) for path in find_videos(named)}
        clips = {clip_id: Clip(clip_id, "test", video=path) for path, clip_id in files.items()}
        table = ClipTable("videos", Path.cwd(), self.task, tuple(clips[name] for name in sorted(clips)))
        with ExitStack() as exits:
            if features is None:
                temporary = TemporaryDirectory(prefix="eri-predict-", ignore_cleanup_errors=True)
                features = Path(exits.enter_context(temporary))
            folders, missing = self._extract(table, features, on_event)
            found = {clip_id: check_availability(self.members, lacks) for clip_id, lacks in missing.items()}
            predicted = self._predict([name for name in sorted(clips) if not found[name].reason], folders)
        rows = [_row(found[clip_id], predicted, clip_id, self.task) for clip_id in files.values()]
        return pd.DataFrame(rows, index=pd.Index([str(path) for path in files], name="file"))

    def timeline(
        self,
        video: str | Path,
        *,
        window: float = 4.0,
        hop: float = 1.0,
        on_event: Callable[[TimelineEvent], None] | None = None,
        windows_at_once: int = 64,
    ) -> Timeline:
        """Predict a window that slides over a video.

        Each window is predicted as a clip of its own: as many frames as the run reads of a clip, spread over the window
        or its last ones, as the run has it, and the window's audio. The subject is looked for in 32 frames at a time,
        which windows share. Memory does not grow with the video's length.

        Args:
            video: Any video or audio file, or a folder of numbered images.
            window: Seconds of a window.
            hop: Seconds between two windows.
            on_event: Called after every few windows.
            windows_at_once: Windows whose features are in memory and predicted together.

        Raises:
            ConfigError: A window or hop that is not a positive number.
            MediaError: The file is missing, damaged or not media, or lacks what the run reads.
            DataError: It lacks a modality that the run was not trained to do without.
        """
        return slide(self.run, self.extractors, Path(video), window, hop, on_event, windows_at_once)

    def _extract(
        self, table: ClipTable, store: Path, on_event: OnExtraction | None
    ) -> tuple[dict[str, FeatureFolder], dict[str, dict[str, Missing]]]:
        """Return the feature folders, by the digest of each source, and what each clip lacks, by modality."""
        folders: dict[str, FeatureFolder] = {}
        missing: dict[str, dict[str, Missing]] = {clip.id: {} for clip in table}
        for digest, source in self.run.sources.items():
            extractor = self.extractors[digest]
            report = extract(
                table, [source.config], store, self.runtime, on_event=on_event, create=lambda *_, own=extractor: own
            )
            folders[digest] = open_folder(store / source.folder, digest)
            for failure in report.failures:
                missing[failure.clip_id][source.modality] = Missing(failure.message, error=True)
            for clip_id, entry in folders[digest].entries(missing).items():
                if (lack := describe_states(entry.state_counts)) is not None:
                    missing[clip_id].setdefault(source.modality, lack)
        return folders, missing

    def _predict(self, ids: Sequence[str], folders: Mapping[str, FeatureFolder]) -> pd.DataFrame:
        """Predict clips from their feature files, some at a time."""
        frames = []
        for first in range(0, len(ids), _CLIPS_AT_ONCE):
            block = ids[first : first + _CLIPS_AT_ONCE]
            features = {
                digest: {clip_id: folder.read_record(clip_id) for clip_id in folder.entries(block)}
                for digest, folder in folders.items()
            }
            frames.append(self.run.predict(features, block))
        return pd.concat(frames) if frames else self.run.predict({}, [])


def clip_id_of(path: Path) -> str:
    """Return a name for a file that is the same in every call and safe in a cache.

    Examples:
        >>> clip_id_of(Path("/clips/a smile.mp4"))
        'a-smile-73d6aa2352ff'
    """
    slug = re.sub(r"[^A-Za-z0-9]+", "-", path.stem).strip("-")[:60] or "video"
    return f"{slug}-{hashlib.sha256(bytes(path.absolute())).hexdigest()[:12]}"


def _row(found: Availability, predicted: pd.DataFrame, clip_id: str, task: Task) -> dict[str, object]:
    notes = "; ".join(found.notes)
    if found.reason:
        return {**dict.fromkeys(task.labels, np.nan), "rule": "", "reason": found.reason, "notes": notes}
    values = predicted.loc[clip_id, [*task.labels, "rule"]].to_dict()
    return {**{str(name): value for name, value in values.items()}, "reason": "", "notes": notes}


class TimelineWorker(WorkerPool[Path, Timeline]):
    """Makes timelines in a worker process, which loads the run once; use it as a context.

    A file that hangs or crashes its decoder costs itself only. The runtime's timeout is what one video may take; window
    and hop are in seconds.
    """

    def __init__(self, run: Path, runtime: Runtime, *, window: float, hop: float) -> None:
        maker = _TimelineMaker(run, runtime, window, hop)
        hint = "Give it more time with --timeout SECONDS, or take fewer windows with a longer --hop."
        task = "making its timeline"
        super().__init__(maker.make, 1, timeout=runtime.timeout, task=task, hint=hint, setup=maker.load)

    def make(self, video: Path, on_event: Callable[[TimelineEvent], None] | None = None) -> Timeline:
        """See :meth:`LoadedRun.timeline`; a timeout or crash is a WorkerError, the next video gets a new process."""
        return self.submit(video, str(video), on_event).result()


@dataclass
class _TimelineMaker:
    """What the worker process does; the run is loaded there."""

    path: Path
    runtime: Runtime
    window: float
    hop: float
    loaded: LoadedRun | None = None

    def load(self) -> None:
        logging.getLogger("eri").setLevel(logging.ERROR)  # the parent has loaded the run too, and reported warnings
        self.loaded = load(self.path, self.runtime)

    def make(self, video: Path) -> Timeline:
        assert self.loaded is not None, "the pool calls setup first"
        return self.loaded.timeline(video, window=self.window, hop=self.hop, on_event=report_progress)
