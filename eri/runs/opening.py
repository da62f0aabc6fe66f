"""One way to open a run, a cross-validation or an ensemble, and to predict with it from features."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pandas as pd
import torch

from eri.config import ExtractorConfig, HeadTraining, Runtime
from eri.config.tasks import Task
from eri.data.clips import ClipTable, Split
from eri.features.crops import CachedCrops
from eri.features.records import CropSequence, FeatureSequence
from eri.models.running import resolve_device
from eri.runs.combination import Combination, average, from_json
from eri.runs.folders import CV_HELD_OUT, CV_MODELS, Kind, kind_of, read_cv, read_ensemble, stamp_of, task_of
from eri.training.features import FeatureSet, ModalityFeatures, RowSource, open_split, recorded_features
from eri.training.learners import TrainedModel, create_learner
from eri.training.run_folder import CONFIG, Run, read_run
from eri.utils.errors import DataError, RunError

TRAIN_MEAN = "train-mean"
"""The rule for a clip that has no valid row in any modality: the mean of each label over the train clips, which is how
frequent each class is among them."""

_MODELS_IN_MEMORY = 8  # the others are loaded each time, so that memory stays bounded

Features = Mapping[str, RowSource | Mapping[str, FeatureSequence | CropSequence]]
"""Features, from a cache or in memory by clip id, of each modality, or, where members read several extractors of one
modality, of each :attr:`Source.digest`."""


@dataclass(frozen=True, eq=False)
class Source:
    """One extractor whose features some model reads."""

    modality: Literal["visual", "audio"]
    config: ExtractorConfig
    folder: str  # name of its feature folder
    digest: str  # of its identity when the model was trained
    identity: dict[str, Any]
    dimension: int | None  # length of one embedding; None of face crops


@dataclass(frozen=True, eq=False)
class Member:
    """One trained model; it is loaded when it first predicts."""

    run: Run
    sources: Mapping[str, Source]  # what it reads, by modality
    _device: torch.device
    _loaded: dict[Path, TrainedModel]

    @property
    def handles_missing_modalities(self) -> bool:
        """Whether it learnt from clips that lacked a modality: in the data, or by dropping modalities at random."""
        training = self.run.config.training
        dropped = training.regularization.modality_dropout if isinstance(training, HeadTraining) else 0.0
        return dropped > 0 or any(self.run.environment.get("lacking", {}).values())

    def predict(self, rows: Mapping[str, RowSource], ids: Sequence[str]) -> pd.DataFrame:
        """Predict clips from rows by the digest of their source, see :meth:`OpenedRun.predict`."""
        features = FeatureSet({name: rows[source.digest] for name, source in self.sources.items()})
        usable = features.usable(ids)
        names = list(self.run.task.labels)
        means = self.run.environment["train_label_means"]
        values = np.tile(np.array([means[name] for name in names], dtype=np.float64), (len(ids), 1))
        if usable.any():
            values[usable] = self._model().predict(features, [ids[place] for place in np.flatnonzero(usable).tolist()])
        frame = pd.DataFrame(values, index=pd.Index(ids, name="clip_id"), columns=names)
        return frame.assign(rule=np.where(usable, "", TRAIN_MEAN))

    def _model(self) -> TrainedModel:
        if (model := self._loaded.get(self.run.path)) is None:
            model = create_learner(self.run.config.model).load(self.run, self._device)
            if len(self._loaded) < _MODELS_IN_MEMORY:
                self._loaded[self.run.path] = model
        return model


@dataclass(frozen=True, eq=False)
class OpenedRun:
    """What :func:`open_run` returns.

    Attributes:
        path: The folder.
        kind: ``run``, ``cross-validation`` (the mean of its models) or ``ensemble``.
        task: What is predicted.
        data_set: Name of the data set that it was trained on.
        fingerprint: Of that data set.
        splits: Splits that hold clips which cross-validations behind it were trained on.
        members: The models behind it.
        parts: What an ensemble puts together, opened.
        combination: How an ensemble does; None of other kinds.
    """

    path: Path
    kind: Kind
    task: Task
    data_set: str
    fingerprint: str
    splits: frozenset[str]
    members: tuple[Member, ...]
    parts: tuple[OpenedRun, ...] = ()
    combination: Combination | None = None

    @property
    def sources(self) -> dict[str, Source]:
        """Every extractor that a member reads, by digest."""
        return {source.digest: source for member in self.members for source in member.sources.values()}

    def predict(self, features: Features, ids: Sequence[str] | None = None) -> pd.DataFrame:
        """Predict clips from their features.

        A clip's predictions depend on its own features alone, not on the clips beside it or their order.

        Args:
            features: By modality (``visual``, ``audio``); from :meth:`read_features`, or in memory: a mapping of a
                :class:`~eri.features.records.FeatureSequence` or ``CropSequence`` by clip id. A clip that is absent in
                a modality has nothing there.
            ids: The clips; None is every clip that is in memory.

        Returns:
            Index ``clip_id``, ascending; a float64 column per label, within the task's range (the probability of a
            class); and ``rule``: empty where the models predicted, ``train-mean`` where a clip has no valid row of
            features in any modality of some member.

        Raises:
            RunError: A model's files are missing or damaged, or the features are not such as it was trained on.
            DataError: Features of a modality are not given.
        """
        if ids is None:
            ids = [clip_id for given in features.values() if isinstance(given, Mapping) for clip_id in given]
        chosen = sorted(set(ids))
        if not chosen:
            return pd.DataFrame(columns=[*self.task.labels, "rule"], index=pd.Index([], name="clip_id"))
        return self._predict({digest: self._rows(source, features) for digest, source in self.sources.items()}, chosen)

    def read_features(self, cache: Path, table: ClipTable, split: Split) -> dict[str, RowSource]:
        """Open the features of a split in a cache: those of the very extractors that the models were trained with.

        StoreError where the features are not there, or were made from other files.
        """
        found = {}
        for digest, source in self.sources.items():
            recorded: dict[str, dict[str, str]] = {source.modality: {"folder": source.folder, "digest": digest}}
            opened = open_split(recorded_features(recorded, cache), table, split)
            found[digest] = opened.sources[source.modality]
        return found

    def refuse_fitted_split(self, split: Split) -> None:
        """Raise DataError for clips that models of a cross-validation were trained on."""
        for part in self.parts:
            part.refuse_fitted_split(split)
        if self.kind == "cross-validation" and split in self.splits:
            raise DataError(
                f"{self.path}: its models were trained on clips of split '{split}'",
                hint=f"Their out-of-fold predictions are in {self.path / CV_HELD_OUT}.",
            )

    def _predict(self, rows: Mapping[str, RowSource], ids: Sequence[str]) -> pd.DataFrame:
        if self.combination is None:
            frames = [member.predict(rows, ids) for member in self.members]
            return frames[0] if self.kind == "run" else average(pd.concat(frames).reset_index(), self.task)
        frames = [part._predict(rows, ids) for part in self.parts]
        labels = list(self.task.labels)
        stacked = np.stack([frame[labels].to_numpy(dtype=np.float64) for frame in frames])
        combined = np.clip(self.combination.combine(stacked), self.task.low, self.task.high)
        result = pd.DataFrame(combined, index=frames[0].index, columns=labels)
        return result.assign(rule=np.max([frame["rule"].to_numpy(dtype=object) for frame in frames], axis=0))

    def _rows(self, source: Source, features: Features) -> RowSource:
        """Return the features of one source, as models read them."""
        given = features.get(source.digest, features.get(source.modality))
        if given is None:
            raise DataError(
                f"{self.path}: no {source.modality} features are given, which it reads",
                hint=f"Give them under '{source.modality}'; empty where the clips have none.",
            )
        rows = _in_memory(source, given) if isinstance(given, Mapping) else given
        expected = (source.identity["side"],) * 2 + (3,) if source.dimension is None else (source.dimension,)
        if tuple(rows.shape) != tuple(expected):
            raise RunError(
                f"{self.path}: its {source.modality} features have the shape {tuple(expected)} per row, those that are "
                f"given {tuple(rows.shape)}",
                hint="Give features of the extractor that it was trained with.",
            )
        return rows


def _in_memory(source: Source, given: Mapping[str, FeatureSequence | CropSequence]) -> RowSource:
    crops = {clip_id: clip for clip_id, clip in given.items() if isinstance(clip, CropSequence)}
    clips = {clip_id: clip for clip_id, clip in given.items() if isinstance(clip, FeatureSequence)}
    if source.dimension is None:
        if clips:
            hint = "Run `eri extract` with the run's config.yaml."
            raise RunError(f"a model reads face crops, but the {source.modality} features are embeddings", hint=hint)
        valid = {clip_id: len(clip.offsets) - 1 for clip_id, clip in crops.items()}
        return CachedCrops(crops.__getitem__, Path, valid, int(source.identity["side"]), "")
    embeddings = [clip.embeddings for clip in clips.values()] or [np.zeros((0, source.dimension), dtype=np.float32)]
    return ModalityFeatures.from_arrays(
        np.concatenate(embeddings),
        np.cumsum([0, *(len(clip.times) for clip in clips.values())]),
        np.concatenate([np.zeros(0, dtype=np.uint8), *(clip.states for clip in clips.values())]),
        list(clips),
        times=np.concatenate([np.zeros(0), *(clip.times for clip in clips.values())]),
    )


def open_run(path: str | Path, runtime: Runtime = Runtime()) -> OpenedRun:
    """Open a run, a cross-validation (the mean of its models) or an ensemble, to predict with it.

    Models are loaded when they first predict, and stay loaded.

    Args:
        path: Its folder, or the folder that `eri export` made.
        runtime: Its device is used.

    Raises:
        RunError: The folder, or a member of the ensemble, is incomplete or damaged, or was made again since.
        ConfigError: The device is not there.

    Examples:
        Predictions of clips whose features are in memory::

            run = eri.open_run("runs/yap-csm-v4-seed101")
            run.predict({"visual": {"clip": features}})
    """
    return _open(Path(path), resolve_device(runtime.device), {})


def run_folders(path: Path) -> Iterator[Path]:
    """Yield the folders of the runs behind a folder of any kind; RunError of a damaged one."""
    kind = kind_of(path)
    if kind == "run":
        yield path
    elif kind == "cross-validation":
        yield from sorted(model.parent for model in (path / CV_MODELS).glob(f"[!.]*/{CONFIG}"))
    else:
        for member in read_ensemble(path)["members"]:
            yield from run_folders((path / member["path"]).resolve())


def _open(path: Path, device: torch.device, loaded: dict[Path, TrainedModel]) -> OpenedRun:
    kind = kind_of(path)
    if kind == "run":
        member = _open_member(path, device, loaded)
        data = member.run.environment["data"]
        return OpenedRun(path, kind, member.run.task, data["name"], data["fingerprint"], frozenset(), (member,))
    if kind == "cross-validation":
        settings = read_cv(path)
        members = tuple(_open_member(run, device, loaded) for run in run_folders(path))
        if not members:
            raise RunError(f"{path / CV_MODELS}: no model is there", hint="Run `eri cv` again with --overwrite.")
        data, splits = settings["data"], frozenset(settings["splits"])
        return OpenedRun(path, kind, task_of(settings), data["name"], data["fingerprint"], splits, members)
    values = read_ensemble(path)
    try:
        combination, data = from_json(values["combination"]), values["data"]
        stamps = {(path / member["path"]).resolve(): str(member["stamp"]) for member in values["members"]}
    except (KeyError, TypeError, ValueError) as error:
        hint = "Make it again with --overwrite."
        raise RunError(f"{path}: the ensemble cannot be read: {error}", hint=hint) from error
    for part, stamp in stamps.items():
        if stamp_of(part) != stamp:
            hint = "Make the ensemble again: --overwrite."
            raise RunError(f"{part}: was made again since {path} was fitted on it", hint=hint)
    parts = tuple(_open(part, device, loaded) for part in stamps)
    splits = frozenset[str]().union(*(part.splits for part in parts))
    members = tuple(member for part in parts for member in part.members)
    name, fingerprint = data["name"], data["fingerprint"]
    return OpenedRun(path, kind, task_of(values), name, fingerprint, splits, members, parts, combination)


def _open_member(path: Path, device: torch.device, loaded: dict[Path, TrainedModel]) -> Member:
    run = read_run(path)
    sources = {}
    try:
        for name, config in run.config.extractors.items():
            recorded, dimension = run.environment["features"][name], run.environment["dimensions"].get(name)
            folder, digest, identity = (recorded[key] for key in ("folder", "digest", "identity"))
            sources[name] = Source(config.modality, config, folder, digest, identity, dimension)
    except (KeyError, TypeError) as error:
        raise RunError(f"{path}: does not say what features it was trained on", hint="Train it again.") from error
    return Member(run, sources, device, loaded)
