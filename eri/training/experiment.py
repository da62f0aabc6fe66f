"""Training one system from its config to its run folder."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from eri.config import ExperimentConfig, Precision, Runtime
from eri.data.clips import ClipTable
from eri.models import Regressor, Standardizer
from eri.training import runs as layout
from eri.training.checkpoint import seed_generators
from eri.training.data import (
    SplitData,
    fallback_vector,
    label_means,
    labelled_split,
    refuse_reserved_labels,
    refuse_silent_modality,
    shuffled,
)
from eri.training.device import choose_device, choose_precision, create_fabric
from eri.training.environment import describe_run
from eri.training.events import Listener, ignore
from eri.training.loading import Loader
from eri.training.loop import Material, Trainer
from eri.training.sources import find_features, open_split
from eri.training.standardization import fit

_LOG = logging.getLogger(__name__)


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

    The epoch is chosen by the mean Pearson of the whole val split (see :func:`eri.training.selection.validate`). Train
    clips without features are left out, val clips without features are scored with the mean of the train labels, and
    both are named in ``environment.json`` and in the log. On a CPU the same seed and number of threads give the same
    weights, also when the run was interrupted and resumed.

    Args:
        config: The system.
        table: Its train and val splits need labels.
        features: Folder of the feature store; every extractor of the config must have been run on the table.
        runs: Folder that run folders stand in.
        runtime: Its device is used.
        name: Of the run folder; None is ``<config>-seed<seed>``, with ``-shuffled`` after it for the control.
        resume: Go on after the last whole epoch; begins when there is nothing to go on from.
        overwrite: Replace a run of this name.
        on_event: Called with each event; what it raises, such as KeyboardInterrupt, leaves a run that can be resumed.

    Raises:
        RunError: The run exists already, is being trained by another process, or is resumed with other settings, data
            or features; or the loss is no longer finite.
        DataError: No labelled train or val clips with features.
        StoreError: Features were not extracted, or cannot be read.
        ConfigError: A name or device that cannot be.
    """
    path = layout.run_path(runs, name if name is not None else layout.default_name(config))
    layout.refuse_existing(path, resume=resume, overwrite=overwrite)
    prepared = _prepare(config, table, features, runtime)
    with layout.claimed(path):
        layout.refuse_existing(path, resume=resume, overwrite=overwrite)
        if resume and (path / layout.CONFIG).is_file():
            layout.refuse_changes(layout.read_run(path), config, prepared.environment)
            layout.sweep(path)
        else:
            layout.begin(path, config, prepared.environment)
        trainer = _create_trainer(config, table, prepared, path, on_event)
        if (path / layout.STATE).is_file():
            trainer.resume()
        best = trainer.run().best
    _LOG.info("%s: best epoch %d, mean val Pearson %s", path, best.epoch, best.mean)
    return path


@dataclass(frozen=True, eq=False)
class _Prepared:
    train: SplitData
    val: SplitData
    device: torch.device
    precision: Precision
    environment: dict[str, Any]


def _prepare(config: ExperimentConfig, table: ClipTable, features: Path, runtime: Runtime) -> _Prepared:
    """Check everything that can be checked before a run folder is touched."""
    refuse_reserved_labels(table.task)
    device = choose_device(runtime.device)
    precision = choose_precision(config.training.precision, device)
    folders = find_features(config, features)
    data = labelled_split(table, "train", open_split(folders, table, "train"))
    val = labelled_split(table, "val", open_split(folders, table, "val"))
    refuse_silent_modality(data)
    environment = describe_run(config, table, folders, data, val, device=device, precision=precision)
    return _Prepared(data, val, device, precision, environment)


def _create_trainer(
    config: ExperimentConfig, table: ClipTable, prepared: _Prepared, path: Path, on_event: Listener
) -> Trainer:
    seed_generators(config.training.seed)
    model = create_model(config, table, prepared.train)
    material = _material(config, table, prepared.train, prepared.val, prepared.device)
    fabric = create_fabric(prepared.device, prepared.precision)
    return Trainer(config.training, model, material, path, fabric, on_event)


def create_model(config: ExperimentConfig, table: ClipTable, data: SplitData) -> Regressor:
    """Build a model with the standardisation of the train clips."""
    model = Regressor(config.model, data.features.dimensions, table.task, config.training.activation)
    if config.training.standardize:
        for modality, standardizer in model.standardizers.items():
            if isinstance(standardizer, Standardizer):
                standardizer.set_statistics(*fit(data.features.modalities[modality], data.usable_ids))
    return model


def _material(
    config: ExperimentConfig, table: ClipTable, data: SplitData, val: SplitData, device: torch.device
) -> Material:
    settings = config.training
    loaders = [
        Loader(split.features, split.usable_ids, batch_size=settings.batch_size, chunk=settings.chunk, device=device)
        for split in (data, val)
    ]
    labels = data.labels[data.usable]
    names = table.task.labels
    return Material(
        train=loaders[0],
        train_labels=shuffled(labels, settings.seed) if settings.shuffle_labels else labels,
        val=loaders[1],
        val_labels=val.labels,
        val_usable=val.usable,
        fallback=fallback_vector(label_means(data, names), names),
        names=names,
    )
