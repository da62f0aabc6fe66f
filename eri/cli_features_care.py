"""The commands `eri features verify` and `gc`: thin functions over :mod:`eri.features`."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from eri.cli_options import AdapterOption, FeaturesOption, JsonOption

if TYPE_CHECKING:
    from eri.data.clips import ClipTable
    from eri.features import FeatureFinding

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
    from eri.features import verify_features
    from eri.progress_modes import json_result

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
    from eri.features import clear_features
    from eri.progress_modes import json_result

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
    from eri import screen

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

    from eri import screen

    if json or not screen.console.is_terminal:
        yield None
        return
    with Progress(console=screen.console, transient=True) as bar:
        task = bar.add_task("reading")
        yield lambda done, total: bar.update(task, completed=done, total=total)
