"""How a function of the package becomes a command: its arguments are the options, its docstring is the help.

Positional arguments of the function are arguments of the command, all others are options. Two stand elsewhere on a
command line: ``overrides`` are the words ``KEY=VALUE``, and beside them ``data`` is an option. ``progress`` and
``on_event`` are what `--quiet` and `--json` are made of.
"""

from __future__ import annotations

import inspect
import json as json_text
import math
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, fields, is_dataclass
from pathlib import Path
from pkgutil import resolve_name
from typing import Annotated, Any, Literal, get_args, get_origin

import typer
import typer.core

from eri.api.choices import PathLike, arguments_of
from eri.utils.errors import ConfigError
from eri.utils.spelling import did_you_mean

_SHORT = {"data": "-d", "config": "-c", "modality": "-m", "output": "-o", "quiet": "-q"}
_FLAGS = {name: f"--{name}/--no-{name}" for name in ("pretrained", "onnx", "brackets")}
_EARLIER = {("compare", "bootstrap"): "--draws", ("draw_localization", "images"): "--pictures"}
"""Earlier names of options, which still work."""

_VARIABLES = {"data": "ERI_DATA", "features": "ERI_FEATURES", "runs": "ERI_RUNS"}
_METAVARS = {
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
_LEAST: Mapping[str, float] = {
    **dict.fromkeys(("workers", "seed", "price", "folds"), 0),
    **dict.fromkeys(("batch_size", "clips", "labels", "machines", "seeds", "threads", "trials", "windows"), 1),
    **dict.fromkeys(("timeout", "perplexity"), 1.0),
    "sample": 2,
    "bootstrap": 100,
}
_OWN_LEAST = {
    ("search", "workers"): 1,
    ("compare", "bootstrap"): 200,
    ("profile", "runs"): 1,
    ("profile", "seconds"): 0,
}
_REGISTRIES = {"adapter": "eri.data.adapters.registry:ADAPTERS", "format": "eri.submission.formats:FORMATS"}
"""What an option chooses from."""

_EVENTS = {
    "CountEvent": "count",
    "ExtractionEvent": "extraction",
    "ModelTrained": "model",
    "StepDone": "step",
    "TimelineEvent": "timeline",
    "TrainingEvent": "training",
    "TrialEnded": "trial",
}
"""What `--json` calls each kind of event, by the name of its class."""


@dataclass(frozen=True)
class Command:
    """A command: the function that it calls, and what shows its result."""

    function: Callable[..., Any]
    show: Callable[..., None]
    json: Callable[[Any], Mapping[str, Any]] | None = None  # what `--json` prints; None: there is no `--json`
    display: Mapping[str, str] = field(default_factory=dict)  # further flags of ``show``, by name: help

    def add_to(self, app: typer.Typer, name: str) -> None:
        """Add the command to an app."""
        text = _plain(re.split(r"\n\s*\n", inspect.getdoc(self.function) or "")[0])
        app.command(name, cls=_NamingCommand, help=text)(self._callback())

    def _callback(self) -> Callable[..., None]:
        given = inspect.signature(self.function).parameters
        made = [_parameter(self.function, given[name]) for name in given if name not in ("progress", "on_event")]
        flags = dict(self.display)
        if "progress" in given:
            flags["quiet"] = "Show nothing but errors."
        if self.json is not None:
            flags["json"] = "Print progress and result as JSON, one object per line."
        for name, text in flags.items():
            kind = Annotated[bool, typer.Option(*filter(None, (f"--{name}", _SHORT.get(name))), help=text)]
            made.append(inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=False, annotation=kind))

        def callback(**values: Any) -> None:
            self._run(given, values)

        callback.__signature__ = inspect.Signature(made)  # type: ignore[attr-defined]
        callback.__annotations__ = {parameter.name: parameter.annotation for parameter in made}
        return callback

    def _run(self, given: Mapping[str, inspect.Parameter], values: dict[str, Any]) -> None:
        quiet, json = values.pop("quiet", False), values.pop("json", False)
        display = {name: values.pop(name) for name in self.display}
        if "progress" in given:
            values["progress"] = not quiet and not json
            values["on_event"] = (lambda event: typer.echo(json_line(event))) if json else None
        several: tuple[Any, ...] = ()
        for name, parameter in given.items():
            if parameter.kind is inspect.Parameter.VAR_POSITIONAL:
                several = tuple(values.pop(name) or ())
            elif name in values and values[name] is None and isinstance(parameter.default, tuple):
                values[name] = ()
        result = self.function(*several, **values)
        code = exit_code(result)
        if json and self.json is not None:
            typer.echo(_line({"event": "result", **plain({**self.json(result), "exit_code": code})}))
        elif not quiet:
            self.show(result, **display)
        raise typer.Exit(code)


