"""Turning what the operating system says about a feature folder into errors that name the way out."""

from __future__ import annotations

import errno
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from eri.utils.errors import StoreError

_FULL = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})
_FORBIDDEN = frozenset({errno.EROFS, errno.EACCES, errno.EPERM})


@contextmanager
def explained(path: Path) -> Iterator[None]:
    """Raise :class:`StoreError` in place of any :class:`OSError` of the block.

    Args:
        path: The file or folder that the block writes; named in the error.

    Examples:
        >>> with explained(Path("features")):
        ...     raise OSError(errno.ENOSPC, "No space left on device")
        Traceback (most recent call last):
        eri.utils.errors.StoreError: features: the disk is full (No space left on device)...
    """
    try:
        yield
    except OSError as error:
        raise store_error(path, error) from error


def store_error(path: Path, error: OSError) -> StoreError:
    """Return the error that tells a user what the operating system refused, and what to do."""
    reason = error.strerror or str(error)
    if error.errno in _FULL:
        return StoreError(
            f"{path}: the disk is full ({reason})",
            hint="Free some space, or put the features elsewhere with --features DIR; the next run goes on from here.",
        )
    if error.errno in _FORBIDDEN:
        return StoreError(
            f"{path}: the feature folder cannot be written ({reason})",
            hint="Make the folder writable, or put the features elsewhere with --features DIR.",
        )
    return StoreError(
        f"{path}: the feature folder cannot be used ({reason})", hint="Choose another folder with --features DIR."
    )
