"""How a function of the package becomes a command: its arguments are the options, its docstring is the help.

Positional arguments of the function are arguments of the command, all others are options, and the line on an argument
below ``Args:`` is the option's help. Two arguments stand elsewhere on a command line: ``overrides`` are the words
``KEY=VALUE``, and beside them ``data`` is an option. ``progress`` and ``on_event`` are what `--quiet` and `--json` are
made of.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from types import MappingProxyType
from typing import Annotated, Any, Literal, get_args, get_origin

import typer
import typer.core

from eri.api.choices import PathLike, arguments_of
from eri.utils.errors import ConfigError
from eri.utils.spelling import did_you_mean

_SHORT = MappingProxyType({"data": "-d", "config": "-c", "modality": "-m", "output": "-o"})
_FLAGS = MappingProxyType(
    {"pretrained": "--pretrained/--no-pretrained", "onnx": "--onnx/--no-onnx", "brackets": "--brackets/--no-brackets"}
)
_EARLIER = MappingProxyType({("compare", "bootstrap"): "--draws", ("draw_localization", "images"): "--pictures"})
"""Earlier names of options, which still work."""

_VARIABLES = MappingProxyType({"data": "ERI_DATA", "features": "ERI_FEATURES", "runs": "ERI_RUNS"})
_METAVARS = MappingProxyType(
    {
        "address": "HOST:PORT",
        "apex": "BEGIN END",
        "config": "NAME|YAML",
        "members": "RUN",
        "names": "NAME",
        "overrides": "KEY=VALUE",
        "run": "RUN",
        "shard": "I/N",
        "videos": "VIDEO",
        "weights": "RUN",
    }
)
_LEAST: Mapping[str, float] = MappingProxyType(
    {
        **dict.fromkeys(("workers", "seed", "price", "folds"), 0),
        **dict.fromkeys(("batch_size", "clips", "labels", "machines", "seeds", "threads", "trials", "windows"), 1),
        **dict.fromkeys(("timeout", "perplexity"), 1.0),
        "sample": 2,
        "bootstrap": 100,
    }
)
_OWN_LEAST: Mapping[tuple[str, str], float] = MappingProxyType(
    {("search", "workers"): 1, ("compare", "bootstrap"): 200, ("profile", "runs"): 1, ("profile", "seconds"): 0}
)


@dataclass(frozen=True)
class Command:
    """A command.

    Attributes:
        function: The function that it calls.
        show: Shows what it returns.
        json: Returns what `--json` prints of it; None: the command has no `--json`.
        display: Further options of ``show``, by name: help, each a flag.
    """

    function: Callable[..., Any]
    show: Callable[..., None]
    json: Callable[[Any], Mapping[str, Any]] | None = None
    display: Mapping[str, str] = field(default_factory=dict)

    def add_to(self, app: typer.Typer, name: str) -> None:
        """Add the command to an app."""
        app.command(name, cls=_NamingCommand, help=_paragraphs(self.function)[0])(self._callback())

    def _callback(self) -> Callable[..., None]:
        given = inspect.signature(self.function).parameters
        helps = {name: _plain(text) for name, text in arguments_of(self.function).items()}
        made = [
            _parameter(self.function, parameter, helps)
            for parameter in given.values()
            if parameter.name not in ("progress", "on_event")
        ]
        shown = [*((f"--{name}", name, text) for name, text in self.display.items())]
        if "progress" in given:
            shown.append(("--quiet", "quiet", "Show nothing but errors."))
        if self.json is not None:
            shown.append(("--json", "json", "Print progress and result as JSON, one object per line."))
        for flag, name, text in shown:
            flags = (flag, "-q") if name == "quiet" else (flag,)
            kind = Annotated[bool, typer.Option(*flags, help=text)]
            made.append(inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=False, annotation=kind))

        def callback(**values: Any) -> None:
            self._run(given, values)

        callback.__signature__ = inspect.Signature(made)  # type: ignore[attr-defined]
        callback.__annotations__ = {parameter.name: parameter.annotation for parameter in made}
        return callback

    def _run(self, given: Mapping[str, inspect.Parameter], values: dict[str, Any]) -> None:
        from eri.cli.json_lines import JsonLines, json_result

        quiet, json = values.pop("quiet", False), values.pop("json", False)
        display = {name: values.pop(name) for name in self.display}
        if "progress" in given:
            values["progress"] = not quiet and not json
            values["on_event"] = JsonLines(partial(typer.echo, nl=False)) if json else None
        several: tuple[Any, ...] = ()
        for name, parameter in given.items():
            if parameter.kind is inspect.Parameter.VAR_POSITIONAL:
                several = tuple(values.pop(name) or ())
            elif name in values and values[name] is None and isinstance(parameter.default, tuple):
                values[name] = ()
        result = self.function(*several, **values)
        code = exit_code(result)
        if json and self.json is not None:
            typer.echo(json_result({**self.json(result), "exit_code": code}), nl=False)
        elif not quiet:
            self.show(result, **display)
        raise typer.Exit(code)


class _NamingCommand(typer.core.TyperCommand):
    """A command whose help lists what is registered, by plugins too; nothing is imported for it before it is asked."""

    def format_help(self, ctx: Any, formatter: Any) -> None:
        for parameter in self.params:
            if isinstance(parameter, typer.core.TyperOption) and (names := _registered_names(parameter.name)):
                parameter.help = f"{parameter.help} Known: {', '.join(names)}."
        super().format_help(ctx, formatter)


def _registered_names(argument: str | None) -> list[str]:
    """Return the names that an argument chooses from, where they are those of a registry."""
    if argument == "adapter":
        from eri.data.adapters.registry import ADAPTERS

        return list(ADAPTERS)
    if argument == "format":
        from eri.submission.formats import FORMATS

        return list(FORMATS)
    return []


def exit_code(result: Any) -> int:
    """Return what a command exits with: its result's own code, 1 where errors are among it, else 0."""
    found = result[1] if isinstance(result, tuple) else result
    if isinstance(found, list):  # findings of the validator, checks of the doctor
        return int(any(getattr(one, "severity", getattr(one, "status", "")) in ("error", "missing") for one in found))
    return int(getattr(result, "exit_code", 0))


