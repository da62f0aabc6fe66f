"""The command `eri cv`, and two options that its neighbours share."""

from __future__ import annotations

from enum import StrEnum
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


class SplitChoice(StrEnum):
    """The splits; typer takes a list of choices as an enumeration only."""

    TRAIN = "train"
    VAL = "val"
    TEST = "test"


NameOption = Annotated[str | None, typer.Option(help="Of the folder that is written.")]
OverwriteOption = Annotated[bool, typer.Option("--overwrite", help="Replace what has this name.")]


def cv(
    overrides: Annotated[list[str] | None, typer.Argument(metavar="KEY=VALUE", help="Dotted settings.")] = None,
    config: Annotated[str | None, typer.Option("--config", "-c", help="A name or a YAML file.")] = None,
    modality: Annotated[Literal["visual", "audio", "multimodal"] | None, typer.Option("--modality", "-m")] = None,
    data: DataOption = Path("data"),
    adapter: AdapterOption = None,
    features: FeaturesOption = Path("features"),
    runs: RunsOption = Path("runs"),
    folds: Annotated[int, typer.Option(help="Folds of about the same size.")] = 5,
    repeats: Annotated[int, typer.Option(help="How often all clips are dealt anew.")] = 1,
    leave_one_group_out: Annotated[bool, typer.Option("--leave-one-group-out", help="A fold a subject.")] = False,
    folds_file: Annotated[Path | None, typer.Option(help="CSV with clip_id and fold.")] = None,
    protocol: Annotated[
        Literal["dealt", "official"],
        typer.Option(help="dealt: folds as these options say. official: the data set's own, as DFEW's five."),
    ] = "dealt",
    ungrouped: Annotated[bool, typer.Option("--ungrouped", help="Let folds share subjects.")] = False,
    inner: Annotated[int, typer.Option(help="One part in so many of a fold's training clips chooses the epoch.")] = 5,
    split: Annotated[
        list[SplitChoice] | None,
        typer.Option(help="Splits whose labelled clips are dealt; train and val if none is named."),
    ] = None,
    seeds: Annotated[int, typer.Option(min=1, help="Models a fold: the config's seed and those after it.")] = 1,
    name: NameOption = None,
    resume: Annotated[bool, typer.Option("--resume", help="Keep the models that are trained.")] = False,
    overwrite: OverwriteOption = False,
    device: DeviceOption = "auto",
    workers: Annotated[int, typer.Option(min=0, help="Models trained at a time; 0 is one a core.")] = 0,
    engine: EngineOption = "local",
    address: AddressOption = None,
) -> None:
    """Train on every fold with every seed, and score each clip by models that never met it."""
    import os

    from eri.api.commands import choose_config
    from eri.cli import screen_selection
    from eri.config import Runtime
    from eri.data import load_clips
    from eri.evaluation.cross_validation import cv as cross_validate
    from eri.evaluation.folds import FoldPlan
    from eri.runs.finding import note_inputs

    system = choose_config(config, modality, overrides or ())
    first = system.training.seed
    result = cross_validate(
        system,
        load_clips(data, adapter),
        features,
        runs,
        Runtime(device=device, workers=workers or os.cpu_count() or 1),
        plan=FoldPlan(
            folds,
            repeats,
            leave_one_group_out,
            folds_file,
            grouped=False if ungrouped else None,
            inner=inner,
            official=protocol == "official",
        ),
        seeds=range(first, first + seeds),
        splits=[choice.value for choice in split] if split else ("train", "val"),
        name=name,
        resume=resume,
        engine=engine,
        address=address,
        overwrite=overwrite,
        on_event=screen_selection.show_model,
    )
    note_inputs(result.path, data, adapter, features)
    screen_selection.show_cross_validation(result)
