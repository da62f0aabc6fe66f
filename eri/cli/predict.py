"""The command `eri predict`, a thin function over :mod:`eri.prediction`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from eri.cli.options import DeviceOption, JsonOption, QuietOption, RunsOption

app = typer.Typer(help="Predict any video.")


@app.command()
def predict(
    run: Annotated[Path, typer.Argument(help="Folder or name of a run, a cross-validation or an ensemble.")],
    videos: Annotated[list[str], typer.Argument(metavar="VIDEO...", help="Files, folders, or patterns.")],
    timeline: Annotated[
        bool, typer.Option("--timeline", help="Also the course over time, as CSV, PNG and a page.")
    ] = False,
    window: Annotated[float, typer.Option(help="Seconds of a window of the timeline.")] = 4.0,
    hop: Annotated[float, typer.Option(help="Seconds between two windows.")] = 1.0,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="Folder to write into; predictions/<run> when left out.")
    ] = None,
    features: Annotated[
        Path | None, typer.Option(help="Keep the features in this cache; none is kept when left out.")
    ] = None,
    runs: RunsOption = Path("runs"),
    device: DeviceOption = "auto",
    batch_size: Annotated[int, typer.Option(min=1, help="Model inputs a forward pass.")] = 32,
    workers: Annotated[
        int, typer.Option(min=0, help="Processes that decode; 0 decodes in this one, without a timeout.")
    ] = 1,
    timeout: Annotated[
        float, typer.Option(min=1.0, help="Seconds one video may take, and its timeline again.")
    ] = 3600.0,
    quiet: QuietOption = False,
    json: JsonOption = False,
) -> None:
    """Predict the intensities of any video, and with --timeline their course over time."""
    from eri.cli.progress import json_result, open_display
    from eri.cli.screen_models import show_predictions
    from eri.config import Runtime
    from eri.reports.predictions import predict_videos
    from eri.runs.finding import find_run

    folder = find_run(run, runs, marks=("config.yaml", "cv.yaml", "ensemble.json"))
    with open_display(quiet=quiet, json=json) as display:
        report = predict_videos(
            folder,
            videos,
            output or Path("predictions") / folder.resolve().name,
            timeline=timeline,
            window=window,
            hop=hop,
            features=features,
            runtime=Runtime(device, batch_size, workers, timeout),
            on_event=display.on_event,
        )
    if json:
        typer.echo(json_result(report.to_json()), nl=False)
    elif not quiet:
        show_predictions(report)
    raise typer.Exit(report.exit_code)
