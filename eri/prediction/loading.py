"""A trained run that predicts any video: its features are computed with the extractors that it was trained with."""

from __future__ import annotations

import hashlib
import logging
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from tempfile import TemporaryDirectory
from types import MappingProxyType

import numpy as np
import pandas as pd

from eri.config import Runtime
from eri.config.tasks import Task
from eri.data.clips import SPLITS, Clip, ClipTable, Split
from eri.evaluation.cross_validation import read_cv
from eri.evaluation.ensembling import predict as predict_table
from eri.evaluation.held_out import kind_of, read_ensemble
from eri.extraction.run import ExtractionEvent, Failure, extract
from eri.features.folder import FeatureFolder
from eri.features.records import FeatureSequence
from eri.features.sources import clip_source, stamp_source
from eri.features.store import FeatureStore, open_folder
from eri.media.state import State
from eri.models.running import resolve_device
from eri.prediction.gaps import Gap, Verdict, describe_states, judge_all
from eri.prediction.members import Member, RecordedExtractor, Source, read_members
from eri.prediction.timeline import Timeline
from eri.prediction.videos import find_videos
from eri.training.data import warn_of_clips
from eri.training.learners import create_learner
from eri.utils.errors import RunError

REMARKS = ("rule", "reason", "notes")
"""The columns of a table of predictions after those of the labels."""

OnExtraction = Callable[[ExtractionEvent], None]


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
    path = Path(run)
    resolve_device(runtime.device)
    members = read_members(path)
    if not members:
        raise RunError(f"{path}: holds no model", hint="Train it again.")
    for member in members:
        create_learner(member.run.config.model).chosen(member.run)  # refuses a run whose weights are gone
    sources = {source.digest: source for member in members for source in member.sources.values()}
    extractors = {digest: RecordedExtractor(source, runtime) for digest, source in sources.items()}
    return LoadedRun(path, members, MappingProxyType(sources), MappingProxyType(extractors), runtime)


