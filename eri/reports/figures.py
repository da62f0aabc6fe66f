"""Matplotlib figures in files, without a screen and without matplotlib's global state."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from eri.utils.errors import ConfigError
from eri.utils.files import atomic_path

FORMATS = ("png", "svg", "pdf")


def new_figure(width: float, height: float) -> Any:
    """Return an empty matplotlib figure of a width and height in inches."""
    from matplotlib.figure import Figure

    return Figure(figsize=(width, height), layout="constrained")


def format_of_image(path: Path) -> str:
    """Return the format that an image's name asks for.

    Raises:
        ConfigError: Its ending is that of none.

    Examples:
        >>> format_of_image(Path("map.PNG"))
        'png'
    """
    kind = path.suffix.lower().lstrip(".")
    if kind not in FORMATS:
        raise ConfigError(
            f"{path}: '{path.suffix}' is no image format here", hint=f"End the name in .{', .'.join(FORMATS)}."
        )
    return kind


def save_figure(figure: Any, path: Path, *, dots_per_inch: int = 150) -> Path:
    """Write a figure in one atomic step; the name's ending decides the format.

    Raises:
        ConfigError: The name ends in none of :data:`FORMATS`.
    """
    kind = format_of_image(path)
    with atomic_path(path) as temporary:
        figure.savefig(temporary, format=kind, dpi=dots_per_inch)
    return path
