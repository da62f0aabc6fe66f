"""Reading pickled data without running it: arrays, numbers, text, and lists, tuples and dictionaries of these.

A pickle is a program. Its opcodes are looked at one by one, and only those are followed that put plain values together;
the names that it may call are those by which NumPy arrays describe themselves, followed by code of this package.
"""

from __future__ import annotations

import math
import pickletools
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from eri.utils.errors import DataError

_DTYPE_CODE = re.compile(r"f[248]|[iu][1248]|b1")
_MOST_AXES, _DEEPEST = 32, 32

_PASSED_OVER = frozenset({"PROTO", "FRAME"})
_VALUES = frozenset(
    [
        *("INT", "BININT", "BININT1", "BININT2", "LONG", "LONG1", "LONG4", "FLOAT", "BINFLOAT"),
        *("UNICODE", "SHORT_BINUNICODE", "BINUNICODE", "BINUNICODE8", "STRING", "BINSTRING", "SHORT_BINSTRING"),
        *("SHORT_BINBYTES", "BINBYTES", "BINBYTES8", "BYTEARRAY8"),
    ]
)
_CONSTANTS = {"NONE": None, "NEWTRUE": True, "NEWFALSE": False}
_SHORT_TUPLES = {"TUPLE1": 1, "TUPLE2": 2, "TUPLE3": 3}
_PUTS = frozenset({"PUT", "BINPUT", "LONG_BINPUT"})
_GETS = frozenset({"GET", "BINGET", "LONG_BINGET"})

_KEYS = (str, bytes, int, float, bool, type(None))
_MARK = object()


class _RefusedError(Exception):
    """Something in a pickle that is not followed."""


def _require(fine: bool, refusal: str) -> None:
    if not fine:
        raise _RefusedError(refusal)


@dataclass(frozen=True)
class _Name:
    """A name that a pickle may refer to, what follows a call of it, and what such a call does."""

    meaning: str
    build: Callable[..., Any] | None = None
    does: str = "describes an array"


@dataclass
class _DType:
    """The type of an array's numbers, while it is being described."""

    code: str
    order: str = "="

    def build(self, state: Any) -> None:
        """Follow what a type says of the order of its bytes."""
        order = _text(state[1]) if isinstance(state, tuple) and len(state) > 1 else ""
        _require(order in ("<", ">", "|", "="), "describes the numbers of an array in an unknown way")
        self.order = order


@dataclass
class _Array:
    """An array that is described by the opcodes after it."""

    value: NDArray[Any] | None = None

    def build(self, state: Any) -> None:
        """Follow what an array says of its content: version, shape, type, order of axes, bytes."""
        _require(isinstance(state, tuple) and len(state) == 5, "describes an array in an unknown way")
        _, shape, dtype, fortran, content = state
        self.value = _array(content, dtype, shape, "F" if fortran else "C")


def _new_array(kind: Any, *_: Any) -> _Array:
    _require(kind == _NDARRAY, "makes an array of an unknown class")
    return _Array()


def _new_dtype(name: Any, *_: Any) -> _DType:
    code = _text(name)
    _require(bool(_DTYPE_CODE.fullmatch(code)), f"describes an array of type '{code}', not of plain numbers")
    return _DType(code)


def _array(content: Any, dtype: Any, shape: Any, order: str) -> NDArray[Any]:
    _require(isinstance(dtype, _DType) and order in ("C", "F"), "describes an array in an unknown way")
    sides = isinstance(shape, tuple) and all(type(side) is int and side >= 0 for side in shape)
    _require(sides, "gives an array a shape that cannot be")
    # Python 2 wrote bytes as text, which pickletools reads as Latin-1.
    data = content.encode("latin-1") if isinstance(content, str) else content
    is_bytes = isinstance(data, bytes | bytearray)
    _require(is_bytes, "gives an array a content that is no bytes, as for an array of objects")
    values = np.frombuffer(data, np.dtype(dtype.code).newbyteorder(dtype.order))
    fits = len(values) == math.prod(shape) and len(shape) <= _MOST_AXES
    _require(fits, f"gives an array of {len(values)} numbers the shape {shape}")
    return values.reshape(shape, order="C" if order == "C" else "F").copy()


def _encode(text: Any, codec: Any) -> bytes:
    """Follow what Python 3 writes for bytes in the protocols that have none."""
    _require(isinstance(text, str) and codec in ("latin1", "latin-1"), "encodes text in an unknown way")
    return bytes(text, "latin-1")


