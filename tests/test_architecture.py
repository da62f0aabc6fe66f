"""The rooms of the package: few, in the order of the map in CONTRIBUTING.md, without a cycle between or inside them."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from functools import cache
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "eri"
LOOSE = {"__init__", "__main__"}
MOST_ROOMS = 22


def _name(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


@cache
def _modules() -> dict[str, Path]:
    return {_name(path): path for path in sorted(PACKAGE.rglob("*.py"))}


def _imported(path: Path) -> Iterator[str]:
    """Yield every module of the package that a file imports anywhere: at its top, lazily, or for type checking."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.module and node.module.partition(".")[0] == "eri":
            for alias in node.names:
                submodule = f"{node.module}.{alias.name}"
                yield submodule if submodule in _modules() else node.module
        elif isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names if alias.name.partition(".")[0] == "eri")
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: a relative import"


@cache
def _imports() -> dict[str, frozenset[str]]:
    return {name: frozenset(_imported(path)) - {name} for name, path in _modules().items()}


def _room(module: str) -> str:
    parts = module.split(".")
    return parts[1] if len(parts) > 1 else "__init__"


def _map() -> list[str]:
    """Return the rooms in the order in which CONTRIBUTING.md shows them."""
    text = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    return re.findall(r"^\| `eri/(\w+)/?(?:\.py)?` \|", text, flags=re.MULTILINE)


def test_rooms_are_few_and_all_on_the_map() -> None:
    rooms = {path.name for path in PACKAGE.iterdir() if path.is_dir() and (path / "__init__.py").is_file()}
    loose = {path.stem for path in PACKAGE.glob("*.py")}
    assert len(rooms) <= MOST_ROOMS
    assert loose == LOOSE
    assert sorted(_map()) == sorted(rooms)


def test_a_room_imports_only_what_stands_before_it_on_the_map() -> None:
    order = {room: place for place, room in enumerate(_map())}
    order["__init__"] = order["api"]  # the front of the package: what users import
    order["__main__"] = len(order)
    upwards = sorted(
        f"{module} imports {other}"
        for module, others in _imports().items()
        for other in others
        if _room(other) != _room(module) and order[_room(other)] > order[_room(module)]
    )
    assert upwards == []


def test_no_module_takes_part_in_a_cycle() -> None:
    # A package's __init__ that imports its own modules makes a cycle only where one of them imports the package.
    try:
        list(TopologicalSorter(_imports()).static_order())
    except CycleError as error:
        raise AssertionError(" → ".join(error.args[1])) from None


def test_the_tests_mirror_the_package() -> None:
    strays = sorted(
        str(path.relative_to(ROOT))
        for path in (ROOT / "tests").rglob("test_*.py")
        if path.parent != ROOT / "tests"
        and path.relative_to(ROOT / "tests").parts[0] not in ("faults", "plugin")
        and not (PACKAGE / path.parent.relative_to(ROOT / "tests")).is_dir()
    )
    assert strays == []
