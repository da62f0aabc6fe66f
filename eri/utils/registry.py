"""Things by name, ours and those of plugins; and finding the plugins.

A plugin is a module that registers things when it is imported. It is found through the entry-point group
``eri.plugins`` of an installed package, the environment variable ``ERI_PLUGINS`` (module names between commas), or
:func:`load_plugin`. Nothing of it is imported before a name is looked up.
"""

from __future__ import annotations

import hashlib
import importlib
import inspect
import logging
import os
import sys
import textwrap
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any, Generic, TypeVar

from eri.utils.errors import PluginError
from eri.utils.spelling import did_you_mean

_LOG = logging.getLogger(__name__)

GROUP, VARIABLE = "eri.plugins", "ERI_PLUGINS"

T = TypeVar("T")


@dataclass(frozen=True)
class Plugin:
    """A module that was to register things."""

    module: str
    found: str  # how: the package with its entry point, the variable, or ``asked for``
    error: str | None = None  # why it could not be loaded


class _Plugins:
    """Which plugins were loaded in this process; what is registered is a process's own, as its modules are."""

    def __init__(self) -> None:
        self.loaded, self.searched = dict[str, Plugin](), False

    def search(self) -> None:
        """Load what is installed or named by the variable, once; all of it, before the first error is raised."""
        if self.searched:
            return
        self.searched = True
        named = filter(None, map(str.strip, os.environ.get(VARIABLE, "").split(",")))
        wanted = [Plugin(name, VARIABLE) for name in named]
        errors: list[PluginError] = []
        for point in entry_points(group=GROUP):
            package = point.dist.name if point.dist is not None else "an unknown package"
            wanted.append(Plugin(point.module, f"entry point '{point.name}' of {package}"))
        for plugin in wanted:
            try:
                self.load(plugin)
            except PluginError as error:
                if plugin.found == VARIABLE:
                    errors.append(error)
                else:
                    _LOG.warning("%s (%s; everything else works)", error.message, plugin.found)
        if errors:
            raise errors[0]

    def load(self, plugin: Plugin) -> None:
        if plugin.module in self.loaded and self.loaded[plugin.module].error is None:
            return
        try:
            _import(plugin.module)
        except Exception as error:  # whatever a stranger's module raises
            reason = error.message if isinstance(error, PluginError) else f"{type(error).__name__}: {error}"
            self.loaded[plugin.module] = replace(plugin, error=reason)
            raise PluginError(
                f"plugin '{plugin.module}' cannot be loaded: {reason}",
                hint="Correct the module, install what it imports, or do without the plugin.",
            ) from error
        self.loaded[plugin.module] = plugin


_PLUGINS = _Plugins()


def load_plugin(module: str) -> None:
    """Import a module that registers things, such as extractors; child processes load it too.

    Args:
        module: Its dotted name; one that lies in the current folder is found as well.

    Raises:
        PluginError: It cannot be imported, or registers what cannot be.
    """
    _PLUGINS.load(Plugin(module, "asked for"))
    named = [name for name in os.environ.get(VARIABLE, "").split(",") if name]
    if module not in named:
        os.environ[VARIABLE] = ",".join([*named, module])


def plugins() -> list[Plugin]:
    """Return the plugins of this process, those that could not be loaded too, for which nothing is raised."""
    with suppress(PluginError):
        _PLUGINS.search()
    return list(_PLUGINS.loaded.values())


def source_digest(thing: Callable[..., Any], version: str) -> str | None:
    """Return the SHA-256 of a function's or class's own source code; None where only the version can tell.

    A :class:`PluginError` where the source cannot be read and no version tells one state of it from the next.
    """
    try:
        source = textwrap.dedent(inspect.getsource(thing))
    except (OSError, TypeError) as error:
        if version:
            return None
        raise PluginError(
            f"{thing.__module__}: the source code of {thing.__qualname__} cannot be read, so what its next version "
            "makes would be taken for what this one makes",
            hint='Put it into a file, or register it with version="1" and raise that whenever its numbers change.',
        ) from error
    return hashlib.sha256(source.encode()).hexdigest()


def _import(module: str) -> None:
    try:
        importlib.import_module(module)
    except ModuleNotFoundError as error:
        here = str(Path.cwd())
        if error.name != module.partition(".")[0] or here in sys.path:
            raise
        sys.path.append(here)
        importlib.invalidate_caches()
        importlib.import_module(module)


class Registry(Mapping[str, T], Generic[T]):
    """The things of one kind by name, in the order in which they were registered.

    It is filled while modules are imported; the first look at it loads the plugins that are installed. Messages call a
    thing by its ``kind``, such as ``extractor``.

    Examples:
        >>> colours = Registry("colour")
        >>> colours.register("red", 0xFF0000, "eri.colours")
        >>> colours["red"], colours.origin("red")
        (16711680, 'eri.colours')
        >>> colours.register("red", 0xFE0000, "my.colours")
        Traceback (most recent call last):
        eri.utils.errors.PluginError: my.colours: the colour 'red' is registered by eri.colours already...
    """

    def __init__(self, kind: str) -> None:
        self.kind = kind
        self._things: dict[str, T] = {}
        self._origins: dict[str, str] = {}

    def register(self, name: str, thing: T, module: str) -> None:
        """Add a thing of a module. One that is run again, as a notebook's cell, replaces what it registered before.

        A :class:`PluginError` where another module registers that name, or it is no name.
        """
        if not name or set(name) - set("abcdefghijklmnopqrstuvwxyz0123456789-_."):
            raise PluginError(
                f"{module}: '{name}' cannot name the {self.kind}",
                hint="Use lower-case letters, digits, '-', '_' and '.'.",
            )
        origin = self._origins.get(name, module)
        if origin != module:
            raise PluginError(
                f"{module}: the {self.kind} '{name}' is registered by {origin} already", hint="Choose another name."
            )
        self._things[name], self._origins[name] = thing, module

    @contextmanager
    def temporarily(self) -> Iterator[None]:
        """Forget at the end of a block what was registered in it, for tests."""
        before = self._things.copy(), self._origins.copy()
        try:
            yield
        finally:
            self._things, self._origins = before

    def origin(self, name: str) -> str:
        """Return the module that registered a name."""
        return self._origins[name]

    def unknown(self, name: str) -> str:
        """Return the message that a name is not known, with a guess at what was meant."""
        return f"no {self.kind} is named '{name}'{did_you_mean(name, self)}; known: {', '.join(self)}"

    def __getitem__(self, name: str) -> T:
        if name not in self._things:  # what is here needs no plugin, so that worker processes start quickly
            _PLUGINS.search()
        return self._things[name]

    def __iter__(self) -> Iterator[str]:
        _PLUGINS.search()
        return iter(self._things)

    def __len__(self) -> int:
        _PLUGINS.search()
        return len(self._things)