def _paragraphs(function: Callable[..., Any]) -> list[str]:
    return [_plain(part) for part in re.split(r"\n\s*\n", inspect.getdoc(function) or "")]


def _plain(text: str) -> str:
    return re.sub(r":\w+:`([^`]*)`", r"\1", " ".join(text.split()).replace("``", ""))


def _parameter(
    function: Callable[..., Any], parameter: inspect.Parameter, helps: Mapping[str, str]
) -> inspect.Parameter:
    """Return the parameter of a command that stands for that of a function."""
    name, default = parameter.name, parameter.default
    several = parameter.kind is inspect.Parameter.VAR_POSITIONAL
    scope = inspect.signature(function).parameters
    kind, extra = _kind(parameter, function.__globals__)
    extra["help"] = helps[name]
    if (least := _OWN_LEAST.get((function.__name__, name), _LEAST.get(name))) is not None:
        extra["min"] = least
    if (metavar := _METAVARS.get(name)) is not None:
        extra["metavar"] = metavar
    if name == "overrides" or _is_positional(parameter, scope):
        info: Any = typer.Argument(**extra)
    else:
        flag = _FLAGS.get(name, f"--{name.replace('_', '-')}")
        names = [flag, _SHORT.get(name), _EARLIER.get((function.__name__, name))]
        if name in _VARIABLES and isinstance(default, str):
            extra["envvar"] = _VARIABLES[name]
        info = typer.Option(*filter(None, names), **extra)
    if several or default == ():
        default = None
    return inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=Annotated[kind, info])


def _check(flag: str, choices: Sequence[str]) -> Callable[[Any], Any]:
    def check(value: Any) -> Any:
        for name in [value] if isinstance(value, str) else value or ():
            if name not in choices:
                guess = did_you_mean(name, choices)
                raise ConfigError(f"{flag} {name}: no such choice{guess}", hint=f"Choose from {', '.join(choices)}.")
        return value

    return check


def _is_positional(parameter: inspect.Parameter, scope: Mapping[str, inspect.Parameter]) -> bool:
    if parameter.kind is inspect.Parameter.VAR_POSITIONAL:
        return True
    beside = parameter.name == "data" and "overrides" in scope
    return parameter.kind is inspect.Parameter.POSITIONAL_OR_KEYWORD and not beside


def _kind(parameter: inspect.Parameter, scope: Mapping[str, Any]) -> tuple[Any, dict[str, Any]]:
    """Return the type by which typer reads an argument, and what else it should know of it."""
    text, extra = str(parameter.annotation), dict[str, Any]()
    several = parameter.kind is inspect.Parameter.VAR_POSITIONAL or "Sequence[" in text
    optional = text.endswith("| None") or parameter.default == () or parameter.kind is inspect.Parameter.VAR_POSITIONAL
    one = re.sub(r".*Sequence\[(.*?)\].*", r"\1", text).removesuffix(" | None")
    kind: Any = eval(one, dict(scope))  # noqa: S307  the package's own annotations, which are kept as text
    if kind == PathLike:
        kind, extra["metavar"] = str, "PATH"
    elif get_origin(kind) is Literal:  # not typer's own choices: they do not guess what a misspelt one was meant to be
        choices = list(map(str, get_args(kind)))
        kind, extra["metavar"], extra["autocompletion"] = str, "|".join(choices), lambda: choices
        extra["callback"] = _check(f"--{parameter.name.replace('_', '-')}", choices)
    kind = list[kind] if several else kind
    return (kind | None if optional else kind), extra
