"""The command `eri export`, a thin function over :mod:`eri.exports`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from eri.cli.options import RunsOption

app = typer.Typer(help="Hand a run on.")


@app.command()
def export(
    run: Annotated[Path | None, typer.Argument(help="Run folder or name; the newest when left out.")] = None,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="The folder; exports/<run> when left out.")
    ] = None,
    onnx: Annotated[bool, typer.Option("--onnx/--no-onnx", help="Write the model as ONNX too.")] = True,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace an earlier export.")] = False,
    runs: RunsOption = Path("runs"),
) -> None:
    """Write a run as a folder that eri.load takes: weights, config, ONNX and a model card."""
    from eri.exports import export_run
    from eri.runs.finding import find_run

    folder = find_run(run, runs, marks=("config.yaml", "cv.yaml", "ensemble.json"))
    report = export_run(folder, output or Path("exports") / folder.resolve().name, onnx=onnx, overwrite=overwrite)
    for name, text in report.files.items():
        typer.echo(f"{name}: {text}")
    for note in report.notes:
        typer.echo(note)
    typer.echo(f"written: {report.path}")
