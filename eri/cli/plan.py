"""The command `eri plan`: a thin function over :mod:`eri.extraction.planning`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from eri.cli.options import AdapterOption, FeaturesOption, JsonOption, usual_workers

if TYPE_CHECKING:
    from eri.config import ExtractorConfig
    from eri.extraction.planning import Plan
    from eri.extraction.run import StageRates

app = typer.Typer()


@app.command("plan")
def plan_command(
    clips: Annotated[int, typer.Option(min=1, help="How many clips.")],
    config: Annotated[str, typer.Option("--config", "-c", help="The system, by name or YAML file.")] = "yap-csm-v4",
    seconds: Annotated[float | None, typer.Option(help="Mean length of a clip; as measured when left out.")] = None,
    device: Annotated[str, typer.Option("--device", help="cpu, or cuda for any GPU.")] = "cpu",
    workers: Annotated[int | None, typer.Option(min=0, help="Processes that decode, on each machine.")] = None,
    machines: Annotated[int, typer.Option(min=1, help="How many, each with its shard.")] = 1,
    price: Annotated[float | None, typer.Option(min=0, help="Of one machine for an hour.")] = None,
    measure: Annotated[Path | None, typer.Option(help="Extract a few clips of this data set now.")] = None,
    sample: Annotated[int, typer.Option(min=2, help="With --measure: how many.")] = 64,
    rates: Annotated[Path | None, typer.Option(help="A rates.json of a feature folder, of any machine.")] = None,
    save: Annotated[Path | None, typer.Option(help="Also write the rates that were used, for --rates.")] = None,
    adapter: AdapterOption = None,
    features: FeaturesOption = Path("features"),
    json: JsonOption = False,
) -> None:
    """Say what extracting so many clips takes: time, storage, cost, what bounds it, and what to buy."""
    from eri.cli.progress import json_result
    from eri.config import load_config
    from eri.extraction.planning import choose_rates, group_rates, plan_extraction, stored_rates
    from eri.extraction.rates import encode_rates, read_rates
    from eri.utils.files import write_json

    system = load_config(config)
    configs = [*system.extractors.values(), *system.drawn]
    if measure is not None:
        found = [[one] for one in _measure(measure, adapter, configs, device, workers, sample, json)]
        origin = f"{sample} clips of {measure}"
    elif rates is not None:
        found, origin = group_rates(read_rates(rates)), str(rates)
    else:
        found, origin = stored_rates(features, configs), f"earlier extractions into {features}"
    chosen = choose_rates(found, device, workers)
    plan = plan_extraction(chosen, clips, seconds=seconds, workers=workers, machines=machines, price=price)
    if save is not None:
        write_json(save, encode_rates(chosen))
    if json:
        typer.echo(json_result({"plan": plan, "hours": plan.hours, "cost": plan.cost, "exit_code": 0}), nl=False)
    else:
        _show(plan, origin)


def _measure(
    data: Path,
    adapter: str | None,
    configs: list[ExtractorConfig],
    device: str,
    workers: int | None,
    sample: int,
    json: bool,
) -> list[StageRates]:
    from eri.cli.progress import open_display
    from eri.config import Runtime
    from eri.data import load_clips
    from eri.extraction.planning import measure_rates

    runtime = Runtime(device=device, workers=usual_workers() if workers is None else workers)
    with open_display(json=json) as display:
        return measure_rates(load_clips(data, adapter), configs, runtime, sample=sample, on_event=display.on_event)


def _show(plan: Plan, origin: str) -> None:
    from eri.cli import screen

    rows = []
    for part in plan.extractors:
        work = ", ".join(f"{name} {hours:.1f}" for name, hours in part.stage_hours.items() if hours >= 0.05)
        sizes = (f"{part.media_bytes / 1e9:.1f}", f"{part.feature_bytes / 1e9:.1f}")
        rows.append([part.measured.extractor, str(part.workers), f"{part.hours:.2f}", part.bound, work, *sizes])
    headers = ("extractor", "workers", "hours", "bounded by", "hours of work", "GB read", "GB of features")
    title = f"{plan.clips:,} clips on {plan.machines} machine(s)"
    screen.console.print(screen.table_of(title, headers, rows, numbers=(1, 2, 5, 6)))
    cost = "" if plan.cost is None else f", {plan.cost:.2f} at {plan.price:g} a machine-hour"
    typer.echo(f"in all {plan.hours:.2f} hours{cost}; {plan.feature_bytes / 1e9:.1f} GB of features")
    for part in plan.extractors:
        for line in part.advice:
            typer.echo(f"{part.measured.extractor}, faster: {line}")
        one = part.measured
        typer.echo(
            f"{one.extractor}: planned from {one.clips} clips of {one.media_seconds / one.clips:.1f} s on {one.cores} "
            f"cores of {one.processor}, {one.device}, {one.workers} workers, batches of {one.batch_size} ({origin})"
        )
