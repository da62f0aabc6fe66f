"""Training one system from its config to its run folder."""

from __future__ import annotations

import logging
import platform
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, replace
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import torch

from eri.config import ExperimentConfig, GradientTraining, LightGBMConfig, Precision, Runtime
from eri.data.clips import ClipTable
from eri.features.folder import FeatureFolder
from eri.features.store import find_folder
from eri.models.running import resolve_device
from eri.training import data, processes
from eri.training import run_folder as layout
from eri.training.data import TrainingInputs, labelled_split
from eri.training.events import Listener, ignore
from eri.training.features import describe, find_features, open_split
from eri.training.learners import create_learner
from eri.training.losses import refuse_unfit_training
from eri.utils.errors import ConfigError

_LOG = logging.getLogger(__name__)
_PACKAGES = "eri lightgbm lightning-fabric numpy pandas safetensors scipy timm torch transformers"


def train(
    config: ExperimentConfig,
    table: ClipTable,
    features: Path,
    runs: Path,
    runtime: Runtime = Runtime(),
    *,
    name: str | None = None,
    resume: bool = False,
    overwrite: bool = False,
    on_event: Listener = ignore,
) -> Path:
    """Train a system and return its run folder.

    The epoch is chosen on the whole val split: by the mean Pearson of intensities, or by the WAR of classes (see
    :mod:`eri.metrics.scoring`). Train clips without features are left out, val clips without features are scored with
    the mean of the train labels, and both are named in ``environment.json`` and in the log. On a CPU the same seed and
    number of threads give the same weights, also when the run was interrupted and resumed.

    Processes that ``torchrun`` started train one model together: each takes a part of every batch, and the first one
    writes the run folder. Those that are in a group already stay in it.

    ``features`` is the folder of the feature store, in which every extractor of the config was run on the table. The
    run folder is named ``<config>-seed<seed>`` unless ``name`` is given, with ``-shuffled`` after it for the
    shuffled-label baseline. ``resume`` begins when there is nothing to go on from. What ``on_event`` raises, such as
    KeyboardInterrupt, leaves a run that can be resumed.

    Raises RunError where the run exists already, is being trained by another process, or is resumed with other
    settings, data or features, or where the loss is no longer finite; DataError without labelled train or val clips
    with features; StoreError where features were not extracted, or cannot be read; ConfigError for a name or device
    that cannot be, or settings that contradict each other, the kind of task or several processes.
    """
    baseline = "-shuffled" if config.training.shuffle_labels else ""
    path = layout.run_path(runs, name if name is not None else f"{config.name}-seed{config.training.seed}{baseline}")
    rank = processes.current_rank()
    if rank.writes:
        layout.refuse_existing(path, resume=resume, overwrite=overwrite)
    inputs, environment = _prepare(config, table, features, runtime)
    stays = processes.joined()
    if rank.world_size > 1:
        inputs = _join(inputs, rank)
    try:
        with _open_folder(path, inputs, environment, resume=resume, overwrite=overwrite):
            best = create_learner(config.model).learn(inputs, path, on_event if rank.writes else ignore)
    finally:
        if rank.world_size > 1 and not stays:
            processes.end_processes()
    if rank.writes:
        _LOG.info("%s: best epoch %d, %s on val %s", path, best.epoch, inputs.scorer.described, best.figure)
    return path


@contextmanager
def together(config: ExperimentConfig, runtime: Runtime) -> Iterator[None]:
    """Keep the processes that ``torchrun`` started in one group for several trainings.

    A training alone joins and leaves the others by itself, which cannot be done twice.
    """
    device = resolve_device(runtime.device)
    processes.join_processes(device, _precision(config, device))
    try:
        yield
    finally:
        processes.end_processes()


def _precision(config: ExperimentConfig, device: torch.device) -> Precision:
    wanted = config.training.precision if isinstance(config.training, GradientTraining) else "auto"
    return processes.choose_precision(wanted, device)


