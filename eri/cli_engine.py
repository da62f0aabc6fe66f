"""Options of commands that can run on a Ray cluster."""

from __future__ import annotations

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
