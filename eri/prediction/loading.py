"""A trained run that predicts any video: its features are computed with the extractors that it was trained with."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pandas as pd

from eri.config import Runtime
from eri.config.tasks import Task
from eri.data.clips import Clip, ClipTable
from eri.extraction.run import ExtractionEvent, Failure, extract
from eri.features.folder import FeatureFolder
from eri.features.store import open_folder
from eri.prediction.availability import Availability, Missing, check_availability, describe_states
from eri.prediction.extractors import RecordedExtractor
from eri.prediction.sliding import slide
from eri.prediction.timeline import Timeline, TimelineEvent
from eri.prediction.videos import find_videos
from eri.runs.opening import Member, OpenedRun, open_run
from eri.training.learners import create_learner
from eri.utils.tables import Shown, Summary

REMARKS = ("rule", "reason", "notes")
"""The columns of a table of predictions after those of the labels."""

OnExtraction = Callable[[ExtractionEvent], None]

_CLIPS_AT_ONCE = 128
"""Clips whose features are in memory and predicted together."""


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


@dataclass(frozen=True, eq=False, repr=False)
class LoadedRun(Shown):
    """What :func:`load` returns.

    Attributes:
        run: The run, which predicts from features.
        extractors: What computes them, by the digest of each source.
        runtime: Device, batch size, workers and timeout.
    """

    run: OpenedRun
    extractors: Mapping[str, RecordedExtractor]
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
        with _store(features) as store:
            failures = self._extract(table, store, on_event)
            folders = {
                digest: open_folder(store / source.folder, digest) for digest, source in self.run.sources.items()
            }
            found = self._check(list(clips), folders, failures)
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
        """Predict a window that slides over a video; see :func:`eri.prediction.sliding.slide`."""
        return slide(
            self.run,
            self.extractors,
            Path(video),
            window=window,
            hop=hop,
            on_event=on_event,
            windows_at_once=windows_at_once,
        )

    def _extract(self, table: ClipTable, store: Path, on_event: OnExtraction | None) -> dict[str, list[Failure]]:
        failures: dict[str, list[Failure]] = {}
        for digest, source in self.run.sources.items():
            extractor = self.extractors[digest]
            report = extract(
                table, [source.config], store, self.runtime, on_event=on_event, create=lambda *_, own=extractor: own
            )
            failures[digest] = list(report.failures)
        return failures

    def _check(
        self, ids: Sequence[str], folders: Mapping[str, FeatureFolder], failures: Mapping[str, Iterable[Failure]]
    ) -> dict[str, Availability]:
        missing: dict[str, dict[str, Missing]] = {clip_id: {} for clip_id in ids}
        for digest, source in self.run.sources.items():
            for failure in failures[digest]:
                missing[failure.clip_id][source.modality] = Missing(failure.message, error=True)
            for clip_id, entry in folders[digest].entries(ids).items():
                lack = describe_states(entry.state_counts)
                if lack is not None:
                    missing[clip_id].setdefault(source.modality, lack)
        return {clip_id: check_availability(self.members, lacks) for clip_id, lacks in missing.items()}

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


@contextmanager
def _store(features: Path | None) -> Iterator[Path]:
    if features is not None:
        yield features
        return
    with TemporaryDirectory(prefix="eri-predict-", ignore_cleanup_errors=True) as folder:
        yield Path(folder)


def _row(found: Availability, predicted: pd.DataFrame, clip_id: str, task: Task) -> dict[str, object]:
    notes = "; ".join(found.notes)
    if found.reason:
        return {**dict.fromkeys(task.labels, np.nan), "rule": "", "reason": found.reason, "notes": notes}
    values = predicted.loc[clip_id].to_dict()
    labels = {label: values[label] for label in task.labels}
    return {**labels, "rule": values["rule"], "reason": "", "notes": notes}
