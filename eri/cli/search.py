"""The command `eri search`: a thin function over :mod:`eri.evaluation.search`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from eri.cli.options import (
    AdapterOption,
    AddressOption,
    DataOption,
    DeviceOption,
    EngineOption,
    FeaturesOption,
    RunsOption,
)

app = typer.Typer(help="Searching settings.")


@app.command()
def search(
    space: Annotated[
        str,
        typer.Argument(
            help="A shipped name, or a YAML file: training.learning_rate: {low: 0.0001, high: 0.01, log: true} ..."
        ),
    ],
    overrides: Annotated[list[str] | None, typer.Argument(metavar="KEY=VALUE", help="Dotted settings.")] = None,
    config: Annotated[str | None, typer.Option("--config", "-c", help="A name or a YAML file.")] = None,
    modality: Annotated[Literal["visual", "audio", "multimodal"] | None, typer.Option("--modality", "-m")] = None,
    data: DataOption = Path("data"),
    adapter: AdapterOption = None,
    features: FeaturesOption = Path("features"),
    runs: RunsOption = Path("runs"),
    trials: Annotated[int, typer.Option(min=1, help="That the study should have when it ends.")] = 50,
    pruning: Annotated[Literal["median", "asha", "none"], typer.Option(help="When a trial stops early.")] = "median",
    folds: Annotated[int, typer.Option(min=0, help="Judge trials over so many folds; 0 is the val split.")] = 0,
    leave_one_group_out: Annotated[bool, typer.Option("--leave-one-group-out", help="A fold a subject.")] = False,
    floor: Annotated[
        float | None,
        typer.Option(help="With folds of classes: stop a trial that cannot reach this WAR, such as 0.965."),
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="Of the sampling.")] = 0,
    name: Annotated[str | None, typer.Option(help="Of the folder that is written.")] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with the study, also beside others.")] = False,
    device: DeviceOption = "auto",
    workers: Annotated[int, typer.Option(min=1, help="Trials at a time.")] = 1,
    engine: EngineOption = "local",
    address: AddressOption = None,
) -> None:
    """Search settings of a config for the best validation score, and write the best as YAML."""
    from eri.api.commands import choose_config
    from eri.cli import screen_selection
    from eri.config import Runtime, find_space
    from eri.data import load_clips
    from eri.evaluation.folds import FoldPlan
    from eri.evaluation.search import read_space
    from eri.evaluation.search import search as search_space

    plan = FoldPlan(folds or 5, leave_one_group_out=leave_one_group_out) if folds or leave_one_group_out else None
    report = search_space(
        choose_config(config, modality, overrides or ()),
        read_space(find_space(space)),
        load_clips(data, adapter),
        features,
        runs,
        Runtime(device=device, workers=workers),
        trials=trials,
        pruning=pruning,
        plan=plan,
        floor=floor,
        seed=seed,
        name=name,
        resume=resume,
        engine=engine,
        address=address,
        on_event=screen_selection.show_trial,
    )
    screen_selection.show_search(report)
