"""The Python function behind each command: the same name, the same arguments.

Examples:
    Everything that `eri extract`, `eri train`, `eri evaluate` and `eri submit` do::

        import eri

        eri.extract("data", config="yap-csm-v4")
        run = eri.train("data", config="yap-csm-v4")
        eri.evaluate(run)
        eri.submit(run)
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from eri.config import ExperimentConfig, ExtractorConfig, Modality, Runtime, VideoConfig, load_config
from eri.data import load_clips
from eri.data.clips import SPLITS, Split
from eri.runs.finding import RUN, PathLike, find_inputs, find_run, note_inputs
from eri.utils.errors import ConfigError

if TYPE_CHECKING:
    from eri.data.probe import ProbeReport
    from eri.evaluation.evaluate import Evaluation
    from eri.extraction.run import EngineName, ExtractionEvent, ExtractionReport, Shard
    from eri.submission import Finding
    from eri.training import TrainingEvent

DEFAULT_CONFIGS: dict[Modality, str] = {
    "visual": "yap-csm-v4",
    "audio": "abaw-audio-baseline",
    "multimodal": "yap-csm-multimodal",
}
"""The config that `--modality` stands for when none is named."""

_SUBMITTABLE = (*RUN, "cv.yaml", "ensemble.json")


def choose_config(
    config: PathLike | None = None, modality: Modality | None = None, overrides: Sequence[str] = ()
) -> ExperimentConfig:
    """Return the config that a command's options name.

    Args:
        config: A shipped name or a YAML path; None takes the default of the modality.
        modality: ``visual``, ``audio`` or ``multimodal``; with ``config`` it must be that config's own.
        overrides: Dotted ``key=value`` strings.

    Raises:
        ConfigError: Neither is given, or the two contradict each other.

    Examples:
        >>> choose_config(modality="audio").name
        'abaw-audio-baseline'
    """
    if config is None and modality is None:
        raise ConfigError(
            "no system was chosen",
            hint="Give --modality visual|audio|multimodal, or -c NAME (`eri configs` lists the names).",
        )
    chosen = load_config(config if config is not None else DEFAULT_CONFIGS[modality or "visual"], overrides)
    if modality is not None and chosen.modality != modality:
        raise ConfigError(
            f"--modality {modality} contradicts config '{chosen.name}', which is {chosen.modality}",
            hint="Leave --modality out, or name another config.",
        )
    return chosen


def probe(data: PathLike, *, adapter: str | None = None, workers: int = 2) -> ProbeReport:
    """Look at every clip of a data set without decoding it whole; see :func:`eri.data.probe.probe`."""
    from eri.data.probe import probe as probe_table

    return probe_table(load_clips(Path(data), adapter), workers=workers)


def extract(
    data: PathLike = "data",
    *,
    config: PathLike | None = None,
    modality: Modality | None = None,
    overrides: Sequence[str] = (),
    adapter: str | None = None,
    features: PathLike = "features",
    runs: PathLike = "runs",
    weights: PathLike | None = None,
    windows: int = 1,
    splits: Sequence[Split] = SPLITS,
    shard: Shard | str | None = None,
    engine: EngineName = "local",
    address: str | None = None,
    runtime: Runtime = Runtime(),
    on_event: Callable[[ExtractionEvent], None] | None = None,
) -> ExtractionReport:
    """Compute and cache the features of a system, clip by clip; what is complete is not opened again.

    Args:
        data: Challenge folder or manifest YAML.
        config: Shipped name or YAML path of the system; see :func:`choose_config`.
        modality: Chooses the default system, or the part of a system when ``config`` has both.
        overrides: Dotted ``key=value`` strings.
        adapter: Reader of ``data``; None finds out.
        features: Folder of the cache.
        runs: Folder that runs stand in.
        weights: A run of a video model, by path or name: cache what its model makes of the clips, in place of the
            features that a system reads. ``config`` may name the system then, and must be the run's.
        windows: Rows of a clip that the run's model makes.
        splits: Which splits to extract.
        shard: Which part of the clips to extract, such as ``3/8``; None is all.
        engine: ``local``, or ``ray`` for actors on a Ray cluster.
        address: Of that cluster: ``HOST:PORT`` or ``auto``; None starts Ray on this machine.
        runtime: Device, batch size, workers, timeout.
        on_event: Called with each progress event.

    Raises:
        EriError: The data, the config, the weights or the cache folder cannot be used. A clip that fails does not
            raise: it is in the report and in ``failures.csv``.
    """
    from eri.extraction.run import Shard
    from eri.extraction.run import extract as extract_table
    from eri.features.places import local_features

    part = Shard.parse(shard) if isinstance(shard, str) else shard
    if weights is not None:
        chosen: list[ExtractorConfig] = [_trained(find_run(weights, Path(runs)), config, windows)]
    else:
        system = _part(config, modality, overrides)
        chosen = [*system.extractors.values(), *system.drawn]
        if config is not None and modality in ("visual", "audio") and system.modality == "multimodal":
            chosen = [extractor for extractor in chosen if extractor.modality == modality]
    table = load_clips(Path(data), adapter)
    return extract_table(
        table,
        chosen,
        local_features(features),
        runtime,
        splits=tuple(splits),
        shard=part,
        engine=engine,
        address=address,
        on_event=on_event,
    )


def _trained(run: Path, config: PathLike | None, windows: int) -> VideoConfig:
    """Return the extractor that a run of a video model is."""
    from eri.training import read_run

    system = read_run(run).config
    if config is not None and (asked := load_config(config)).name != system.name:
        raise ConfigError(
            f"{run}: is a run of '{system.name}', not of '{asked.name}'", hint="Leave -c out, or name its own system."
        )
    return VideoConfig(weights=run, windows=windows)


def _part(config: PathLike | None, modality: Modality | None, overrides: Sequence[str]) -> ExperimentConfig:
    if config is None:
        return choose_config(None, modality or "multimodal", overrides)
    system = load_config(config, overrides)
    if modality is not None and modality not in (*system.extractors, system.modality):
        raise ConfigError(f"config '{system.name}' has no {modality} features", hint="Leave --modality out.")
    return system


def train(
    data: PathLike = "data",
    *,
    config: PathLike | None = None,
    modality: Modality | None = None,
    overrides: Sequence[str] = (),
    adapter: str | None = None,
    features: PathLike = "features",
    runs: PathLike = "runs",
    name: str | None = None,
    resume: bool = False,
    overwrite: bool = False,
    runtime: Runtime = Runtime(),
    on_event: Callable[[TrainingEvent], None] | None = None,
) -> Path:
    """Train a system on cached features and return its run folder.

    Args:
        data: Challenge folder or manifest YAML.
        config: Shipped name or YAML path of the system; see :func:`choose_config`.
        modality: Chooses the default system of a modality.
        overrides: Dotted ``key=value`` strings.
        adapter: Reader of ``data``; None finds out.
        features: Folder of the cache.
        runs: Folder that run folders stand in.
        name: Of the run folder; None is ``<config>-seed<seed>``.
        resume: Go on with an interrupted run of this name.
        overwrite: Replace a run of this name.
        runtime: Device.
        on_event: Called with each progress event.

    Raises:
        EriError: Features are missing, the run exists already, or the data cannot be used.
    """
    from eri.features.places import local_features
    from eri.training import train as train_table

    system = choose_config(config, modality, overrides)
    table = load_clips(Path(data), adapter)

    def note(event: TrainingEvent) -> None:
        # At the start, so that a run that was killed can be resumed and evaluated by its name alone.
        if event.kind == "start":
            note_inputs(Path(runs) / event.run, data, adapter, features)
        if on_event is not None:
            on_event(event)

    return train_table(
        system,
        table,
        local_features(features),
        Path(runs),
        runtime,
        name=name,
        resume=resume,
        overwrite=overwrite,
        on_event=note,
    )


def evaluate(
    run: PathLike | None = None,
    *,
    split: Split = "val",
    data: PathLike | None = None,
    adapter: str | None = None,
    features: PathLike | None = None,
    runs: PathLike = "runs",
    bootstrap: int = 1000,
    runtime: Runtime = Runtime(),
) -> Evaluation:
    """Score a run on a split and write ``metrics.json`` and ``predictions.parquet`` into its folder.

    Args:
        run: Run folder, or name of one in ``runs``; None is the newest.
        split: The split to score; an unlabelled one is predicted only.
        data: None is the data the run was trained on.
        adapter: Reader of ``data``.
        features: None is the cache the run was trained on.
        runs: Folder that run folders stand in.
        bootstrap: Draws behind the 95 % interval.
        runtime: Device and batch size.

    Raises:
        EriError: No such run, or it does not fit the data.
    """
    from eri.evaluation.evaluate import evaluate as evaluate_run

    folder = find_run(run, Path(runs))
    table, cache = find_inputs(folder, data, adapter, features)
    return evaluate_run(folder, table, cache, split=split, bootstrap=bootstrap, runtime=runtime)


def submit(
    run: PathLike | None = None,
    *,
    split: Split = "test",
    data: PathLike | None = None,
    adapter: str | None = None,
    features: PathLike | None = None,
    runs: PathLike = "runs",
    submissions: PathLike = "submissions",
    filename: str | None = None,
    bracketed: bool | None = None,
    overwrite: bool = False,
    runtime: Runtime = Runtime(),
) -> tuple[Path, list[Finding]]:
    """Predict the test split, write the organisers' file with its manifest, and judge it.

    Args:
        run: Folder of a run, a cross-validation or an ensemble, or name of one in ``runs``; None is the newest run.
        split: The split that the organisers score.
        data: None is the data the run was trained on.
        adapter: Reader of ``data``.
        features: None is the cache the run was trained on.
        runs: Folder that run folders stand in.
        submissions: Folder that ``<run>/`` is made in.
        filename: None is the challenge's own, ``predictions.csv``.
        bracketed: Write ids as ``[00000]``; None is the challenge's own way.
        overwrite: Replace a file that is there already.
        runtime: Device and batch size.

    Returns:
        The file, and what the validator found in it.

    Raises:
        EriError: No such run, it does not fit the data, or the file is there already.
    """
    from eri.evaluation.ensembling import predict
    from eri.submission import format_of, validate_submission, write_submission

    folder = find_run(run, Path(runs), marks=_SUBMITTABLE)
    table, cache = find_inputs(folder, data, adapter, features)
    format_of(table, bracketed)  # refuses data without one before anything is predicted
    predictions = predict(folder, table, cache, split=split, runtime=runtime)
    path = write_submission(
        predictions,
        table,
        Path(submissions) / folder.name,
        split=split,
        run=folder,
        filename=filename,
        bracketed=bracketed,
        overwrite=overwrite,
    )
    return path, validate_submission(path, table, split=split, bracketed=bracketed)


def validate(
    file: PathLike,
    *,
    data: PathLike = "data",
    adapter: str | None = None,
    split: Split = "test",
    bracketed: bool | None = None,
) -> list[Finding]:
    """Judge any submission file against the data set it is for; an empty list is a perfect file."""
    from eri.submission import validate_submission

    return validate_submission(Path(file), load_clips(Path(data), adapter), split=split, bracketed=bracketed)
