"""The commands of `eri features`: thin functions over :mod:`eri.features`."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from eri.cli.options import AdapterOption, DataOption, FeaturesOption, JsonOption

if TYPE_CHECKING:
    from eri.data.clips import ClipTable
    from eri.features.verify import FeatureFinding

NamesArgument = Annotated[
    list[str] | None, typer.Argument(metavar="NAME", help="As `eri features ls` prints it; all when left out.")
]
DataSetsOption = Annotated[
    list[Path] | None,
    typer.Option("--data", "-d", help="A data set to compare with; once for each whose features are here."),
]
ThreadsOption = Annotated[int, typer.Option(min=1, help="Files read at once.")]

_SHOWN = 40


def verify_command(
    names: NamesArgument = None,
    data: DataSetsOption = None,
    adapter: AdapterOption = None,
    features: FeaturesOption = Path("features"),
    threads: ThreadsOption = 4,
    json: JsonOption = False,
) -> None:
    """Read every cached file and say which are damaged, and with --data which are stale or of no clip."""
    from eri.cli.progress import json_result
    from eri.features.verify import verify_features

    with _progress(json) as on_progress:
        report = verify_features(
            features, names or (), tables=_tables(data, adapter), threads=threads, on_progress=on_progress
        )
    if json:
        typer.echo(json_result({"verification": report, "exit_code": report.exit_code}), nl=False)
    else:
        _show(report.findings)
        typer.echo(
            f"{len(report.folders)} feature folders: {report.files} files, {report.size / 1e6:.1f} MB read in "
            f"{report.seconds:.1f} s; {len(report.damaged)} damaged, "
            f"{len(report.findings) - len(report.damaged)} other findings"
        )
        if report.damaged:
            typer.echo("`eri extract` makes damaged files anew; `eri features gc` clears them away.")
    raise typer.Exit(report.exit_code)


def clear_command(
    names: NamesArgument = None,
    data: DataSetsOption = None,
    adapter: AdapterOption = None,
    features: FeaturesOption = Path("features"),
    older: Annotated[bool, typer.Option("--older", help="Also earlier identities of the same config.")] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Remove it; without this, only say what would go.")] = False,
    threads: ThreadsOption = 4,
    json: JsonOption = False,
) -> None:
    """Say what the cache can do without and how much that frees; remove it with --yes."""
    from eri.cli.progress import json_result
    from eri.features.cleaning import clear_features

    with _progress(json) as on_progress:
        report = clear_features(
            features,
            names or (),
            tables=_tables(data, adapter),
            older=older,
            remove=yes,
            threads=threads,
            on_progress=on_progress,
        )
    if json:
        typer.echo(json_result({"clearing": report, "size": report.size, "exit_code": 0}), nl=False)
        return
    _show([*report.findings, *report.held])
    done = "removed" if yes else "would be removed"
    typer.echo(f"{len(report.findings)} {done}, {report.size / 1e6:.1f} MB ({report.size} bytes)")
    if report.held:
        typer.echo(f"{len(report.held)} kept: a run is at work on them")
    if report.findings and not yes:
        typer.echo("Nothing was changed; the same with --yes removes them.")


def _tables(data: Sequence[Path] | None, adapter: str | None) -> list[ClipTable]:
    from eri.data import load_clips

    return [load_clips(source, adapter) for source in data or ()]


def _show(findings: Sequence[FeatureFinding]) -> None:
    from eri.cli import screen

    rows = [[one.kind, one.folder, one.file, str(one.size), one.message] for one in findings[:_SHOWN]]
    if rows:
        headers = ("what", "features", "file", "bytes", "why")
        screen.console.print(screen.table_of("findings", headers, rows, numbers=(3,)))
    if len(findings) > _SHOWN:
        typer.echo(f"… and {len(findings) - _SHOWN} more; --json lists all")


@contextmanager
def _progress(json: bool) -> Iterator[Callable[[int, int], None] | None]:
    """Show a bar on a terminal."""
    from rich.progress import Progress

    from eri.cli import screen

    if json or not screen.console.is_terminal:
        yield None
        return
    with Progress(console=screen.console, transient=True) as bar:
        task = bar.add_task("reading")
        yield lambda done, total: bar.update(task, completed=done, total=total)


app = typer.Typer(
    name="features",
    help="Look at cached features, take in those of others, and hand them on.",
    no_args_is_help=True,
)

UnitName = Literal["s", "ms"]

app.command("verify")(verify_command)
app.command("gc")(clear_command)


@app.command("import")
def import_command(
    source: Annotated[
        Path,
        typer.Argument(
            help="A Parquet table, a folder of one CSV or pickled array a clip, or, with --name, one around it."
        ),
    ],
    data: DataOption = Path("data"),
    adapter: AdapterOption = None,
    features: FeaturesOption = Path("features"),
    name: Annotated[str | None, typer.Option(help="Of the features, such as FAUs; the folder's when left out.")] = None,
    modality: Annotated[
        Literal["visual", "audio"] | None, typer.Option(help="What they describe; known of the organisers'.")
    ] = None,
    time_unit: Annotated[UnitName | None, typer.Option(help="Of the times; found out when left out.")] = None,
    hop: Annotated[float, typer.Option(help="Seconds between rows that have no times.")] = 1.0,
    missing: Annotated[
        Literal["refuse", "mask"], typer.Option(help="What to do with rows in which a number is missing.")
    ] = "refuse",
    id_column: Annotated[str | None, typer.Option(help="Of a Parquet table.")] = None,
    time_column: Annotated[str | None, typer.Option(help="Of a Parquet table.")] = None,
) -> None:
    """Put features that someone else computed into the cache, all of them or none."""
    from eri.data import load_clips
    from eri.features.exchange.importing import import_features

    report = import_features(
        load_clips(data, adapter),
        source,
        features,
        name=name,
        modality=modality,
        time_unit=time_unit,
        hop=hop,
        missing=missing,
        id_column=id_column,
        time_column=time_column,
    )
    typer.echo(
        f"{report.name} ({report.modality}): {report.added} clips added, {report.already} were there, "
        f"{report.absent} of the data set have none"
    )
    typer.echo(
        f"{report.rows} rows of {report.dimension} features, {report.masked} masked; times in {report.times}; "
        f"{report.seconds:.1f} s"
    )
    typer.echo(f"features: {report.folder}")


@app.command("export")
def export_command(
    name: Annotated[str, typer.Argument(help="As `eri features ls` prints it, with or without the digits.")],
    target: Annotated[Path, typer.Argument(help="A folder to be made, or a .parquet table.")],
    features: FeaturesOption = Path("features"),
    file_format: Annotated[
        Literal["csv", "parquet"] | None, typer.Option("--format", help="By the target's suffix when left out.")
    ] = None,
    time_unit: Annotated[UnitName, typer.Option(help="Of the times in CSV files.")] = "ms",
) -> None:
    """Write features as one CSV file a clip, as MuSe distributes them, or as one Parquet table."""
    from eri.features.exchange.exporting import export_features

    report = export_features(features, name, target, format=file_format, time_unit=time_unit)
    typer.echo(f"{report.target}: {report.clips} clips, {report.rows} rows, {report.masked} of them masked")


@app.command("ls")
def list_command(features: FeaturesOption = Path("features")) -> None:
    """List what is in the cache."""
    from eri.cli import screen
    from eri.features.listing import list_features
    from eri.storage import standing_for

    listings, place = list_features(features), standing_for(features)
    if not listings:
        typer.echo(f"{place}: no features yet; `eri extract` or `eri features import` put some there")
        return
    rows = [
        [
            item.folder,
            item.modality or "",
            item.data_set or "",
            str(item.clips),
            "" if item.dimension is None else str(item.dimension),
            str(item.rows),
            f"{item.size / 1e6:.1f}",
        ]
        for item in listings
    ]
    headers = ("features", "modality", "imported for", "clips", "dimension", "rows", "MB")
    screen.console.print(screen.table_of(str(place), headers, rows, numbers=(3, 4, 5, 6)))
