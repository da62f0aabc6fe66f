"""The command `eri profile`, a thin function over :mod:`eri.models.profile`."""

from __future__ import annotations

from typing import Annotated

import typer

from eri.cli.options import DeviceOption

app = typer.Typer(help="What a model costs.")


@app.command()
def profile(
    config: Annotated[str, typer.Argument(help="A system by name, or a YAML file.")],
    overrides: Annotated[list[str] | None, typer.Argument(metavar="KEY=VALUE", help="Dotted settings.")] = None,
    labels: Annotated[int, typer.Option(min=1, help="Outputs of the model: the task's labels or classes.")] = 7,
    runs: Annotated[int, typer.Option(min=1, help="Timed runs, after some that are not.")] = 20,
    seconds: Annotated[float, typer.Option(min=0, help="No further run begins after so long.")] = 20.0,
    device: DeviceOption = "cpu",
) -> None:
    """Show a video model's parameters, MACs, memory and latency for one clip, beside the published figures."""
    from eri.cli import screen_models as screen_profile
    from eri.config import VideoModelFields, load_config
    from eri.models.profile import profile_video_model
    from eri.training.device import choose_device
    from eri.utils.errors import ConfigError

    system = load_config(config, overrides or ())
    model = system.model
    if not isinstance(model, VideoModelFields):
        raise ConfigError(
            f"'{system.name}' reads cached features, so that its cost is that of its extractors",
            hint="Profile a system whose model reads pictures, such as r2plus1d-scl.",
        )
    chosen = choose_device(device)
    screen_profile.show_profile(profile_video_model(model, labels, chosen, runs=runs, seconds=seconds))
