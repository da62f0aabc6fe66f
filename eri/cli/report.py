"""The command `eri report`, a thin function over :mod:`eri.reports.pages`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from eri.cli.options import AdapterOption, QuietOption, RunsOption, SplitName

app = typer.Typer(help="Pages to open in a browser.")


@app.command()
def report(
    run: Annotated[
        list[Path] | None, typer.Argument(help="Run folders or names; the newest run when left out.")
    ] = None,
    data: Annotated[
        Path | None,
        typer.Option("--data", "-d", help="Without a run: report on this data set. With runs: instead of their data."),
    ] = None,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="The page; in the run's folder when left out.")
    ] = None,
    split: Annotated[
        SplitName | None, typer.Option(help="Predicted split; the first with labels of val, test.")
    ] = None,
    adapter: AdapterOption = None,
    features: Annotated[Path | None, typer.Option(help="Cache to use instead of the run's.")] = None,
    runs: RunsOption = Path("runs"),
    bootstrap: Annotated[int, typer.Option(min=100, help="Draws behind the 95 % intervals.")] = 1000,
    workers: Annotated[int, typer.Option(min=0, help="Processes that look at the clips of a data set.")] = 2,
    quiet: QuietOption = False,
) -> None:
    """Write one HTML page on runs that were evaluated, or on a data set before any training; it opens from disk."""
    from eri.reports import pages as reporting

    if data is not None and not run:
        from eri.cli.progress import ProbeEvent, open_display

        with open_display(quiet=quiet) as display:
            path = reporting.report_data(
                data,
                output=output or Path(reporting.DATA_PAGE),
                adapter=adapter,
                workers=workers,
                on_clip=lambda done, total: display.on_event(ProbeEvent(done, total)),
            )
    else:
        path = reporting.report(
            *(run or ()),
            output=output,
            split=split,
            data=data,
            adapter=adapter,
            features=features,
            folder=runs,
            bootstrap=bootstrap,
        )
    if quiet:
        return
    typer.echo(f"written: {path} ({path.stat().st_size / 1e6:.1f} MB)")
