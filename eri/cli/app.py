"""The command line, one line per command; functions import what they need when called: `eri --help` answers at once."""

from __future__ import annotations

import sys
from typing import Annotated, Any

import typer

from eri.api import cache, commands, demo, diagnosis, experiments, outputs
from eri.cli import results
from eri.cli.building import Command
from eri.utils.errors import EriError

COMMANDS = {
    "demo": Command(demo.demo, results.show_demo),
    "doctor": Command(diagnosis.doctor, results.show_checks),
    "configs": Command(diagnosis.configs, results.show_configs),
    "schema": Command(diagnosis.schema, results.show_schema),
    "probe": Command(
        commands.probe, results.show_probe, display={"all": "Show every clip, not only those with issues."}
    ),
    "extract": Command(commands.extract, results.show_extraction, lambda report: {"extraction": report}),
    "train": Command(commands.train, results.show_run, lambda run: {"run": run}),
    "evaluate": Command(commands.evaluate, results.show_evaluation),
    "submit": Command(commands.submit, results.show_submission),
    "validate": Command(commands.validate, results.show_findings),
    "predict": Command(outputs.predict, results.show_predictions, lambda report: report.to_json()),
    "cv": Command(experiments.cv, results.show_cross_validation),
    "ensemble": Command(experiments.ensemble, results.show_ensemble),
    "compare": Command(experiments.compare, results.show_comparison),
    "search": Command(experiments.search, results.show_search),
    "report": Command(outputs.report, results.show_written),
    "export": Command(outputs.export, results.show_export),
    "plan": Command(diagnosis.plan, results.show_plan, lambda one: {"plan": one, "hours": one.hours, "cost": one.cost}),
    "profile": Command(diagnosis.profile, results.show_profile),
    "features ls": Command(cache.features_ls, results.show_listing),
    "features verify": Command(cache.features_verify, results.show_verification, lambda one: {"verification": one}),
    "features gc": Command(cache.features_gc, results.show_clearing, lambda one: {"clearing": one, "size": one.size}),
    "features import": Command(cache.features_import, results.show_import),
    "features export": Command(cache.features_export, results.show_feature_export),
    "draw activation": Command(outputs.draw_activation, results.show_written),
    "draw embeddings": Command(outputs.draw_embeddings, results.show_written),
    "draw localization": Command(outputs.draw_localization, results.show_localization),
}

_HELP = {
    "features": "List, verify, import and export cached features.",
    "draw": "Draw what a trained video model responds to.",
}

_SETTINGS: dict[str, Any] = {"no_args_is_help": True, "pretty_exceptions_enable": False}
_SETTINGS["context_settings"] = {"help_option_names": ["-h", "--help"]}


def _print_version(wanted: bool) -> None:
    if wanted:
        from eri.utils.version import __version__

        print(__version__)
        raise typer.Exit


def _load_plugins(modules: list[str] | None) -> None:
    from eri.utils.registry import load_plugin

    for module in modules or ():
        load_plugin(module)


def _root(
    version: Annotated[
        bool, typer.Option("--version", help="Print the version and exit.", is_eager=True, callback=_print_version)
    ] = False,
    plugin: Annotated[
        list[str] | None,
        typer.Option(
            metavar="MODULE",
            help="Module that registers extractors, heads and more; docs/extending.md. May be repeated; also the "
            "variable ERI_PLUGINS.",
            callback=_load_plugins,
        ),
    ] = None,
) -> None:
    """From a folder of clips to a reaction-intensity challenge submission that the organisers accept."""


app = typer.Typer(name="eri", **_SETTINGS)
app.callback()(_root)
_GROUPS = {group: typer.Typer(help=text, **_SETTINGS) for group, text in _HELP.items()}
for _name, _command in COMMANDS.items():
    _group, _, _last = _name.rpartition(" ")  # `eri features import` is the function `eri.features_import`
    _command.add_to(_GROUPS.get(_group, app), _last)
for _group, _part in _GROUPS.items():
    app.add_typer(_part, name=_group)


def main(arguments: list[str] | None = None) -> Any:
    """Run the command line; errors meant for the user are printed in one piece, without a traceback."""
    try:
        return app(arguments)
    except EriError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(error.exit_code)
    except KeyboardInterrupt:
        print("interrupted: what was finished is kept; run the same command again to continue", file=sys.stderr)
        sys.exit(130)


if __name__ == "__main__":
    main()
