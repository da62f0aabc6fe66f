"""The commands `eri cv`, `eri ensemble` and `eri compare`: thin functions over :mod:`eri.evaluation`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from eri.cli.cv import NameOption, OverwriteOption, cv
from eri.cli.options import AdapterOption, DataOption, DeviceOption, FeaturesOption, RunsOption

app = typer.Typer(help="Scores that can be believed.")
app.command()(cv)

SplitOption = Annotated[Literal["val", "test"], typer.Option(help="Of the clips that runs are scored on.")]


@app.command()
def ensemble(
    members: Annotated[list[Path], typer.Argument(help="Folders of runs, or of cross-validations.")],
    method: Annotated[Literal["mean", "weighted", "ridge", "lightgbm"], typer.Option()] = "weighted",
    data: DataOption = Path("data"),
    adapter: AdapterOption = None,
    features: FeaturesOption = Path("features"),
    runs: RunsOption = Path("runs"),
    split: SplitOption = "val",
    name: NameOption = None,
    overwrite: OverwriteOption = False,
    device: DeviceOption = "auto",
) -> None:
    """Put runs together; the score is taken on clips that the combination was not fitted on."""
    from eri.cli import screen_selection
    from eri.config import Runtime
    from eri.data import load_clips
    from eri.evaluation.ensembling import ensemble as make_ensemble
    from eri.runs.finding import note_inputs

    table, runtime = load_clips(data, adapter), Runtime(device=device)
    report = make_ensemble(
        [_found(member, runs) for member in members],
        table,
        features,
        runs,
        runtime,
        method=method,
        split=split,
        name=name,
        overwrite=overwrite,
    )
    note_inputs(report.path, data, adapter, features)
    screen_selection.show_ensemble(report)


@app.command()
def compare(
    first: Annotated[Path, typer.Argument(help="Folder of a run, a cross-validation or an ensemble.")],
    second: Annotated[Path, typer.Argument(help="Another of the same clips.")],
    data: DataOption = Path("data"),
    adapter: AdapterOption = None,
    features: FeaturesOption = Path("features"),
    runs: RunsOption = Path("runs"),
    split: SplitOption = "val",
    draws: Annotated[int, typer.Option(min=200, help="Resamples of the clips.")] = 2000,
    by: Annotated[
        Literal["clip", "subject"], typer.Option(help="What is drawn; subject: each with all its clips.")
    ] = "clip",
    device: DeviceOption = "auto",
) -> None:
    """Say whether the first is better than the second: difference, interval, p-value corrected by Holm."""
    from eri.cli import screen_selection
    from eri.config import Runtime
    from eri.data import load_clips
    from eri.evaluation.comparison import compare as compare_pair

    table, runtime = load_clips(data, adapter), Runtime(device=device)
    pair = _found(first, runs), _found(second, runs)
    screen_selection.show_comparison(
        compare_pair(*pair, table, features, split=split, draws=draws, by=by, runtime=runtime)
    )


def _found(run: Path, runs: Path) -> Path:
    return run if run.exists() else runs / run
