"""The command line: one thin function a command; the work is done by the function of the same name in the package.

Only typer is imported here at the top, so that `eri --help` answers at once.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from eri.cli import draw as cli_draw
from eri.cli import export as cli_export
from eri.cli import features as cli_features
from eri.cli import plan as cli_plan
from eri.cli import predict as cli_predict
from eri.cli import profile as cli_profile
from eri.cli import report as cli_report
from eri.cli import search as cli_search
from eri.cli import selection as cli_selection
from eri.cli.options import (
    AdapterOption,
    AddressOption,
    DataOption,
    DecoderOption,
    DeviceOption,
    EngineOption,
    FeaturesOption,
    JsonOption,
    QuietOption,
    RunsOption,
    SplitName,
    usual_workers,
)

app = typer.Typer(
    name="eri",
    help="From a folder of clips to a reaction-intensity challenge submission that the organisers accept.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
for more in (
    cli_plan,
    cli_predict,
    cli_selection,
    cli_search,
    cli_features,
    cli_profile,
    cli_draw,
    cli_report,
    cli_export,
):
    app.add_typer(more.app)

ModalityName = Literal["visual", "audio", "multimodal"]

DataArgument = Annotated[Path, typer.Argument(help="Challenge folder, or manifest YAML.", show_default=True)]
RunDataOption = Annotated[
    Path | None, typer.Option("--data", "-d", help="Data to use instead of what the run was trained on.")
]
RunFeaturesOption = Annotated[Path | None, typer.Option("--features", help="Cache to use instead of the run's.")]
ConfigOption = Annotated[str | None, typer.Option("--config", "-c", help="A name from `eri configs`, or a YAML file.")]
ModalityOption = Annotated[ModalityName | None, typer.Option("--modality", "-m", help="Default system of a modality.")]
OverridesArgument = Annotated[
    list[str] | None, typer.Argument(metavar="KEY=VALUE", help="Dotted settings, such as training.epochs=10.")
]
RunArgument = Annotated[Path | None, typer.Argument(help="Run folder or name; the newest when left out.")]
BatchOption = Annotated[int, typer.Option(min=1, help="Model inputs a forward pass; does not change the numbers.")]
WorkersOption = Annotated[int, typer.Option(min=0, help="Processes that decode; does not change the numbers.")]
CoresOption = Annotated[
    int | None,
    typer.Option(
        min=0,
        help="Processes that decode; does not change the numbers.",
        show_default="cores, 8 at most; 1 an actor on Ray",
    ),
]
TimeoutOption = Annotated[float, typer.Option(min=1.0, help="Seconds one clip may take.")]


def _print_version(wanted: bool) -> None:
    if wanted:
        from eri import __version__

        print(__version__)
        raise typer.Exit


@app.callback()
def _root(
    version: Annotated[
        bool, typer.Option("--version", help="Print the version and leave.", is_eager=True, callback=_print_version)
    ] = False,
) -> None:
    pass


@app.command()
def demo(
    folder: Annotated[Path, typer.Argument(help="Where clips, features, runs and submission go.")] = Path("demo"),
    seed: Annotated[int, typer.Option(min=0, help="Of the generated clips.")] = 0,
    pretrained: Annotated[bool, typer.Option(help="Use the real backbone weights, not random ones.")] = False,
    workers: WorkersOption = 2,
    device: DeviceOption = "auto",
    only: Annotated[
        Literal["expressions", "directions", "shuffled"] | None,
        typer.Option(help="Only generate clips of moving faces, for video models; docs/expressions.md."),
    ] = None,
) -> None:
    """Generate clips and run the whole way on them: extract, train, evaluate, submit, validate."""
    from eri.api.demo import GenerationEvent, run_demo
    from eri.cli import screen
    from eri.cli.progress import ProgressDisplay
    from eri.config import Runtime
    from eri.synthetic.expressions import generate_expression_set

    with ProgressDisplay(screen.console) as display:
        if only is not None:
            manifest = generate_expression_set(
                folder / only,
                content="expressions" if only == "expressions" else "directions",
                seed=seed,
                shuffled=only == "shuffled",
                workers=workers,
                progress=lambda done, total: display.on_event(GenerationEvent(done, total)),
            )
            screen.console.print(f"written: {manifest}", soft_wrap=True, highlight=False, markup=False)
            return
        report = run_demo(
            folder,
            seed=seed,
            pretrained=pretrained,
            runtime=Runtime(device=device, workers=workers),
            on_event=display.on_event,
        )
    screen.show_demo(report)
    raise typer.Exit(0 if report.accepted else 1)


@app.command()
def doctor(features: FeaturesOption = Path("features")) -> None:
    """Say what is installed and ready, and what to do about each gap."""
    from eri.api.diagnosis import doctor as diagnose
    from eri.cli import screen

    checks = diagnose(features)
    screen.show_checks(checks)
    raise typer.Exit(1 if any(check.status == "missing" for check in checks) else 0)


@app.command()
def configs() -> None:
    """List the systems that can be trained by name, with the published figures."""
    from eri.cli import screen

    screen.show_configs()


@app.command()
def schema() -> None:
    """Print the JSON schema of a config, for editors."""
    import json

    from eri.config import config_schema

    print(json.dumps(config_schema(), indent=2))


@app.command()
def probe(
    data: DataArgument = Path("data"),
    adapter: AdapterOption = None,
    workers: WorkersOption = 2,
    output: Annotated[Path | None, typer.Option("--output", "-o", help="Also write the table as CSV.")] = None,
    every: Annotated[bool, typer.Option("--all", help="Show every clip, not only the odd ones.")] = False,
) -> None:
    """Show duration, frame rate, size, rotation, sound and faults of every clip."""
    from eri.api import commands
    from eri.cli import screen

    report = commands.probe(data, adapter=adapter, workers=workers)
    screen.show_probe(report, every=every, output=output)


@app.command()
def extract(
    overrides: OverridesArgument = None,
    config: ConfigOption = None,
    modality: ModalityOption = None,
    data: DataOption = Path("data"),
    adapter: AdapterOption = None,
    features: FeaturesOption = Path("features"),
    runs: RunsOption = Path("runs"),
    weights: Annotated[
        str | None, typer.Option(help="A run of a video model: cache what its model makes of the clips.")
    ] = None,
    windows: Annotated[int, typer.Option(min=1, help="With --weights: rows of a clip.")] = 1,
    split: Annotated[SplitName | None, typer.Option(help="Only this split.")] = None,
    shard: Annotated[
        str | None, typer.Option(metavar="I/N", help="Only part I of N disjoint parts; docs/scaling.md.")
    ] = None,
    engine: EngineOption = "local",
    address: AddressOption = None,
    device: DeviceOption = "auto",
    batch_size: BatchOption = 32,
    workers: CoresOption = None,
    timeout: TimeoutOption = 300.0,
    compiled: Annotated[
        bool, typer.Option("--compile", help="Compile the image model after ten minutes of its work (torch.compile).")
    ] = False,
    decoder: DecoderOption = "pyav",
    quiet: QuietOption = False,
    json: JsonOption = False,
) -> None:
    """Compute and cache features; what is complete is not computed again."""
    from eri.api import commands
    from eri.cli import screen
    from eri.cli.progress import json_result, open_display
    from eri.cli.tensorboard import Curves
    from eri.config import Runtime
    from eri.data.clips import SPLITS

    if workers is None:  # on Ray it is an actor's own, and there are as many actors as the cluster has room for
        workers = 1 if engine == "ray" else usual_workers()
    with open_display(quiet=quiet, json=json) as display, Curves(display.on_event, features=features) as curves:
        report = commands.extract(
            data,
            config=config,
            modality=modality,
            overrides=overrides or (),
            adapter=adapter,
            features=features,
            runs=runs,
            weights=weights,
            windows=windows,
            splits=(split,) if split else SPLITS,
            shard=shard,
            engine=engine,
            address=address,
            runtime=Runtime(device, batch_size, workers, timeout, compiled, decoder),
            on_event=curves.on_event,
        )
    if json:
        typer.echo(json_result({"extraction": report, "exit_code": report.exit_code}), nl=False)
    elif not quiet:
        screen.show_extraction(report)
    raise typer.Exit(report.exit_code)


@app.command()
def train(
    overrides: OverridesArgument = None,
    modality: ModalityOption = None,
    config: ConfigOption = None,
    data: DataOption = Path("data"),
    adapter: AdapterOption = None,
    features: FeaturesOption = Path("features"),
    runs: RunsOption = Path("runs"),
    name: Annotated[str | None, typer.Option(help="Of the run folder; <config>-seed<seed> when left out.")] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with an interrupted run.")] = False,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace a run of the same name.")] = False,
    device: DeviceOption = "auto",
    quiet: QuietOption = False,
    json: JsonOption = False,
) -> None:
    """Train a system on cached features or face crops."""
    from eri.api import commands
    from eri.cli import screen
    from eri.cli.progress import json_result, open_display
    from eri.cli.tensorboard import Curves
    from eri.config import Runtime
    from eri.training.processes import current_place

    with open_display(quiet=quiet, json=json) as display, Curves(display.on_event, runs=runs) as curves:
        run = commands.train(
            data,
            config=config,
            modality=modality,
            overrides=overrides or (),
            adapter=adapter,
            features=features,
            runs=runs,
            name=name,
            resume=resume,
            overwrite=overwrite,
            runtime=Runtime(device=device),
            on_event=curves.on_event,
        )
    if json and current_place().writes:
        typer.echo(json_result({"run": run, "exit_code": 0}), nl=False)
    elif current_place().writes and not quiet:
        screen.show_run(run)


@app.command()
def evaluate(
    run: RunArgument = None,
    split: Annotated[SplitName, typer.Option(help="Split to score.")] = "val",
    data: RunDataOption = None,
    adapter: AdapterOption = None,
    features: RunFeaturesOption = None,
    runs: RunsOption = Path("runs"),
    bootstrap: Annotated[int, typer.Option(min=100, help="Draws behind the 95 % interval.")] = 1000,
    device: DeviceOption = "auto",
) -> None:
    """Score a run: mean Pearson and each emotion's, with 95 % intervals."""
    from eri.api import commands
    from eri.cli import screen
    from eri.config import Runtime

    result = commands.evaluate(
        run,
        split=split,
        data=data,
        adapter=adapter,
        features=features,
        runs=runs,
        bootstrap=bootstrap,
        runtime=Runtime(device=device),
    )
    screen.show_evaluation(result)


