"""From clips to a submission: the functions behind `eri probe`, `extract`, `train`, `evaluate`, `submit`, `validate`.

Every function of this room is the command of the same name, with the same arguments and defaults. The help of an option
is what is said of the argument, in its annotation or below ``Args``.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, get_args

from eri.api.choices import Decoder, Engine, Modality, OnEvent, PathLike, Split, documented
from eri.api.progress import counter, recording, reporting
from eri.utils.errors import ConfigError, MediaError
from eri.utils.spelling import did_you_mean
from eri.utils.tables import ShownList

if TYPE_CHECKING:
    import pandas as pd

    from eri.config import ExperimentConfig, ExtractorConfig
    from eri.data.clips import ClipTable
    from eri.data.probe import ProbeReport
    from eri.evaluation.evaluate import Evaluation
    from eri.extraction.report import ExtractionReport
    from eri.submission import Finding
    from eri.training import TrainingEvent

DEFAULT_CONFIGS: Mapping[Modality, str] = {
    "visual": "yap-csm-v4",
    "audio": "abaw-audio-baseline",
    "multimodal": "yap-csm-multimodal",
}
"""The config that `--modality` stands for when none is named."""


def choose_config(
    config: PathLike | None = None, modality: Modality | None = None, overrides: Sequence[str] = ()
) -> ExperimentConfig:
    """Return the config that a command's options name, with ``key=value`` overrides; the default of the modality alone.

    A :class:`ConfigError` where neither is given, or the two contradict each other.

    Examples:
        >>> choose_config(modality="audio").name
        'abaw-audio-baseline'
    """
    from eri.config import load_config

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


def open_inputs(data: PathLike, adapter: str | None, features: PathLike) -> tuple[ClipTable, Path]:
    """Return the clips of a data set, and the cache of their features as it is on this machine."""
    from eri.data import load_clips
    from eri.features.store import local_features

    return load_clips(Path(data), adapter), local_features(features)


@documented
def probe(
    data: Annotated[PathLike, "Challenge folder or manifest YAML."] = "data",
    *,
    adapter: str | None = None,
    output: Annotated[PathLike | None, "CSV file to write the table to."] = None,
    workers: Annotated[int, "Processes that read clips; 0 reads in this process, without a timeout."] = 2,
    progress: bool | None = None,
    on_event: OnEvent | None = None,
) -> ProbeReport:
    """Show duration, frame rate, size, rotation, audio and faults of every clip, without decoding it whole.

    Raises:
        DataError: The data cannot be read.
    """
    from eri.data import load_clips
    from eri.data.probe import probe as probe_table
    from eri.utils.files import write_text

    with reporting(f"probing {data}", progress, on_event) as report:
        found = probe_table(load_clips(Path(data), adapter), workers=workers, on_clip=counter(report, "probing"))
    if output is not None:
        write_text(Path(output), found.table.to_csv())
    return found


@documented
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
    windows: Annotated[int, "With ``weights``: rows that its model computes per clip."] = 1,
    split: Split | Sequence[Split] | None = None,
    shard: str | None = None,
    engine: Engine = "local",
    address: str | None = None,
    device: str = "auto",
    batch_size: int = 32,
    workers: int | None = None,
    timeout: Annotated[float, "Seconds that one clip may take."] = 300.0,
    compile: Annotated[bool, "Compile the image model with torch.compile after ten minutes of its work."] = False,  # noqa: A002  the option's name
    decoder: Decoder = "pyav",
    progress: bool | None = None,
    on_event: OnEvent | None = None,
) -> ExtractionReport:
    """Compute and cache the features of a system, clip by clip; cached features are not computed again.

    Args:
        modality: Take the default system of this modality, or of a config with both only this part.
        weights: A run of a video model, by path or name: cache what its model computes, in place of the features that
            a system reads.
        split: Extract only this split; may be repeated. All splits if omitted.
        shard: Extract only part I of N disjoint parts, such as ``3/8``; see docs/scaling.md.
        workers: Processes that decode; does not change the numbers. If omitted, one per core and at most 8; on Ray one
            per actor.
        decoder: Decoder of sampled frames; ``torchcodec`` decodes on the device, on a GPU by NVDEC. See docs/speed.md.

    Raises:
        EriError: The data, the config, the weights or the cache folder cannot be used. A clip that fails does not
            raise: it is in the report and in ``failures.csv``.
    """
    from eri.config import Runtime
    from eri.extraction.report import Shard
    from eri.extraction.run import extract as extract_table
    from eri.runs import video_extractor  # noqa: F401  # registers itself

    part = None if shard is None else Shard.parse(str(shard))
    if weights is None:
        chosen = _features_of_system(config, modality, overrides)
    else:
        chosen = _features_of_run(weights, windows, runs, config)
    if workers is None:  # on Ray they are an actor's own, and there are as many actors as the cluster has room for
        workers = 1 if engine == "ray" else usual_workers()
    table, cache = open_inputs(data, adapter, features)
    splits = chosen_splits(split, ("train", "val", "test"))
    runtime = Runtime(device, batch_size, workers, timeout, compile, decoder)
    with reporting("extracting", progress, on_event) as report, recording(report, features=cache) as listen:
        inputs = (table, chosen, cache, runtime)
        return extract_table(*inputs, splits=splits, shard=part, engine=engine, address=address, on_event=listen)


def usual_workers() -> int:
    """Return how many processes an extraction takes by default: one per core, at most 8."""
    return min(os.cpu_count() or 1, 8)


def chosen_splits(split: Split | Sequence[Split] | None, default: Sequence[Split]) -> tuple[Split, ...]:
    """Return the splits that an argument names, or the default where it names none."""
    named = (split,) if isinstance(split, str) else tuple(split or default)
    for name in named:
        check_split(name)
    return named


def check_split(name: str | None) -> None:
    """Refuse a name that is no split.

    Examples:
        >>> check_split("tset")
        Traceback (most recent call last):
        eri.utils.errors.ConfigError: no split is named 'tset' (did you mean 'test'?)...
    """
    known = get_args(Split)
    if name is not None and name not in known:
        raise ConfigError(
            f"no split is named '{name}'{did_you_mean(name, known)}", hint=f"The splits are {', '.join(known)}."
        )


def _features_of_run(weights: PathLike, windows: int, runs: PathLike, config: PathLike | None) -> list[ExtractorConfig]:
    from eri.config import VideoConfig, load_config
    from eri.runs.folders import find_run
    from eri.training import read_run

    run = find_run(weights, Path(runs))
    name = read_run(run).config.name
    if config is not None and (asked := load_config(config)).name != name:
        raise ConfigError(
            f"{run}: is a run of '{name}', not of '{asked.name}'", hint="Leave -c out, or name its own system."
        )
    return [VideoConfig(weights=run, windows=windows)]


def _features_of_system(
    config: PathLike | None, modality: Modality | None, overrides: Sequence[str]
) -> list[ExtractorConfig]:
    from eri.config import load_config

    if config is None:
        system = choose_config(None, modality or "multimodal", overrides)
        return [*system.extractors.values(), *system.drawn]
    system = load_config(config, overrides)
    if modality is not None and modality not in (*system.extractors, system.modality):
        raise ConfigError(f"config '{system.name}' has no {modality} features", hint="Leave --modality out.")
    one_part = modality in ("visual", "audio") and system.modality == "multimodal"
    chosen: list[ExtractorConfig] = [*system.extractors.values(), *system.drawn]
    return [extractor for extractor in chosen if not one_part or extractor.modality == modality]


@documented
def extract_file(
    path: PathLike | Sequence[PathLike],
    extractor: str | ExtractorConfig = "resnet50",
    *,
    overrides: Annotated[Sequence[str], "Settings of a named extractor, such as ``hop=0.5``."] = (),
    device: str = "auto",
    batch_size: int = 32,
    workers: int = 1,
    timeout: Annotated[float, "Seconds that one file may take."] = 300.0,
    progress: bool | None = None,
    on_event: OnEvent | None = None,
) -> pd.DataFrame:
    """Compute the features of media files as a table; nothing is cached.

    Args:
        path: A video or audio file, a folder of numbered images, or a list of such.
        extractor: Name of an extractor, such as ``resnet50``, ``deepspectrum`` or ``egemaps``, or its config.

    Returns:
        One float32 row per time and one column per dimension; the index has the levels ``file``, ``start`` and ``end``
        in seconds, half-way to the times of the neighbouring rows. Rows without a face or without audio are NaN. With a
        list, files that fail have no rows; ``frame.attrs["failures"]`` has the reason of each.

    Raises:
        ConfigError: No extractor has that name.
        MediaError: The file cannot be read; of a list: none of them can.

    Examples:
        Two features per second of a voice::

            eri.extract_file("voice.wav", "mfcc", overrides=["hop=0.5"])
    """
    import tempfile

    from eri.api.files import clips_of, features_frame, parse_extractor
    from eri.config import Runtime
    from eri.extraction.run import extract as extract_table

    single = isinstance(path, str | Path)
    config = parse_extractor(extractor, overrides)
    table, files = clips_of([path] if isinstance(path, str | Path) else list(path))
    runtime = Runtime(device, batch_size, workers, timeout)
    with tempfile.TemporaryDirectory(prefix="eri-extract-", ignore_cleanup_errors=True) as folder:
        with reporting("extracting", progress, on_event) as report:
            done = extract_table(table, [config], Path(folder), runtime, on_event=report)
        failures = {str(files[one.clip_id]): one.message for one in done.failures}
        if failures and (single or len(failures) == len(files)):
            first, message = next(iter(failures.items()))
            raise MediaError(Path(first), message.removeprefix(f"{first}: "))
        frame = features_frame(Path(folder), config, files)
    frame.attrs["failures"] = failures
    return frame


@documented
def train(
    data: PathLike = "data",
    *,
    config: PathLike | None = None,
    modality: Modality | None = None,
    overrides: Sequence[str] = (),
    adapter: str | None = None,
    features: PathLike = "features",
    runs: PathLike = "runs",
    name: Annotated[str | None, "Name of the run folder; CONFIG-seedSEED if omitted."] = None,
    resume: Annotated[bool, "Continue an interrupted run of this name."] = False,
    overwrite: bool = False,
    device: str = "auto",
    progress: bool | None = None,
    on_event: OnEvent | None = None,
) -> Path:
    """Train a system on cached features or face crops, and return its run folder.

    Raises:
        EriError: Features are missing, the run exists already, or the data cannot be used.
    """
    from eri.config import Runtime
    from eri.runs.folders import write_inputs
    from eri.training import train as train_table

    system = choose_config(config, modality, overrides)
    folder, (table, cache) = Path(runs), open_inputs(data, adapter, features)
    with reporting(f"training {system.name}", progress, on_event) as report, recording(report, runs=folder) as record:

        def listen(event: TrainingEvent) -> None:
            # At the start, so that a run that was killed can be resumed and evaluated by its name alone.
            if event.kind == "start":
                write_inputs(folder / event.run, data, adapter, features)
            record(event)

        inputs = (system, table, cache, folder, Runtime(device=device))
        return train_table(*inputs, name=name, resume=resume, overwrite=overwrite, on_event=listen)


@documented
def evaluate(
    run: PathLike | None = None,
    *,
    split: Annotated[Split, "Split to score; an unlabelled one is predicted only."] = "val",
    data: PathLike | None = None,
    adapter: str | None = None,
    features: PathLike | None = None,
    runs: PathLike = "runs",
    bootstrap: int = 1000,
    device: str = "auto",
    progress: bool | None = None,
    on_event: OnEvent | None = None,
) -> Evaluation:
    """Score a run on a split, with 95 % intervals, and keep the predictions in its folder.

    Raises:
        EriError: No such run, or it does not fit the data.
    """
    from eri.config import Runtime
    from eri.evaluation.evaluate import evaluate as evaluate_run
    from eri.runs.folders import find_inputs, find_run

    check_split(split)
    folder = find_run(run, Path(runs))
    with reporting(f"scoring {folder.name} on {split}", progress, on_event):
        table, cache = find_inputs(folder, data, adapter, features)
        return evaluate_run(folder, table, cache, split=split, bootstrap=bootstrap, runtime=Runtime(device=device))


@documented
def submit(
    run: PathLike | None = None,
    *,
    split: Annotated[Split, "Split that the organisers score."] = "test",
    data: PathLike | None = None,
    adapter: str | None = None,
    features: PathLike | None = None,
    runs: PathLike = "runs",
    submissions: Annotated[PathLike, "Folder of submissions."] = "submissions",
    filename: Annotated[str | None, "Name of the file; the challenge's own if omitted."] = None,
    brackets: bool | None = None,
    format: str | None = None,  # noqa: A002  # the option's name
    overwrite: bool = False,
    device: str = "auto",
    progress: bool | None = None,
    on_event: OnEvent | None = None,
) -> tuple[Path, list[Finding]]:
    """Predict the test split, write the organisers' file with a manifest, and validate it.

    Args:
        run: Folder or name of a run, a cross-validation or an ensemble; the newest run if omitted.

    Returns:
        The file, and what the validator found in it.

    Raises:
        EriError: No such run, it does not fit the data, or the file exists already.
    """
    from eri.config import Runtime
    from eri.evaluation.evaluate import predict
    from eri.runs.folders import EVERY_KIND, find_inputs, find_run
    from eri.submission import format_of, validate_submission, write_submission

    check_split(split)
    folder = find_run(run, Path(runs), kinds=EVERY_KIND)
    with reporting(f"predicting {split} with {folder.name}", progress, on_event):
        table, cache = find_inputs(folder, data, adapter, features)
        format_of(table, brackets, format)  # refuses data without one before anything is predicted
        predictions = predict(folder, table, cache, split=split, runtime=Runtime(device=device))
        target, named = Path(submissions) / folder.name, {"filename": filename, "format": format}
        path = write_submission(
            predictions, table, target, split=split, run=folder, bracketed=brackets, overwrite=overwrite, **named
        )
        return path, _shown(validate_submission(path, table, split=split, bracketed=brackets, format=format))


@documented
def validate(
    file: Annotated[PathLike, "Submission file to check."],
    *,
    data: PathLike = "data",
    adapter: str | None = None,
    split: Annotated[Split, "Split that the file is for."] = "test",
    brackets: Annotated[bool | None, "Expect ids as [00000] or as 00000; as the challenge has them if omitted."] = None,
    format: str | None = None,  # noqa: A002  # the option's name
) -> list[Finding]:
    """Check any submission file: every finding with its line; one that would be refused gives exit code 1.

    Returns:
        The findings; an empty list is a perfect file.
    """
    from eri.data import load_clips
    from eri.submission import validate_submission

    check_split(split)
    table = load_clips(Path(data), adapter)
    return _shown(validate_submission(Path(file), table, split=split, bracketed=brackets, format=format))


def _shown(findings: Sequence[Finding]) -> list[Finding]:
    return ShownList("findings", ("severity", "line", "code", "message"), findings)
