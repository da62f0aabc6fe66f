"""Options that several commands share, with one help text each."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated, Literal

import typer

EngineOption = Annotated[
    Literal["local", "ray"], typer.Option("--engine", help="local: this machine. ray: the machines of a Ray cluster.")
]
AddressOption = Annotated[
    str | None,
    typer.Option(
        "--address",
        metavar="HOST:PORT",
        help="Of the Ray cluster, or auto; without it Ray is started on this machine. docs/scaling.md.",
    ),
]


SplitName = Literal["train", "val", "test"]


def usual_workers() -> int:
    """Return how many worker processes an extraction takes by itself on this machine: one a core, 8 at most."""
    return min(os.cpu_count() or 1, 8)


def _at_hand(features: Path) -> Path:
    """Return the folder that stands for a feature store: of a URL, its mirror on this machine."""
    from eri.storage import parse_url

    if parse_url(features) is None:
        return features
    from eri.features.places import local_features

    return local_features(features)


DataOption = Annotated[
    Path, typer.Option("--data", "-d", envvar="ERI_DATA", help="Challenge folder or manifest YAML; may be a URL.")
]
AdapterOption = Annotated[str | None, typer.Option(help="Reader of the data; found out by itself.")]
FeaturesOption = Annotated[
    Path,
    typer.Option(
        "--features", envvar="ERI_FEATURES", callback=_at_hand, help="Folder of cached features, or s3://, gs:// URL."
    ),
]
RunsOption = Annotated[Path, typer.Option("--runs", envvar="ERI_RUNS", help="Folder of runs.")]
DecoderOption = Annotated[
    Literal["pyav", "torchcodec"],
    typer.Option("--decoder", help="Of sampled frames; torchcodec: on the device, on a GPU by NVDEC. docs/speed.md."),
]
DeviceOption = Annotated[str, typer.Option("--device", help="auto, cpu, cuda or cuda:N.")]
QuietOption = Annotated[bool, typer.Option("--quiet", "-q", help="Show nothing but errors.")]
JsonOption = Annotated[bool, typer.Option("--json", help="For machines: progress and result as a JSON object a line.")]
