"""The registry of adapters, and the one way in: :func:`load_clips`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

from eri.data.adapters import afew, ck_plus, daisee, dfew, emi, hume_reaction, manifest, mmi, muse
from eri.data.adapters.listing import at_hand
from eri.data.adapters.subject_trees import BU_3DFE, OULU_CASIA, load_bu_3dfe
from eri.data.clips import ClipTable
from eri.storage import name_urls
from eri.utils.errors import DataError
from eri.utils.registry import Registry
from eri.utils.spelling import closest, did_you_mean


@dataclass(frozen=True)
class Adapter:
    """One way a data set can lie on disk.

    Attributes:
        name: Given to :func:`load_clips` to choose it.
        looks_for: What it recognises, for the error where nothing fits; empty where it is chosen by its name only.
        matches: Says whether a folder or file is laid out this way.
        load: Reads the clip table.
    """

    name: str
    looks_for: str
    matches: Callable[[Path], bool]
    load: Callable[[Path], ClipTable]


ADAPTERS: Registry[Adapter] = Registry("adapter")
"""All adapters by name."""

Load = Callable[[Path], ClipTable]


def register_adapter(
    name: str, *, looks_for: str = "", matches: Callable[[Path], bool] | None = None
) -> Callable[[Load], Load]:
    """Register an adapter: a decorator of the function that reads a data set's folder or file into a clip table.

    Args:
        name: Given to :func:`load_clips` and ``--adapter`` to choose it.
        looks_for: What it recognises, such as ``labels.json beside clips/``, for the error where nothing fits.
        matches: Says whether a folder or file is laid out so; None: it is chosen by its name only.

    Raises:
        PluginError: The name is taken.
    """

    def register(load: Load) -> Load:
        module = getattr(load, "__module__", __name__)
        ADAPTERS.register(name, Adapter(name, looks_for, matches or (lambda _source: False), load), module)
        return load

    return register


def _register(*modules: ModuleType) -> None:
    for module in modules:
        register_adapter(module.NAME, looks_for=module.LOOKS_FOR, matches=module.matches)(module.load)


_register(hume_reaction, emi)
for other in muse.OTHERS:
    register_adapter(other.name, looks_for=other.looks_for, matches=other.matches)(other.load)
_register(dfew, afew, daisee, ck_plus)
for tree, load in ((OULU_CASIA, OULU_CASIA.load), (BU_3DFE, load_bu_3dfe)):
    register_adapter(tree.task.name, looks_for=tree.looks_for, matches=tree.matches)(load)
_register(mmi)
register_adapter(daisee.ENGAGEMENT.name)(daisee.load_engagement)
_register(manifest)


def load_clips(source: Path, adapter: str | None = None) -> ClipTable:
    """Read a data set into one clip table.

    Args:
        source: A challenge folder (its layout is detected) or one of its tables, such as ``data_info.csv``; or a
            ``.yaml`` file that describes a table. Either may be in an object store, such as ``s3://bucket/data``: its
            tables are fetched then.
        adapter: Name of an adapter, to choose it rather than detect it.

    Returns:
        All clips, in ascending order of id. No media file is opened.

    Raises:
        DataError: Nothing is there, no layout or more than one fits, or a table is not as its format demands.
        RemoteError: An object store cannot be reached, or refuses.
    """
    try:
        return _load(at_hand(Path(source)), adapter)
    except DataError as error:
        error.message, error.hint = name_urls(error.message), error.hint and name_urls(error.hint)
        raise
    except PermissionError as error:
        raise DataError(f"{error.filename}: may not be read by this user", hint="chmod +rx the folder.") from error


def _load(source: Path, adapter: str | None) -> ClipTable:
    if adapter is not None and adapter not in ADAPTERS:
        guess = did_you_mean(adapter, ADAPTERS)
        raise DataError(f"no adapter is named '{adapter}'{guess}", hint=f"Known: {', '.join(ADAPTERS)}.")
    if not source.exists():
        raise DataError(f"{source}: no such file or folder", hint=_near(source))
    if adapter is not None:
        return ADAPTERS[adapter].load(source)
    fitting = [candidate for candidate in ADAPTERS.values() if candidate.matches(source)]
    if len(fitting) > 1:
        names = ", ".join(candidate.name for candidate in fitting)
        hint = "Give the folder of one of them, or choose it with --adapter NAME."
        raise DataError(f"{source}: holds several data sets: {names}", hint=hint)
    if fitting:
        return fitting[0].load(source)
    looked = "; ".join(f"{one.looks_for} [{one.name}]" for one in ADAPTERS.values() if one.looks_for)
    raise DataError(f"{source}: no known data set. Looked for {looked}", hint=_way_out(source))


def _near(source: Path) -> str:
    parent = source.parent
    names = sorted(entry.name for entry in parent.iterdir()) if parent.is_dir() else ()
    similar = closest(source.name, names)
    return "Check the path." if similar is None else f"Did you mean {parent / similar}?"


def _way_out(source: Path) -> str:
    if source.is_file():
        describe = "describe this table in a .yaml file, as docs/data.md shows, and give that."
        return f"Give the data set's folder; or {describe}"
    inside = sorted(source.iterdir())
    descriptions = [str(path) for path in inside if manifest.matches(path)]
    nested = [str(path) for path in inside if path.is_dir() and any(fit.matches(path) for fit in ADAPTERS.values())]
    if found := nested + descriptions:
        return f"Did you mean {' or '.join(found[:3])}?"
    return "Give the folder that holds the challenge's table; or describe your own table as docs/data.md shows."
