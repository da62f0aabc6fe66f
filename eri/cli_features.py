"""The commands of `eri features`: thin functions over :mod:`eri.features`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from eri.cli_features_care import clear_command, verify_command
from eri.cli_options import AdapterOption, DataOption, FeaturesOption

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
    from eri.features import import_features

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
    from eri.features import export_features

    report = export_features(features, name, target, format=file_format, time_unit=time_unit)
    typer.echo(f"{report.target}: {report.clips} clips, {report.rows} rows, {report.masked} of them masked")


@app.command("ls")
def list_command(features: FeaturesOption = Path("features")) -> None:
    """List what is in the cache."""
    from eri import screen
    from eri.features import list_features
    from eri.remote import standing_for

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
