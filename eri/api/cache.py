"""The cache of features: the functions behind `eri features`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from eri.api.choices import Missing, OnEvent, PathLike, Stream, TableFormat, TimeUnit, documented
from eri.api.progress import counter, reporting

if TYPE_CHECKING:
    import pandas as pd

    from eri.data.clips import ClipTable
    from eri.features.exchange.exporting import ExportReport
    from eri.features.exchange.importing import ImportReport
    from eri.features.verify import ClearingReport, VerifyReport


@documented
def features_ls(*, features: PathLike = "features") -> pd.DataFrame:
    """List what is in the cache.

    Returns:
        One row per feature folder, indexed by its name: ``modality``, ``data_set`` (of imported features), ``clips``,
        ``dimension``, ``rows`` and ``size`` in bytes.
    """
    from eri.features.store import list_features

    return list_features(Path(features))


@documented
def features_verify(
    names: Sequence[str] = (),
    *,
    data: Sequence[PathLike] = (),
    adapter: str | None = None,
    features: PathLike = "features",
    threads: int = 4,
    progress: bool | None = None,
    on_event: OnEvent | None = None,
) -> VerifyReport:
    """Read every cached file and list which are damaged, and with data which are outdated or of no clip.

    Raises:
        EriError: A name is of no features, or the cache cannot be read.
    """
    from eri.features.store import local_features
    from eri.features.verify import verify_features

    with reporting("verifying", progress, on_event) as report:
        tables, done = _tables(data, adapter), counter(report, "verifying", "files")
        return verify_features(local_features(features), names, tables=tables, threads=threads, on_progress=done)


@documented
def features_gc(
    names: Sequence[str] = (),
    *,
    data: Sequence[PathLike] = (),
    adapter: str | None = None,
    features: PathLike = "features",
    older: Annotated[bool, "Also remove earlier versions of the same config's features."] = False,
    yes: Annotated[bool, "Remove what is listed; without it nothing is changed."] = False,
    threads: int = 4,
    progress: bool | None = None,
    on_event: OnEvent | None = None,
) -> ClearingReport:
    """List what can be removed from the cache and how much that frees; with yes, remove it.

    Raises:
        EriError: A name is of no features, or the cache cannot be read or written.
    """
    from eri.features.store import local_features
    from eri.features.verify import clear_features

    with reporting("verifying", progress, on_event) as report:
        cache, tables, done = local_features(features), _tables(data, adapter), counter(report, "verifying", "files")
        return clear_features(cache, names, tables=tables, older=older, remove=yes, threads=threads, on_progress=done)


def _tables(data: Sequence[PathLike], adapter: str | None) -> list[ClipTable]:
    from eri.data import load_clips

    return [load_clips(Path(source), adapter) for source in ([data] if isinstance(data, str | Path) else data)]


@documented
def features_import(
    source: PathLike,
    *,
    data: PathLike = "data",
    adapter: str | None = None,
    features: PathLike = "features",
    name: Annotated[str | None, "Name of the features, such as FAUs; that of the folder if omitted."] = None,
    modality: Annotated[Stream | None, "What the features describe; known of the organisers' features."] = None,
    time_unit: Annotated[TimeUnit | None, "Unit of the times; detected if omitted."] = None,
    hop: Annotated[float, "Seconds between rows that have no times."] = 1.0,
    missing: Annotated[Missing, "What to do with rows in which a number is missing."] = "refuse",
    id_column: Annotated[str | None, "Column of a Parquet table with the clip ids."] = None,
    time_column: Annotated[str | None, "Column of a Parquet table with the times."] = None,
    progress: bool | None = None,
    on_event: OnEvent | None = None,
) -> ImportReport:
    """Import features that someone else computed into the cache, all of them or none.

    Args:
        source: A Parquet table, a folder with one CSV file or pickled array per clip, or, with ``name``, the folder
            around it.

    Raises:
        EriError: Something cannot be read or does not fit together; the file is named.
    """
    from eri.data import load_clips
    from eri.features.exchange.importing import import_features

    with reporting(f"importing {source}", progress, on_event) as report:
        return import_features(
            load_clips(Path(data), adapter),
            Path(source),
            Path(features),
            name=name,
            modality=modality,
            time_unit=time_unit,
            hop=hop,
            missing=missing,
            id_column=id_column,
            time_column=time_column,
            on_progress=counter(report, "importing"),
        )


@documented
def features_export(
    name: Annotated[str, "Features as `eri features ls` prints them, with or without the digits."],
    target: Annotated[PathLike, "Folder to create, or a .parquet file."],
    *,
    features: PathLike = "features",
    format: Annotated[TableFormat | None, "Format of the target; by its suffix if omitted."] = None,  # noqa: A002  the option's name
    time_unit: Annotated[TimeUnit, "Unit of the times in CSV files."] = "ms",
    progress: bool | None = None,
    on_event: OnEvent | None = None,
) -> ExportReport:
    """Write features as one CSV file per clip, as MuSe distributes them, or as one Parquet table.

    Raises:
        EriError: No features have that name, one is damaged, or the target exists already.
    """
    from eri.features.exchange.exporting import export_features

    with reporting(f"exporting {name}", progress, on_event) as report:
        done = counter(report, "exporting")
        return export_features(Path(features), name, Path(target), format=format, time_unit=time_unit, on_progress=done)
