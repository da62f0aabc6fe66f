"""Matplotlib figures in files, without a screen and without matplotlib's global state."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from eri.utils.errors import ConfigError
from eri.utils.files import atomic_path

_FORMATS = ("png", "svg", "pdf")


def new_figure(width: float, height: float) -> Any:
    """Return an empty matplotlib figure of a width and height in inches."""
    from matplotlib.figure import Figure

    return Figure(figsize=(width, height), layout="constrained")


def format_of_image(path: Path) -> str:
    """Return the format that an image's name asks for; ConfigError where its ending is that of none."""
    kind = path.suffix.lower().lstrip(".")
    if kind not in _FORMATS:
        hint = f"End the name in .{', .'.join(_FORMATS)}."
        raise ConfigError(f"{path}: '{path.suffix}' is no image format here", hint=hint)
    return kind


def save_figure(figure: Any, path: Path) -> Path:
    """Write a figure in one atomic step, in the format of :func:`format_of_image`."""
    kind = format_of_image(path)
    with atomic_path(path) as temporary:
        figure.savefig(temporary, format=kind, dpi=150)
    return path
