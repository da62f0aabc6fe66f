"""What is made of trained runs: the functions behind `eri predict`, `report`, `export` and `draw`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from eri.api.choices import OnEvent, PathLike, Split, documented
from eri.api.commands import check_split
from eri.api.progress import counter, reporting

if TYPE_CHECKING:
    from eri.exports import ExportReport
    from eri.reports.activation import Localization
    from eri.reports.predictions import PredictionReport


@documented
def predict(
    run: Annotated[PathLike, "Folder or name of a run, a cross-validation or an ensemble."],
    videos: Annotated[PathLike | Sequence[PathLike], "Files, folders, or patterns."],
    *,
    timeline: Annotated[bool, "Also write the course over time as CSV, PNG and an HTML page."] = False,
    window: Annotated[float, "Seconds of one window of the timeline."] = 4.0,
    hop: Annotated[float, "Seconds between two windows."] = 1.0,
    output: Annotated[PathLike | None, "Folder to write to; predictions/RUN if omitted."] = None,
    features: Annotated[PathLike | None, "Folder to cache the features in; they are not cached if omitted."] = None,
    runs: PathLike = "runs",
    device: str = "auto",
    batch_size: int = 32,
    workers: int = 1,
    timeout: Annotated[float, "Seconds that one video may take, and its timeline again."] = 3600.0,
    progress: bool | None = None,
    on_event: OnEvent | None = None,
) -> PredictionReport:
    """Predict the intensities of any video, and with a timeline their course over time.

    Raises:
        EriError: The run cannot be used, or nothing that could be predicted is named. A video that cannot be predicted
            does not raise: its reason is in the table.
    """
    from eri.config import Runtime
    from eri.reports.predictions import predict_videos
    from eri.runs.folders import EVERY_KIND, find_run

    folder = find_run(run, Path(runs), kinds=EVERY_KIND)
    named = [videos] if isinstance(videos, str | Path) else list(videos)
    target = Path(output) if output is not None else Path("predictions") / folder.resolve().name
    cache, runtime = None if features is None else Path(features), Runtime(device, batch_size, workers, timeout)
    times: dict[str, Any] = {"timeline": timeline, "window": window, "hop": hop}
    with reporting(f"predicting with {folder.name}", progress, on_event) as report:
        return predict_videos(folder, named, target, features=cache, runtime=runtime, on_event=report, **times)


@documented
def report(
    *run: Annotated[PathLike, "Folders or names of runs, cross-validations or ensembles; the newest run if omitted."],
    data: PathLike | None = None,
    output: Annotated[PathLike | None, "HTML file to write; in the run's folder if omitted."] = None,
    split: Split | None = None,
    adapter: str | None = None,
    features: PathLike | None = None,
    runs: PathLike = "runs",
    bootstrap: Annotated[int, "Bootstrap resamples behind the 95 % intervals."] = 1000,
    workers: Annotated[int, "Processes that read the clips of a data set."] = 2,
    progress: bool | None = None,
    on_event: OnEvent | None = None,
) -> Path:
    """Write one HTML page about evaluated runs, or about a data set before any training; it needs no network.

    Args:
        data: Without a run: data set to report on. With runs: data to use instead of theirs.
        split: Split to report on; the first of val, test and train with labels if omitted.

    Raises:
        EriError: A run is missing or has no predictions, or the data cannot be read.
    """
    from eri.reports.data_report import NAME, report_data
    from eri.reports.run_report import report as report_runs

    check_split(split)
    with reporting("writing the report", progress, on_event) as listen:
        if data is not None and not run:
            page, done = output if output is not None else NAME, counter(listen, "probing")
            return report_data(data, output=page, adapter=adapter, workers=workers, on_clip=done)
        done, inputs = counter(listen, "previewing"), {"data": data, "features": features, "output": output}
        return report_runs(*run, split=split, adapter=adapter, folder=runs, bootstrap=bootstrap, on_clip=done, **inputs)


@documented
def export(
    run: PathLike | None = None,
    *,
    output: Annotated[PathLike | None, "Folder to write; exports/RUN if omitted."] = None,
    onnx: Annotated[bool, "Write the model as ONNX too."] = True,
    overwrite: bool = False,
    runs: PathLike = "runs",
    progress: bool | None = None,
    on_event: OnEvent | None = None,
) -> ExportReport:
    """Export a run as a folder that eri.load takes: weights, config, ONNX and a model card.

    Raises:
        EriError: The run is incomplete or not a single run, or the folder exists already.
    """
    from eri.exports import export_run
    from eri.runs.folders import EVERY_KIND, find_run

    folder = find_run(run, Path(runs), kinds=EVERY_KIND)
    target = Path(output) if output is not None else Path("exports") / folder.resolve().name
    with reporting(f"exporting {folder.name}", progress, on_event):
        return export_run(folder, target, onnx=onnx, overwrite=overwrite)


@documented
def draw_activation(
    run: PathLike,
    video: Annotated[PathLike, "Any video, or a folder of numbered images."],
    output: PathLike,
    *,
    apex: Annotated[tuple[float, float] | None, "Begin and end of the annotated apex in seconds, shown too."] = None,
    runs: PathLike = "runs",
    device: str = "auto",
    progress: bool | None = None,
    on_event: OnEvent | None = None,
) -> Path:
    """Draw which moments of a video a CEFLNet responds to: its emotional activation map over time.

    Raises:
        EriError: The run has another model, or the video cannot be read or shows no face.
    """
    from eri.config import Runtime
    from eri.reports.activation import draw_video
    from eri.runs.folders import find_run

    folder = find_run(run, Path(runs))
    with reporting(f"drawing {Path(video).name}", progress, on_event):
        return draw_video(folder, Path(video), Path(output), apex=apex, runtime=Runtime(device))


@documented
def draw_embeddings(
    run: PathLike,
    output: PathLike,
    *,
    beside: Annotated[Sequence[PathLike], "Another run, drawn in a panel beside; may be repeated."] = (),
    split: Annotated[Split | None, "Split of the clips; all if omitted, also those that were trained on."] = None,
    perplexity: Annotated[float, "About how many neighbours of a clip count."] = 30.0,
    seed: Annotated[int, "Seed of t-SNE."] = 0,
    data: PathLike | None = None,
    adapter: str | None = None,
    features: PathLike | None = None,
    runs: PathLike = "runs",
    device: str = "auto",
    progress: bool | None = None,
    on_event: OnEvent | None = None,
) -> Path:
    """Draw labelled clips on a plane as a video model embeds them, coloured by class (t-SNE).

    Raises:
        EriError: A run has no video model, its face crops are not cached, or too few clips have labels.
    """
    from eri.config import Runtime
    from eri.reports.inspector import draw_embeddings as draw
    from eri.runs.folders import find_inputs, find_run

    check_split(split)
    folders = [find_run(one, Path(runs)) for one in (run, *beside)]
    with reporting("drawing embeddings", progress, on_event):
        inputs, runtime = find_inputs(folders[0], data, adapter, features), Runtime(device)
        return draw(folders, *inputs, Path(output), split=split, perplexity=perplexity, seed=seed, runtime=runtime)


@documented
def draw_localization(
    run: PathLike,
    *,
    apexes: Annotated[PathLike, "CSV file with clip_id, begin and end in seconds, or clip_id and apex."],
    images: Annotated[PathLike | None, "Folder to draw the map of each annotated clip to."] = None,
    data: PathLike | None = None,
    adapter: str | None = None,
    features: PathLike | None = None,
    runs: PathLike = "runs",
    device: str = "auto",
    progress: bool | None = None,
    on_event: OnEvent | None = None,
) -> Localization:
    """Score how often the most emotional part that a CEFLNet finds is the annotated one.

    Raises:
        EriError: The run has another model, its face crops are not cached, or the apexes cannot be read.
    """
    from eri.config import Runtime
    from eri.reports.activation import locate_apexes, read_apexes
    from eri.runs.folders import find_inputs, find_run

    folder = find_run(run, Path(runs))
    with reporting("locating apexes", progress, on_event):
        table, cache = find_inputs(folder, data, adapter, features)
        found = read_apexes(Path(apexes), table)
        target = None if images is None else Path(images)
        return locate_apexes(folder, table, cache, found, images=target, runtime=Runtime(device))
