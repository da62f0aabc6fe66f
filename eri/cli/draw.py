"""The commands `eri draw`: thin functions over :mod:`eri.reports.pictures`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from eri.cli.cv import SplitChoice
from eri.cli.options import AdapterOption, DeviceOption, RunsOption

app = typer.Typer(name="draw", help="Pictures of what a trained video model sees.", no_args_is_help=True)

RunArgument = Annotated[Path, typer.Argument(help="Run folder or name.")]
OutputArgument = Annotated[Path, typer.Argument(help="The picture: .png, .svg or .pdf.")]
RunDataOption = Annotated[
    Path | None, typer.Option("--data", "-d", help="Data to use instead of what the run was trained on.")
]
RunFeaturesOption = Annotated[Path | None, typer.Option("--features", help="Cache to use instead of the run's.")]


@app.command()
def activation(
    run: RunArgument,
    video: Annotated[Path, typer.Argument(help="Any video, or a folder of numbered pictures.")],
    output: OutputArgument,
    apex: Annotated[
        tuple[float, float] | None, typer.Option(metavar="BEGIN END", help="Annotated apex in seconds, shown too.")
    ] = None,
    runs: RunsOption = Path("runs"),
    device: DeviceOption = "auto",
) -> None:
    """Draw which moments of a video move a ceflnet: its emotional activation map over time."""
    from eri.config import Runtime
    from eri.reports.pictures import draw_video
    from eri.runs.finding import find_run

    typer.echo(f"written: {draw_video(find_run(run, runs), video, output, apex=apex, runtime=Runtime(device))}")


@app.command()
def embeddings(
    run: RunArgument,
    output: OutputArgument,
    beside: Annotated[list[Path] | None, typer.Option(help="Another run, in a panel beside; may be repeated.")] = None,
    split: Annotated[
        SplitChoice | None, typer.Option(help="Of the clips; all when left out, also those that it learnt from.")
    ] = None,
    perplexity: Annotated[float, typer.Option(min=1, help="About how many neighbours of a clip count.")] = 30.0,
    seed: Annotated[int, typer.Option(min=0, help="Of t-SNE.")] = 0,
    data: RunDataOption = None,
    adapter: AdapterOption = None,
    features: RunFeaturesOption = None,
    runs: RunsOption = Path("runs"),
    device: DeviceOption = "auto",
) -> None:
    """Draw labelled clips on a plane as a video model sees them, coloured by class (t-SNE)."""
    from eri.config import Runtime
    from eri.reports.pictures import draw_embeddings
    from eri.runs.finding import find_inputs, find_run

    folders = [find_run(one, runs) for one in (run, *(beside or ()))]
    table, cache = find_inputs(folders[0], data, adapter, features)
    path = draw_embeddings(
        folders,
        table,
        cache,
        output,
        split=None if split is None else split.value,
        perplexity=perplexity,
        seed=seed,
        runtime=Runtime(device),
    )
    typer.echo(f"written: {path}")


@app.command()
def localization(
    run: RunArgument,
    apexes: Annotated[Path, typer.Option(help="CSV with clip_id, begin and end in seconds, or clip_id and apex.")],
    pictures: Annotated[Path | None, typer.Option(help="Folder to draw the map of each annotated clip into.")] = None,
    data: RunDataOption = None,
    adapter: AdapterOption = None,
    features: RunFeaturesOption = None,
    runs: RunsOption = Path("runs"),
    device: DeviceOption = "auto",
) -> None:
    """Score how often the most emotional part that a ceflnet finds is the annotated one."""
    from eri.cli.screen_models import show_localization
    from eri.config import Runtime
    from eri.reports.pictures import locate_apexes, read_apexes
    from eri.runs.finding import find_inputs, find_run

    folder = find_run(run, runs)
    table, cache = find_inputs(folder, data, adapter, features)
    found = read_apexes(apexes, table)
    show_localization(
        locate_apexes(folder, table, cache, found, pictures=pictures, runtime=Runtime(device)), len(found)
    )
