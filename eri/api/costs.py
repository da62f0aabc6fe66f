"""What extraction and models cost: the functions behind `eri plan` and `eri profile`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from eri.api.choices import OnEvent, PathLike, documented
from eri.api.commands import usual_workers
from eri.api.progress import reporting
from eri.utils.errors import ConfigError

if TYPE_CHECKING:
    from eri.extraction.planning import Plan
    from eri.models.profile import VideoProfile


@documented
def plan(
    *,
    clips: int,
    config: PathLike = "yap-csm-v4",
    seconds: float | None = None,
    device: str = "cpu",
    workers: int | None = None,
    machines: int = 1,
    price: float | None = None,
    measure: PathLike | None = None,
    sample: int = 64,
    rates: PathLike | None = None,
    save: PathLike | None = None,
    adapter: str | None = None,
    features: PathLike = "features",
    progress: bool | None = None,
    on_event: OnEvent | None = None,
) -> Plan:
    """Estimate the time, storage and cost of an extraction, what its bottleneck is, and what makes it faster.

    Args:
        clips: Number of clips.
        seconds: Mean length of a clip; as measured if omitted.
        device: Device of the model: cpu, or cuda for any GPU.
        workers: Processes that decode, on each machine.
        machines: Number of machines, each with its shard.
        price: Price of one machine for an hour.
        measure: Data set of which a few clips are extracted now.
        sample: With ``measure``: number of clips.
        rates: The rates.json of a feature folder, of any machine.
        save: File to write the rates to, for ``rates``.

    Raises:
        EriError: Nothing was measured that a plan could be made from, or a number that cannot be.
    """
    from eri.config import Runtime, load_config
    from eri.data import load_clips
    from eri.extraction.planning import choose_rates, group_rates, measure_rates, plan_extraction, stored_rates
    from eri.extraction.rates import encode_rates, read_rates
    from eri.features.store import local_features
    from eri.utils.files import write_json

    system = load_config(config)
    configs = [*system.extractors.values(), *system.drawn]
    if measure is not None:
        runtime = Runtime(device=device, workers=usual_workers() if workers is None else workers)
        with reporting("measuring", progress, on_event) as report:
            table = load_clips(Path(measure), adapter)
            found = [[one] for one in measure_rates(table, configs, runtime, sample=sample, on_event=report)]
        origin = f"{sample} clips of {measure}"
    elif rates is not None:
        found, origin = group_rates(read_rates(Path(rates))), str(rates)
    else:
        found, origin = stored_rates(local_features(features), configs), f"earlier extractions into {features}"
    chosen = choose_rates(found, device, workers)
    if save is not None:
        write_json(Path(save), encode_rates(chosen))
    planned = plan_extraction(chosen, clips, seconds=seconds, workers=workers, machines=machines, price=price)
    return replace(planned, origin=origin)


@documented
def profile(
    config: PathLike,
    *,
    overrides: Sequence[str] = (),
    labels: int = 7,
    runs: int = 20,
    seconds: float = 20.0,
    device: str = "cpu",
    progress: bool | None = None,
    on_event: OnEvent | None = None,
) -> VideoProfile:
    """Show a video model's parameters, MACs, memory and latency for one clip, beside the published values.

    Args:
        overrides: Dotted settings, such as ``model.frames=8``.
        labels: Outputs of the model: the task's labels or classes.
        runs: Number of timed runs, after some that are not timed.
        seconds: Seconds after which no further run begins.

    Raises:
        ConfigError: The system has no video model.
    """
    from eri.config import VideoModelConfig, load_config
    from eri.models.profile import profile_video_model
    from eri.models.running import resolve_device

    system = load_config(config, overrides)
    model = system.model
    if not isinstance(model, VideoModelConfig):
        raise ConfigError(
            f"'{system.name}' reads cached features, so that its cost is that of its extractors",
            hint="Profile a system whose model reads images, such as r2plus1d-scl.",
        )
    with reporting(f"measuring {system.name}", progress, on_event):
        return profile_video_model(model, labels, resolve_device(device), runs=runs, seconds=seconds)
