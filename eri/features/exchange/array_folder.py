"""Folders of one pickled array per clip, as EMI distributes its features: rows × dimension, without times or names."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from eri.features.exchange.reading import RawFeatures, TimeUnit, identify_file
from eri.features.sources import Source
from eri.utils.errors import DataError
from eri.utils.unpickling import read_pickle

SUFFIX = ".pkl"

_HINT = "Each file must hold one array of rows × features, or a list of rows of numbers."
_MOST_NUMBERS = 10**8


@dataclass(frozen=True)
class ArrayFolder:
    """A folder of pickled arrays; none of the pickles is executed, see :mod:`eri.utils.unpickling`.

    Attributes:
        path: Where it is.
        files: The file of each clip, by id.
    """

    path: Path
    files: Mapping[str, Path]

    def identities(self) -> dict[str, Source]:
        """Return the identity of each clip's file."""
        return {clip_id: identify_file(path) for clip_id, path in self.files.items()}

    def sample_times(self, clips: int) -> None:
        """Return None: arrays have no times."""
        return

    def read(self, clip_ids: Collection[str], time_unit: TimeUnit) -> Iterator[RawFeatures]:
        """Read some clips; see :class:`~eri.features.exchange.reading.FeatureSource`."""
        for clip_id in sorted(clip_ids):
            path = self.files[clip_id]
            yield RawFeatures(clip_id, str(path), identify_file(path), as_matrix(read_pickle(path), str(path)))


def as_matrix(value: Any, origin: str) -> NDArray[np.floating]:
    """Return an array, or a list of rows of numbers, as a matrix.

    Args:
        value: An array of two axes, of one (a single row), or of more where the first ones have the length 1; or a list
            of rows, each an array or a list of numbers.
        origin: The file, for errors.

    Raises:
        DataError: It is something else, or rows differ in length.

    Examples:
        >>> as_matrix([[1, 2], (3, 4)], "a.pkl").tolist()
        [[1.0, 2.0], [3.0, 4.0]]
        >>> as_matrix(np.zeros((1, 5, 3)), "a.pkl").shape
        (5, 3)
    """
    array = value if isinstance(value, np.ndarray) else _stack(value, origin)
    if array.dtype.kind not in "fiu":
        raise DataError(f"{origin}: holds an array of type {array.dtype}, not of numbers", hint=_HINT)
    while array.ndim > 2 and array.shape[0] == 1:
        array = array[0]
    if array.ndim == 1 and array.size:
        array = array[np.newaxis]
    if array.ndim != 2 or not array.shape[1]:
        raise DataError(f"{origin}: holds an array of shape {array.shape}, not rows × features", hint=_HINT)
    return array.astype(np.float32 if array.dtype in (np.float16, np.float32) else np.float64)


def _stack(value: Any, origin: str) -> NDArray[Any]:
    rows = value if isinstance(value, list | tuple) else None
    if not rows:
        raise DataError(f"{origin}: holds {_describe(value)}, not an array", hint=_HINT)
    if all(map(_is_number, rows)):
        return np.array(rows, dtype=np.float64)
    width = len(rows[0]) if isinstance(rows[0], list | tuple | np.ndarray) and np.ndim(rows[0]) else 0
    # A small pickle may name one row a million times.
    if len(rows) * width > _MOST_NUMBERS:
        raise DataError(f"{origin}: holds {len(rows)} rows of {width} numbers, more than any clip has", hint=_HINT)
    for number, row in enumerate(rows, 1):
        if isinstance(row, np.ndarray):
            if row.ndim != 1 or row.dtype.kind not in "fiu":
                raise DataError(f"{origin}, row {number}: is an array of shape {row.shape}", hint=_HINT)
        elif not isinstance(row, list | tuple) or not all(map(_is_number, row)):
            raise DataError(f"{origin}, row {number}: is {_describe(row)}, not a row of numbers", hint=_HINT)
        if len(row) != width:
            raise DataError(f"{origin}, row {number}: has {len(row)} numbers, the first row has {width}", hint=_HINT)
    return np.array(rows, dtype=np.float64)


def _is_number(value: Any) -> bool:
    return isinstance(value, float | int) and not isinstance(value, bool)


def _describe(value: Any) -> str:
    if isinstance(value, list | tuple) and not value:
        return f"an empty {type(value).__name__}"
    return f"a {type(value).__name__}"
