"""Figures in files, without a screen and without matplotlib's global state."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from eri.utils.errors import ConfigError
from eri.utils.files import atomic_path

FORMATS = ("png", "svg", "pdf")


def new_figure(width: float, height: float) -> Any:
    """Return an empty matplotlib figure that is drawn by Agg.

    Args:
        width: In inches.
        height: In inches.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), layout="constrained")
    FigureCanvasAgg(figure)
    return figure


def refuse_format(path: Path) -> str:
    """Return the format that a picture's name asks for.

    Raises:
        ConfigError: Its ending is that of none.

    Examples:
        >>> refuse_format(Path("map.PNG"))
        'png'
    """
    kind = path.suffix.lower().lstrip(".")
    if kind not in FORMATS:
        raise ConfigError(
            f"{path}: '{path.suffix}' is no format of pictures here", hint=f"End it in .{', .'.join(FORMATS)}."
        )
    return kind


def save_figure(figure: Any, path: Path, *, dots_per_inch: int = 150) -> Path:
    """Write a figure in one atomic step; the name's ending decides the format.

    Args:
        figure: Of :func:`new_figure`.
        path: Ends in .png, .svg or .pdf.
        dots_per_inch: Of pixels.

    Raises:
        ConfigError: The name ends otherwise.
    """
    kind = refuse_format(path)
    with atomic_path(path) as temporary:
        figure.savefig(temporary, format=kind, dpi=dots_per_inch)
    return path
