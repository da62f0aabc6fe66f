"""Reading pickled data without running it: arrays, numbers, text, and lists, tuples and dictionaries of these.

A pickle is a program. Here its opcodes are looked at one by one, and only those are followed that put plain values
together; of the names that a pickle may call, only those are known by which NumPy arrays describe themselves, and they
are followed by code of this package. Everything else is refused, so that a file can do no more than give data.
"""

from __future__ import annotations

import pickletools
from pathlib import Path
from typing import Any

from eri.errors import DataError
from eri.pickled.arrays import RefusedError
from eri.pickled.machine import Machine

__all__ = ["parse_pickle", "read_pickle"]

_HINT = (
    "Pickles are read without running them: plain numbers, text, lists, dictionaries and NumPy arrays of numbers only. "
    "Where you trust the file, load it yourself and save its arrays with numpy.save or as Parquet."
)


def read_pickle(path: Path) -> Any:
    r"""Return what a pickle holds, without executing it.

    Args:
        path: The file, of any pickle protocol.

    Returns:
        Numbers, text, bytes, NumPy arrays of numbers, or lists, tuples and dictionaries of these.

    Raises:
        DataError: The file is missing, empty or damaged, or holds anything else; the opcode and its place are named.

    Examples:
        >>> path = getfixture("tmp_path") / "a.pkl"
        >>> _ = path.write_bytes(b"\x80\x04](K\x01G?\xe0\x00\x00\x00\x00\x00\x00e.")
        >>> read_pickle(path)
        [1, 0.5]
        >>> _ = path.write_bytes(b"cos\nsystem\n(S'echo hello'\ntR.")
        >>> read_pickle(path)
        Traceback (most recent call last):
        eri.errors.DataError: ...a.pkl: opcode GLOBAL at byte 0: refers to 'os.system'...
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        raise DataError(f"{path}: cannot be read: {error.strerror}") from error
    if not data:
        raise DataError(f"{path}: the file is empty", hint="Copy it again from the data set.")
    return parse_pickle(data, str(path))


def parse_pickle(data: bytes, origin: str) -> Any:
    """Return what a pickle's bytes hold, as :func:`read_pickle` does.

    Args:
        data: The pickle.
        origin: Named in errors, usually the file.

    Raises:
        DataError: See :func:`read_pickle`.
    """
    machine = Machine()
    opcode, position = "", 0
    try:
        for operation, argument, place in pickletools.genops(data):
            opcode, position = operation.name, place or 0
            machine.follow(opcode, argument)
        return machine.result()
    except RefusedError as error:
        raise DataError(f"{origin}: opcode {opcode} at byte {position}: {error}", hint=_HINT) from error
    except (ValueError, OverflowError, MemoryError) as error:  # how pickletools and NumPy say that bytes make no sense
        raise DataError(
            f"{origin}: is no pickle, or a damaged one, after byte {position}: {error}",
            hint="Copy it again from the data set.",
        ) from error
