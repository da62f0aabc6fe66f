"""What the arguments of commands have in common, without heavy imports: the names they choose from, what each means."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from textwrap import fill
from typing import Any, Literal, TypeVar

PathLike = str | Path
OnEvent = Callable[[Any], None]

Modality = Literal["visual", "audio", "multimodal"]
Stream = Literal["visual", "audio"]
Split = Literal["train", "val", "test"]
Engine = Literal["local", "ray"]
Decoder = Literal["pyav", "torchcodec"]
Method = Literal["mean", "weighted", "ridge", "lightgbm"]
Pruning = Literal["median", "asha", "none"]
Protocol = Literal["generated", "official"]
Unit = Literal["clip", "subject"]
TimeUnit = Literal["s", "ms"]
Missing = Literal["refuse", "mask"]
TableFormat = Literal["csv", "parquet"]
FaceSet = Literal["expressions", "directions", "shuffled"]

ARGUMENTS: Mapping[str, str] = {
    "adapter": "Dataset adapter (auto-detected).",
    "address": "Address of the Ray cluster, or ``auto``; if omitted, Ray is started on this machine. See "
    "docs/scaling.md.",
    "batch_size": "Images or audio segments per forward pass; does not change the numbers.",
    "bootstrap": "Bootstrap resamples behind the 95 % interval.",
    "brackets": "Write ids as [00000] or as 00000; as the challenge has them if omitted.",
    "config": "System, by a name from `eri configs` or as a YAML file.",
    "data": "Challenge folder or manifest YAML; may be a URL.",
    "device": "Device of the model: auto, cpu, cuda or cuda:N.",
    "engine": "Where to compute: ``local`` on this machine, ``ray`` on the machines of a Ray cluster.",
    "features": "Folder of cached features, or an s3:// or gs:// URL.",
    "format": "Name of a registered submission format; the task's own if omitted.",
    "modality": "Take the default system of this modality.",
    "names": "Feature folders as `eri features ls` prints them; all if omitted.",
    "on_event": "Called with each progress event.",
    "overrides": "Dotted settings, such as ``training.epochs=10``.",
    "output": "Image to write: .png, .svg or .pdf.",
    "overwrite": "Replace what has the same name.",
    "progress": "Show progress; if omitted, on a terminal and in a notebook, unless ``on_event`` is given.",
    "run": "Run folder or name of a run.",
    "runs": "Folder of runs.",
    "threads": "Files that are read at a time.",
    "workers": "Processes that decode; 0 decodes in this process, without a timeout.",
}
"""What an argument means in every function whose docstring does not say otherwise."""

_OF_DEFAULT: Mapping[Any, Mapping[str, str]] = {
    None: {
        "data": "Data to use instead of what the run was trained on.",
        "features": "Folder of cached features to use instead of the run's.",
        "run": "Run folder or name of a run; the newest run if omitted.",
    },
    (): {"data": "Data set to compare with; may be repeated, once for each data set whose features are in the cache."},
}
"""The same of arguments with that default."""

_SECTION = r"\n\n(?=(?:Args|Returns|Raises|Examples):\n)"

Function = TypeVar("Function", bound=Callable[..., Any])


def documented(function: Function) -> Function:
    """Complete the docstring of a command's function with what is said of its arguments.

    That stands below ``Args:``, in the annotation, or, of arguments that many commands share, in this module.

    Examples:
        >>> def train(runs, name):
        ...     '''Train.'''
        >>> train.__annotations__["name"] = "Annotated[str, 'Name of the run.']"
        >>> print(documented(train).__doc__)
        Train.
        <BLANKLINE>
        Args:
            runs: Folder of runs.
            name: Name of the run.
    """
    description, *sections = re.split(_SECTION, inspect.getdoc(function) or "")
    own = arguments_of(function)
    lines = []
    for name, parameter in inspect.signature(function).parameters.items():
        if found := re.fullmatch(r"Annotated\[(.*?), (['\"])(.*)\2\]", str(parameter.annotation)):
            function.__annotations__[name], own[name] = found[1], found[3]
        shared = {**ARGUMENTS, **_OF_DEFAULT.get(parameter.default, {})}
        text = f"    {name}: {own.get(name) or shared[name]}"
        lines.append(fill(text, 116, subsequent_indent="        ", break_on_hyphens=False))
    others = [section for section in sections if not section.startswith("Args:")]
    function.__doc__ = "\n\n".join([description, "\n".join(["Args:", *lines]), *others])
    return function


def arguments_of(function: Callable[..., Any]) -> dict[str, str]:
    """Return what the section ``Args`` of a docstring says of each argument, each in one line."""
    sections = re.split(_SECTION, inspect.getdoc(function) or "")
    text = next((section for section in sections if section.startswith("Args:")), "")
    items = re.findall(r"^    (\w+): (.*(?:\n     +.*)*)", text, flags=re.MULTILINE)
    return {name: " ".join(line.split()) for name, line in items}