def _text(value: Any) -> str:
    return value.decode("latin-1") if isinstance(value, bytes) else value if isinstance(value, str) else ""


_NDARRAY = _Name("ndarray")
_NAMES = {
    "numpy ndarray": _NDARRAY,
    "numpy dtype": _Name("dtype", _new_dtype),
    "_codecs encode": _Name("encode", _encode, "encodes text"),
    # Empty bytes in the protocols that have none.
    **dict.fromkeys(("__builtin__ bytes", "builtins bytes"), _Name("bytes", lambda: b"", "makes bytes")),
}
for _core in ("numpy.core", "numpy._core"):  # the old and the new path of NumPy's inner module
    _NAMES[f"{_core}.multiarray _reconstruct"] = _Name("reconstruct", _new_array)
    _NAMES[f"{_core}.multiarray scalar"] = _Name(
        "scalar", lambda dtype, content: _array(content, dtype, (), "C").item(), "describes a number"
    )
    _NAMES[f"{_core}.numeric _frombuffer"] = _Name(
        "frombuffer", lambda content, dtype, shape, order: _Array(_array(content, dtype, shape, _text(order)))
    )


class _Machine:
    """The stack and the memo of one pickle, and what each opcode does to them."""

    def __init__(self) -> None:
        self._stack: list[Any] = []
        self._memo: dict[int, Any] = {}
        self._actions: dict[str, Callable[[], None]] = {
            "MARK": lambda: self._stack.append(_MARK),
            "EMPTY_LIST": lambda: self._stack.append([]),
            "EMPTY_TUPLE": lambda: self._stack.append(()),
            "EMPTY_DICT": lambda: self._stack.append({}),
            "LIST": lambda: self._stack.append(self._pop_to_mark()),
            "TUPLE": lambda: self._stack.append(tuple(self._pop_to_mark())),
            "DICT": lambda: self._stack.append(_pairs({}, self._pop_to_mark())),
            "APPEND": lambda: self._extend(self._pop_many(1)),
            "APPENDS": lambda: self._extend(self._pop_to_mark()),
            "SETITEM": lambda: self._update(self._pop_many(2)),
            "SETITEMS": lambda: self._update(self._pop_to_mark()),
            "POP": self._discard,
            "POP_MARK": lambda: self._pop_to_mark().clear(),
            "DUP": lambda: self._stack.append(self._top()),
            "MEMOIZE": lambda: self._memo.__setitem__(len(self._memo), self._top()),
            "STACK_GLOBAL": lambda: self._refer(self._pop_many(2)),
            "REDUCE": self._reduce,
            "BUILD": self._build,
            "STOP": lambda: None,
        }

    def follow(self, opcode: str, argument: Any) -> None:
        """Do what one opcode asks for."""
        if opcode in _VALUES:
            self._stack.append(argument)
        elif opcode in _PUTS:
            self._memo[argument] = self._top()
        elif opcode in _GETS:
            _require(argument in self._memo, f"asks for value {argument}, which was never kept")
            self._stack.append(self._memo[argument])
        elif opcode in self._actions:
            self._actions[opcode]()
        elif opcode in _CONSTANTS:
            self._stack.append(_CONSTANTS[opcode])
        elif opcode in _SHORT_TUPLES:
            self._stack.append(tuple(self._pop_many(_SHORT_TUPLES[opcode])))
        elif opcode == "GLOBAL":
            self._refer(argument.split(" ", 1))
        else:
            _require(opcode in _PASSED_OVER, "is not one that plain data needs")

    def result(self) -> Any:
        """Return the value that the pickle ended with."""
        (value,) = self._pop_many(1)
        _require(not self._stack, "leaves values behind")
        return _finished(value, {}, 0)

    def _pop_many(self, count: int) -> list[Any]:
        values = self._stack[-count:]
        there = len(values) == count and not any(value is _MARK for value in values)
        _require(there, "takes a value where there is none")
        del self._stack[-count:]
        return values

    def _pop_to_mark(self) -> list[Any]:
        for position in range(len(self._stack) - 1, -1, -1):
            if self._stack[position] is _MARK:
                values = self._stack[position + 1 :]
                del self._stack[position:]
                return values
        raise _RefusedError("looks for a mark that was never set")

    def _top(self) -> Any:
        _require(bool(self._stack) and self._stack[-1] is not _MARK, "looks at a value where there is none")
        return self._stack[-1]

    def _discard(self) -> None:
        _require(bool(self._stack), "drops a value where there is none")
        self._stack.pop()

    def _extend(self, values: list[Any]) -> None:
        target = self._top()
        _require(isinstance(target, list), "adds to something that is no list")
        target.extend(values)

    def _update(self, values: list[Any]) -> None:
        target = self._top()
        _require(isinstance(target, dict), "adds a key to something that is no dictionary")
        _pairs(target, values)

    def _refer(self, parts: list[Any]) -> None:
        named = len(parts) == 2 and all(isinstance(part, str) for part in parts)
        _require(named, "refers to something without a name")
        name = _NAMES.get(" ".join(parts))
        _require(name is not None, f"refers to '{'.'.join(parts)}', which is no NumPy array of numbers")
        self._stack.append(name)

    def _reduce(self) -> None:
        name, arguments = self._pop_many(2)
        if not isinstance(name, _Name) or not isinstance(arguments, tuple):
            raise _RefusedError("calls something that is no name")
        if name.build is None:
            raise _RefusedError(f"calls {name.meaning}")
        try:
            self._stack.append(name.build(*arguments))
        except TypeError as error:
            raise _RefusedError(f"{name.does} in an unknown way") from error

    def _build(self) -> None:
        (state,) = self._pop_many(1)
        target = self._top()
        new = isinstance(target, _DType) or (isinstance(target, _Array) and target.value is None)
        _require(new, "changes something that is no new array")
        target.build(state)


