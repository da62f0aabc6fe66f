"""Each command is a function of the package: same name, same arguments, same defaults, and help for each."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import typer

import eri
from eri.cli.app import app

SHOWING = {"help", "quiet", "json", "all"}
"""Options that say what is shown; they change nothing of what is done."""

NO_COMMANDS = {
    "extract_file",
    "load",
    "load_clips",
    "load_config",
    "load_plugin",
    "open_run",
    "report_data",
    "run_demo",
}


def walk(command: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[str, Any]]:
    """Yield each command with the name of its function."""
    if isinstance(command, typer.core.TyperGroup):
        for name, inner in command.commands.items():
            yield from walk(inner, (*path, name))
    else:
        yield "_".join(path).replace("-", "_"), command


COMMANDS = dict(walk(typer.main.get_command(app)))


def function_of(name: str) -> Callable[..., Any]:
    function = getattr(eri, name)
    assert callable(function)
    return function  # type: ignore[no-any-return]


def test_every_function_is_a_command_and_every_command_a_function():
    functions = {name for name in eri.__all__ if name[0].islower() and not name.startswith("register_")}
    assert functions - NO_COMMANDS == set(COMMANDS)


@pytest.mark.parametrize("name", COMMANDS)
def test_a_command_takes_what_its_function_takes(name):
    wanted = dict(inspect.signature(function_of(name)).parameters)
    steps = {wanted.pop("progress", None) is None, wanted.pop("on_event", None) is None}
    given = {parameter.name: parameter for parameter in COMMANDS[name].params if parameter.name not in SHOWING}
    assert set(given) == set(wanted)
    assert steps == {"quiet" not in {parameter.name for parameter in COMMANDS[name].params}}
    for key, parameter in wanted.items():
        default = parameter.default
        required = default is inspect.Parameter.empty and parameter.kind is not inspect.Parameter.VAR_POSITIONAL
        assert given[key].required is required, key
        if not required:
            found = given[key].default() if callable(given[key].default) else given[key].default
            assert (found or None) == (None if default in ((), inspect.Parameter.empty) else default or None), key


@pytest.mark.parametrize("name", COMMANDS)
def test_an_option_is_called_as_its_argument(name):
    for parameter in COMMANDS[name].params:
        if isinstance(parameter, typer.core.TyperOption):
            assert f"--{str(parameter.name).replace('_', '-')}" in parameter.opts
        assert getattr(parameter, "help", None)


@pytest.mark.parametrize("name", COMMANDS)
def test_the_docstring_explains_every_argument(name):
    function = function_of(name)
    text = inspect.getdoc(function) or ""
    for key in inspect.signature(function).parameters:
        assert f"\n    {key}: " in text, key


def test_a_misspelt_command_gets_a_guess(capsys):
    with pytest.raises(SystemExit):
        app(["evalaute"])
    assert "evaluate" in capsys.readouterr().err