@app.command()
def submit(
    run: RunArgument = None,
    split: Annotated[SplitName, typer.Option(help="Split that the organisers score.")] = "test",
    data: RunDataOption = None,
    adapter: AdapterOption = None,
    features: RunFeaturesOption = None,
    runs: RunsOption = Path("runs"),
    submissions: Annotated[Path, typer.Option(help="Folder of submissions.")] = Path("submissions"),
    filename: Annotated[str | None, typer.Option(help="Of the file; the challenge's own when left out.")] = None,
    bracketed: Annotated[
        bool | None, typer.Option("--brackets/--no-brackets", help="Ids as [00000]; the challenge's own way.")
    ] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace an earlier file.")] = False,
    device: DeviceOption = "auto",
) -> None:
    """Write the organisers' prediction file with a manifest, and validate it."""
    from eri.api import commands
    from eri.cli import screen
    from eri.config import Runtime

    path, findings = commands.submit(
        run,
        split=split,
        data=data,
        adapter=adapter,
        features=features,
        runs=runs,
        submissions=submissions,
        filename=filename,
        bracketed=bracketed,
        overwrite=overwrite,
        runtime=Runtime(device=device),
    )
    screen.show_submission(path, findings)
    raise typer.Exit(1 if screen.has_errors(findings) else 0)


@app.command()
def validate(
    file: Annotated[Path, typer.Argument(help="Submission file to judge.")],
    data: DataOption = Path("data"),
    adapter: AdapterOption = None,
    split: Annotated[SplitName, typer.Option(help="Split that the file is for.")] = "test",
    bracketed: Annotated[
        bool | None, typer.Option("--brackets/--no-brackets", help="Ids as [00000]; the challenge's own way.")
    ] = None,
) -> None:
    """Judge any submission file: every finding with its line; exit code 1 when it would be refused."""
    from eri.api import commands
    from eri.cli import screen

    findings = commands.validate(file, data=data, adapter=adapter, split=split, bracketed=bracketed)
    screen.show_findings(file, findings)
    raise typer.Exit(1 if screen.has_errors(findings) else 0)


def main(arguments: list[str] | None = None) -> Any:
    """Run the command line; errors meant for the user are printed in one piece, without a traceback."""
    from eri.utils.errors import EriError

    try:
        return app(arguments)
    except EriError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(error.exit_code)
    except KeyboardInterrupt:
        print("interrupted: what was finished is kept; run the same command again to go on", file=sys.stderr)
        sys.exit(130)


if __name__ == "__main__":
    main()