class _NamingCommand(typer.core.TyperCommand):
    """A command whose help lists what is registered, by plugins too; nothing is imported for it before it is asked."""

    def format_help(self, ctx: Any, formatter: Any) -> None:
        for parameter in self.params:
            registry = _REGISTRIES.get(parameter.name or "") if parameter.metavar is None else None
            if isinstance(parameter, typer.core.TyperOption) and registry is not None:
                parameter.help = f"{parameter.help} Known: {', '.join(resolve_name(registry))}."
        super().format_help(ctx, formatter)


def exit_code(result: Any) -> int:
    """Return what a command exits with: its result's own code, 1 where errors are among it, else 0."""
    found = result[1] if isinstance(result, tuple) else result
    if isinstance(found, list):  # findings of the validator, checks of the doctor
        return int(any(getattr(one, "severity", getattr(one, "status", "")) in ("error", "missing") for one in found))
    return int(getattr(result, "exit_code", 0))


def _plain(text: str) -> str:
    return re.sub(r":\w+:`([^`]*)`", r"\1", " ".join(text.split()).replace("``", ""))


def _parameter(function: Callable[..., Any], parameter: inspect.Parameter) -> inspect.Parameter:
    """Return the parameter of a command that stands for that of a function."""
    name, default = parameter.name, parameter.default
    several = parameter.kind is inspect.Parameter.VAR_POSITIONAL
    kind, extra = _kind(parameter, function.__globals__)
    extra["help"] = _plain(arguments_of(function)[name])
    extra["min"] = _OWN_LEAST.get((function.__name__, name), _LEAST.get(name))
    extra["metavar"] = _METAVARS.get(name, extra.get("metavar"))
    beside = name == "data" and "overrides" in inspect.signature(function).parameters
    positional = several or (parameter.kind is inspect.Parameter.POSITIONAL_OR_KEYWORD and not beside)
    if name == "overrides" or positional:
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


def _kind(parameter: inspect.Parameter, scope: Mapping[str, Any]) -> tuple[Any, dict[str, Any]]:
    """Return the type by which typer reads an argument, and what else it should know of it."""
    text, extra = str(parameter.annotation), dict[str, Any]()
    variadic = parameter.kind is inspect.Parameter.VAR_POSITIONAL
    several, optional = variadic or "Sequence[" in text, variadic or text.endswith("| None") or parameter.default == ()
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


def json_line(event: Any) -> str:
    """Return the JSON object of an event: its kind under ``event``, then its fields; of no known kind is a message.

    Examples:
        >>> from eri.training.events import TrainingEvent
        >>> json_line(TrainingEvent("epoch", "a", 1, 9, loss=0.5, figure=float("nan")))[:62]
        '{"event": "training", "kind": "epoch", "run": "a", "epoch": 1,'
    """
    name = _EVENTS.get(type(event).__name__)
    return _line({"event": "message", "text": str(event)} if name is None else {"event": name, **plain(event)})


def plain(value: Any) -> Any:
    """Return JSON values of anything that events and reports are made of; numbers that are not finite are null.

    Examples:
        >>> plain({"path": Path("runs/a"), "values": (1, float("inf"))})
        {'path': 'runs/a', 'values': [1, None]}
    """
    if is_dataclass(value) and not isinstance(value, type):
        return {part.name: plain(getattr(value, part.name)) for part in fields(value)}
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, str | Path):
        return str(value).encode("utf-8", "replace").decode()
    if isinstance(value, Sequence):
        return [plain(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _line(values: Mapping[str, Any]) -> str:
    return json_text.dumps(values, ensure_ascii=False, allow_nan=False)