def _pairs(target: dict[Any, Any], values: list[Any]) -> dict[Any, Any]:
    keys = values[::2]
    fine = len(values) % 2 == 0 and all(isinstance(key, _KEYS) for key in keys)
    _require(fine, "has a key that is neither text nor number")
    target.update(zip(keys, values[1::2], strict=True))
    return target


def _finished(value: Any, done: dict[int, Any], depth: int) -> Any:
    """Return a value with its arrays in their places; what is shared stays shared, so that it cannot grow."""
    if isinstance(value, _Array):
        _require(value.value is not None, "ends with an array that was never filled")
        return value.value
    _require(not isinstance(value, _Name | _DType), "ends with a name, not with data")
    if not isinstance(value, list | tuple | dict):
        return value
    if id(value) in done:
        return done[id(value)]
    _require(depth < _DEEPEST, f"ends with data nested more than {_DEEPEST} deep")
    if isinstance(value, dict):
        result: Any = {key: _finished(item, done, depth + 1) for key, item in value.items()}
    else:
        result = type(value)(_finished(item, done, depth + 1) for item in value)
    done[id(value)] = result
    return result


_HINT = (
    "Pickles are read without running them: plain numbers, text, lists, dictionaries and NumPy arrays of numbers only. "
    "Where you trust the file, load it yourself and save its arrays with numpy.save or as Parquet."
)


def read_pickle(path: Path) -> Any:
    r"""Return what a pickle of any protocol holds, without executing it; a :class:`DataError` names a refused opcode.

    Examples:
        >>> path = getfixture("tmp_path") / "a.pkl"
        >>> _ = path.write_bytes(b"\x80\x04](K\x01G?\xe0\x00\x00\x00\x00\x00\x00e.")
        >>> read_pickle(path)
        [1, 0.5]
        >>> _ = path.write_bytes(b"cos\nsystem\n(S'echo hello'\ntR.")
        >>> read_pickle(path)
        Traceback (most recent call last):
        eri.utils.errors.DataError: ...a.pkl: opcode GLOBAL at byte 0: refers to 'os.system'...
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        raise DataError(f"{path}: cannot be read: {error.strerror}") from error
    if not data:
        raise DataError(f"{path}: the file is empty", hint="Copy it again from the data set.")
    return parse_pickle(data, str(path))


def parse_pickle(data: bytes, origin: str) -> Any:
    """Return what a pickle's bytes hold, as :func:`read_pickle` does; ``origin`` is named in errors."""
    machine = _Machine()
    opcode, position = "", 0
    try:
        for operation, argument, place in pickletools.genops(data):
            opcode, position = operation.name, place or 0
            machine.follow(opcode, argument)
        return machine.result()
    except _RefusedError as error:
        raise DataError(f"{origin}: opcode {opcode} at byte {position}: {error}", hint=_HINT) from error
    except (ValueError, OverflowError, MemoryError) as error:  # how pickletools and NumPy say that bytes make no sense
        raise DataError(
            f"{origin}: is no pickle, or a damaged one, after byte {position}: {error}",
            hint="Copy it again from the data set.",
        ) from error