@dataclass(frozen=True, eq=False)
class LoadedRun:
    """What :func:`load` returns.

    Attributes:
        path: The folder.
        members: The models behind it.
        sources: What they read, by digest.
        extractors: What computes that, by digest.
        runtime: Device, batch size, workers and timeout.
    """

    path: Path
    members: tuple[Member, ...]
    sources: Mapping[str, Source]
    extractors: Mapping[str, RecordedExtractor]
    runtime: Runtime

    @property
    def task(self) -> Task:
        """What is predicted."""
        return self.members[0].run.task

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
            Index ``file``; a float64 column a label, within the task's range, NaN where there is no prediction;
            ``rule``: ``train-mean`` where a video shows and says nothing; ``reason``: why there is no prediction;
            ``notes``: what to know of the others.

        Raises:
            DataError: Nothing is named, or a folder or pattern holds no media.
            StoreError: The cache cannot be written.
        """
        named = [videos] if isinstance(videos, str | Path) else list(videos)
        files = {path: clip_id_of(path) for path in find_videos(named)}
        clips = {clip_id: Clip(clip_id, self.split, video=path) for path, clip_id in files.items()}
        table = ClipTable("videos", Path.cwd(), self.task, tuple(clips[name] for name in sorted(clips)))
        with _store(features) as store:
            failures = self._extract(table, store, on_event)
            verdicts = self._judge(table, store, failures)
            predicted = self.predict_table(table, store, [name for name in clips if not verdicts[name].reason])
        rows = [_row(verdicts[clip_id], predicted, clip_id, self.task) for clip_id in files.values()]
        return pd.DataFrame(rows, index=pd.Index([str(path) for path in files], name="file"))

    def timeline(
        self, video: str | Path, *, window: float = 4.0, hop: float = 1.0, on_event: Callable[..., None] | None = None
    ) -> Timeline:
        """Predict a window that slides over a video; see :func:`eri.prediction.windows.slide`."""
        from eri.prediction.windows import slide

        return slide(self, Path(video), window=window, hop=hop, on_event=on_event)

    @cached_property
    def split(self) -> Split:
        """The split that videos count as: one that no cross-validation among the models was made on."""
        taken = set(_splits_of(self.path))
        return next((name for name in reversed(SPLITS) if name not in taken), "test")

    def folder(self, store: Path, digest: str) -> FeatureFolder:
        """Return the feature folder of a source in a store."""
        return open_folder(store / self.sources[digest].folder, digest)

    def predict_table(self, table: ClipTable, store: Path, ids: Sequence[str]) -> pd.DataFrame:
        """Predict some clips of a table from a store; see :func:`eri.evaluation.evaluate.predict`."""
        if not ids:
            return pd.DataFrame(columns=[*self.task.labels, "rule"])
        chosen = ClipTable(table.name, table.root, table.task, tuple(clip for clip in table if clip.id in set(ids)))
        with self._stand_ins(table, store, ids), _saying_in_the_table():
            return predict_table(self.path, chosen, store, self.split, self.runtime)

    def _extract(self, table: ClipTable, store: Path, on_event: OnExtraction | None) -> dict[str, list[Failure]]:
        failures: dict[str, list[Failure]] = {}
        for digest, source in self.sources.items():
            extractor = self.extractors[digest]
            report = extract(
                table, [source.config], store, self.runtime, on_event=on_event, create=lambda *_, own=extractor: own
            )
            failures[digest] = list(report.failures)
        return failures

    def _judge(self, table: ClipTable, store: Path, failures: Mapping[str, Iterable[Failure]]) -> dict[str, Verdict]:
        gaps: dict[str, dict[str, Gap]] = {clip.id: {} for clip in table}
        for digest, source in self.sources.items():
            for failure in failures[digest]:
                gaps[failure.clip_id][source.modality] = Gap(failure.message, error=True)
            for clip_id, entry in self.folder(store, digest).entries(list(gaps)).items():
                gap = describe_states(entry.state_counts)
                if gap is not None:
                    gaps[clip_id].setdefault(source.modality, gap)
        return {clip_id: judge_all(self.members, lacks) for clip_id, lacks in gaps.items()}

    @contextmanager
    def _stand_ins(self, table: ClipTable, store: Path, ids: Sequence[str]) -> Iterator[None]:
        """Write an empty row for a clip where none of the clips has features of a source, for the time of a block."""
        written: list[FeatureFolder] = []
        for extractor in self.extractors.values():
            folder = FeatureStore(store).folder(extractor.name, extractor.identity())
            if folder.entries(ids):
                continue
            state = State.NO_FACE if extractor.modality == "visual" else State.NO_AUDIO
            nothing = np.zeros((1, extractor.dimension), dtype=np.float32)
            row = FeatureSequence(nothing, np.zeros(1), np.full(1, state, dtype=np.uint8))
            folder.open_for_writing()
            origin = clip_source(table[ids[0]], extractor.modality, table.root)
            assert origin is not None, "every clip has a video"
            folder.write(ids[0], row, stamp_source(origin))
            written.append(folder)
        try:
            yield
        finally:
            for folder in written:
                folder.remove(ids[0])


def clip_id_of(path: Path) -> str:
    """Return a name for a file that is the same in every call and safe in a cache.

    Examples:
        >>> clip_id_of(Path("/clips/a smile.mp4"))
        'a-smile-73d6aa2352ff'
    """
    slug = re.sub(r"[^A-Za-z0-9]+", "-", path.stem).strip("-")[:60] or "video"
    return f"{slug}-{hashlib.sha256(bytes(path.absolute())).hexdigest()[:12]}"


@contextmanager
def _saying_in_the_table() -> Iterator[None]:
    """Leave it to the table's column ``rule`` to say which clips got the train mean."""
    logger = logging.getLogger(warn_of_clips.__module__)
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        logger.setLevel(level)


@contextmanager
def _store(features: Path | None) -> Iterator[Path]:
    if features is not None:
        yield features
        return
    with TemporaryDirectory(prefix="eri-predict-", ignore_cleanup_errors=True) as folder:
        yield Path(folder)


def _row(verdict: Verdict, predicted: pd.DataFrame, clip_id: str, task: Task) -> dict[str, object]:
    notes = "; ".join(verdict.notes)
    if verdict.reason:
        return {**dict.fromkeys(task.labels, np.nan), "rule": "", "reason": verdict.reason, "notes": notes}
    values = predicted.loc[clip_id].to_dict()
    labels = {label: values[label] for label in task.labels}
    return {**labels, "rule": values["rule"], "reason": "", "notes": notes}


def _splits_of(path: Path) -> Iterator[str]:
    """Yield the splits that the cross-validations behind a folder were made on."""
    kind = kind_of(path)
    if kind == "cross-validation":
        yield from read_cv(path)["splits"]
    elif kind == "ensemble":
        for member in read_ensemble(path)["members"]:
            yield from _splits_of((path / member["path"]).resolve())
