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
    """Raise StoreError, which names ``path`` and the way out, in place of any OSError of the block."""
    try:
        yield
    except OSError as error:
        what, hint = "the feature folder cannot be used", "Choose another folder with --features DIR."
        if error.errno in _FULL:
            what = "the disk is full"
            hint = "Free some space, or put the features elsewhere with --features DIR; the next run goes on from here."
        elif error.errno in _FORBIDDEN:
            what = "the feature folder cannot be written"
            hint = "Make the folder writable, or put the features elsewhere with --features DIR."
        raise StoreError(f"{path}: {what} ({error.strerror or error})", hint=hint) from error