@contextmanager
def _open_folder(
    path: Path, inputs: TrainingInputs, environment: dict[str, Any], *, resume: bool, overwrite: bool
) -> Iterator[None]:
    """Make or go on with the run folder for the length of a block; of several processes, the first one does."""
    with ExitStack() as stack:
        if inputs.rank.writes:
            stack.enter_context(layout.locked(path))
            layout.refuse_existing(path, resume=resume, overwrite=overwrite)
            if resume and (path / layout.CONFIG).is_file():
                layout.refuse_changes(layout.read_run(path), inputs.config, environment)
                for leftover in path.glob(".*.tmp"):  # what a killed process left half-written
                    leftover.unlink(missing_ok=True)
            else:
                layout.begin(path, inputs.config, environment)
        if inputs.fabric is not None:
            inputs.fabric.barrier()
        yield
        if inputs.fabric is not None:
            inputs.fabric.barrier()  # the first one may still be writing what the others go on with


def _join(inputs: TrainingInputs, rank: processes.ProcessRank) -> TrainingInputs:
    """Wait for the other processes, and take a device of one's own; ConfigError for a system that has only one."""
    if isinstance(inputs.config.model, LightGBMConfig):
        raise ConfigError("lightgbm trains in one process", hint="Start it without torchrun.")
    if inputs.config.training_of(GradientTraining).loss.correlates:
        raise ConfigError(
            "a correlation in the loss compares the clips of a step, but each process has only some of them",
            hint="Start training without torchrun, or use training.loss.mse or cross_entropy alone.",
        )
    fabric = processes.join_processes(inputs.device, inputs.precision)
    return replace(inputs, fabric=fabric, rank=rank, device=fabric.device)


def _prepare(
    config: ExperimentConfig, table: ClipTable, features: Path, runtime: Runtime
) -> tuple[TrainingInputs, dict[str, Any]]:
    """Check everything that can be checked before a run folder is touched; return what is trained on, and where."""
    data.refuse_reserved_labels(table.task)
    refuse_unfit_training(config, table.task)
    device = resolve_device(runtime.device)
    precision = _precision(config, device)
    folders = find_features(config, features, table.name)
    brightened = [find_folder(features, extractor) for extractor in config.drawn]
    versions = {"visual": brightened} if brightened else {}
    train_split = labelled_split(table, "train", open_split(folders, table, "train"))
    val_split = labelled_split(table, "val", open_split(folders, table, "val"))
    data.refuse_unfit_clips(config.training, train_split)
    data.warn_of_absent_classes(train_split, table.task)
    opened = {
        name: tuple(open_split({name: folder}, table, "train").modalities[name] for folder in others)
        for name, others in versions.items()
    }
    inputs = TrainingInputs(config, table.task, train_split, val_split, device, precision, opened)
    return inputs, _describe(inputs, table, folders, versions)


def _describe(
    inputs: TrainingInputs,
    table: ClipTable,
    folders: Mapping[str, FeatureFolder],
    versions: Mapping[str, Sequence[FeatureFolder]],
) -> dict[str, Any]:
    """Gather what is needed to repeat a run and to judge new data against it, as JSON values."""
    train, device, ids = inputs.train, inputs.device, inputs.train.usable_ids
    return {
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "seed": inputs.config.training.seed,
        "versions": {"python": platform.python_version(), **{name: _version(name) for name in _PACKAGES.split()}},
        "machine": {
            "system": platform.system(),
            "architecture": platform.machine(),
            "device": torch.cuda.get_device_name(device) if device.type == "cuda" else "cpu",
            "threads": torch.get_num_threads(),
        },
        "precision": inputs.precision,
        "data": {
            "name": table.name,
            "fingerprint": table.fingerprint,
            "task": {**asdict(table.task), "labels": list(table.task.labels)},
        },
        "features": {name: describe(folder) for name, folder in folders.items()},
        "drawn": {name: [describe(folder) for folder in others] for name, others in versions.items()},
        "dimensions": train.features.dimensions,
        "clips": {"train": train.summary(), "val": inputs.val.summary()},
        # Train clips without a valid row, by modality: what a model learnt to do without.
        "lacking": {name: int((source.counts(ids) == 0).sum()) for name, source in train.features.sources.items()},
        "train_label_means": dict(zip(table.task.labels, inputs.fallback.tolist(), strict=True)),
    }


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "not installed"
