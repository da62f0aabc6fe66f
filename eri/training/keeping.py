"""Models that are read from their files once, while a block predicts with them again and again."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path
from typing import Any, TypeVar

_MOST = 8
"""Models kept at once: of an ensemble with more, the others are read anew each time, so that memory stays bounded."""

_KEPT: ContextVar[dict[Path, Any] | None] = ContextVar("kept", default=None)

Model = TypeVar("Model")


@contextmanager
def keeping_models() -> Iterator[None]:
    """Keep the models that are read within the block until it ends; meanwhile their files must stay as they are."""
    token = _KEPT.set({})
    try:
        yield
    finally:
        _KEPT.reset(token)


def kept(run: Path, load: Callable[[], Model]) -> Model:
    """Return the model of a run: read from its files, unless a block of :func:`keeping_models` has it already.

    Args:
        run: The run's folder.
        load: Reads the model and puts it where it computes.

    Examples:
        >>> with keeping_models():
        ...     kept(Path("a"), list) is kept(Path("a"), list)
        True
        >>> kept(Path("a"), list) is kept(Path("a"), list)
        False
    """
    models = _KEPT.get()
    if models is None:
        return load()
    found: Model | None = models.get(run)
    if found is None:
        found = load()
        if len(models) < _MOST:
            models[run] = found
    return found
