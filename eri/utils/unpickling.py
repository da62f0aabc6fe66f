"""Reading pickled data without running it: arrays, numbers, text, and lists, tuples and dictionaries of these.

A pickle is a program. Here its opcodes are looked at one by one, and only those are followed that put plain values
together; of the names that a pickle may call, only those are known by which NumPy arrays describe themselves, and they
are followed by code of this package. Everything else is refused, so that a file can do no more than give data.
"""

from __future__ import annotations

import pickletools
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from eri.utils.errors import DataError

_DTYPE_CODE = re.compile(r"f[248]|[iu][1248]|b1")
_MOST_AXES = 32


class RefusedError(Exception):
    """Something in a pickle that is not followed."""


@dataclass(frozen=True)
class Name:
    """A name that a pickle may refer to."""

    meaning: str


@dataclass
class DType:
    """The type of an array's numbers, while it is being described."""

    code: str
    order: str = "="

    def resolve(self) -> np.dtype[Any]:
        """Return NumPy's own."""
        return np.dtype(self.code).newbyteorder(self.order)  # type: ignore[arg-type]  # the order was checked


@dataclass
class Array:
    """An array that is described by the opcodes after it."""

    value: NDArray[Any] | None = None


def _core(name: str) -> tuple[str, str]:
    """Return a name in NumPy's inner module under its old and its new path."""
    return f"numpy.core.{name}", f"numpy._core.{name}"


NAMES = MappingProxyType(
    {
        **dict.fromkeys(_core("multiarray _reconstruct"), Name("reconstruct")),
        **dict.fromkeys(_core("multiarray scalar"), Name("scalar")),
        **dict.fromkeys(_core("numeric _frombuffer"), Name("frombuffer")),
        "numpy ndarray": Name("ndarray"),
        "numpy dtype": Name("dtype"),
        "_codecs encode": Name("encode"),
        **dict.fromkeys(("__builtin__ bytes", "builtins bytes"), Name("bytes")),
    }
)


def _new_array(arguments: tuple[Any, ...]) -> Array:
    if not arguments or arguments[0] != Name("ndarray"):
        raise RefusedError("makes an array of an unknown class")
    return Array()


def _new_dtype(arguments: tuple[Any, ...]) -> DType:
    code = _text(arguments[0]) if arguments else ""
    if not _DTYPE_CODE.fullmatch(code):
        raise RefusedError(f"describes an array of type '{code}', not of plain numbers")
    return DType(code)


def set_order(target: DType, state: Any) -> None:
    """Follow what a type says of the order of its bytes."""
    order = _text(state[1]) if isinstance(state, tuple) and len(state) > 1 else ""
    if order not in ("<", ">", "|", "="):
        raise RefusedError("describes the numbers of an array in an unknown way")
    target.order = order


def fill(target: Array, state: Any) -> None:
    """Follow what an array says of its content: version, shape, type, order of axes, bytes."""
    if not isinstance(state, tuple) or len(state) != 5:
        raise RefusedError("describes an array in an unknown way")
    _, shape, dtype, fortran, content = state
    target.value = _array(content, dtype, shape, "F" if fortran else "C")


def _array_of_buffer(arguments: tuple[Any, ...]) -> Array:
    if len(arguments) != 4:
        raise RefusedError("describes an array in an unknown way")
    content, dtype, shape, order = arguments
    return Array(_array(content, dtype, shape, _text(order)))


def _array(content: Any, dtype: Any, shape: Any, order: str) -> NDArray[Any]:
    if not isinstance(dtype, DType) or order not in ("C", "F"):
        raise RefusedError("describes an array in an unknown way")
    if not isinstance(shape, tuple) or not all(type(side) is int and side >= 0 for side in shape):
        raise RefusedError("gives an array a shape that cannot be")
    values = np.frombuffer(_bytes(content), dtype.resolve())
    expected = 1
    for side in shape:
        expected *= side
    if len(values) != expected or len(shape) > _MOST_AXES:
        raise RefusedError(f"gives an array of {len(values)} numbers the shape {shape}")
    return values.reshape(shape, order="C" if order == "C" else "F").copy()


def _scalar(arguments: tuple[Any, ...]) -> float | int | bool:
    if len(arguments) != 2:
        raise RefusedError("describes a number in an unknown way")
    value = _array(arguments[1], arguments[0], (), "C").item()
    assert isinstance(value, float | int | bool)
    return value


def _encode(arguments: tuple[Any, ...]) -> bytes:
    """Follow what Python 3 writes for bytes in the protocols that have none."""
    if len(arguments) != 2 or not isinstance(arguments[0], str) or arguments[1] not in ("latin1", "latin-1"):
        raise RefusedError("encodes text in an unknown way")
    return arguments[0].encode("latin-1")


def _no_bytes(arguments: tuple[Any, ...]) -> bytes:
    """Follow what Python 3 writes for empty bytes in the same protocols."""
    if arguments:
        raise RefusedError("makes bytes in an unknown way")
    return b""


BUILDERS: MappingProxyType[str, Callable[[tuple[Any, ...]], Any]] = MappingProxyType(
    {
        "reconstruct": _new_array,
        "dtype": _new_dtype,
        "scalar": _scalar,
        "frombuffer": _array_of_buffer,
        "encode": _encode,
        "bytes": _no_bytes,
    }
)


def _text(value: Any) -> str:
    return value.decode("latin-1") if isinstance(value, bytes) else value if isinstance(value, str) else ""


def _bytes(value: Any) -> bytes | bytearray:
    # Python 2 wrote bytes as text, which pickletools reads as Latin-1.
    if isinstance(value, str):
        return value.encode("latin-1")
    if not isinstance(value, bytes | bytearray):
        raise RefusedError("gives an array a content that is no bytes, as for an array of objects")
    return value


_DEEPEST = 32
_PASSED_OVER = frozenset({"PROTO", "FRAME"})
_VALUES = frozenset(
    [
        *("INT", "BININT", "BININT1", "BININT2", "LONG", "LONG1", "LONG4", "FLOAT", "BINFLOAT"),
        *("UNICODE", "SHORT_BINUNICODE", "BINUNICODE", "BINUNICODE8", "STRING", "BINSTRING", "SHORT_BINSTRING"),
        *("SHORT_BINBYTES", "BINBYTES", "BINBYTES8", "BYTEARRAY8"),
    ]
)
_CONSTANTS = MappingProxyType({"NONE": None, "NEWTRUE": True, "NEWFALSE": False})
_SHORT_TUPLES = MappingProxyType({"TUPLE1": 1, "TUPLE2": 2, "TUPLE3": 3})
_PUTS = frozenset({"PUT", "BINPUT", "LONG_BINPUT"})
_GETS = frozenset({"GET", "BINGET", "LONG_BINGET"})

_KEYS = (str, bytes, int, float, bool, type(None))
_MARK = object()


class Machine:
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
            "APPEND": lambda: self._extend([self._pop()]),
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
            if argument not in self._memo:
                raise RefusedError(f"asks for value {argument}, which was never kept")
            self._stack.append(self._memo[argument])
        elif opcode in self._actions:
            self._actions[opcode]()
        elif opcode in _CONSTANTS:
            self._stack.append(_CONSTANTS[opcode])
        elif opcode in _SHORT_TUPLES:
            self._stack.append(tuple(self._pop_many(_SHORT_TUPLES[opcode])))
        elif opcode == "GLOBAL":
            self._refer(argument.split(" ", 1))
        elif opcode not in _PASSED_OVER:
            raise RefusedError("is not one that plain data needs")

    def result(self) -> Any:
        """Return the value that the pickle ended with."""
        value = self._pop()
        if self._stack:
            raise RefusedError("leaves values behind")
        return _finished(value, {}, 0)

    def _pop(self) -> Any:
        (value,) = self._pop_many(1)
        return value

    def _pop_many(self, count: int) -> list[Any]:
        values = self._stack[-count:]
        if len(values) < count or any(value is _MARK for value in values):
            raise RefusedError("takes a value where there is none")
        del self._stack[-count:]
        return values

    def _pop_to_mark(self) -> list[Any]:
        for position in range(len(self._stack) - 1, -1, -1):
            if self._stack[position] is _MARK:
                values = self._stack[position + 1 :]
                del self._stack[position:]
                return values
        raise RefusedError("looks for a mark that was never set")

    def _top(self) -> Any:
        if not self._stack or self._stack[-1] is _MARK:
            raise RefusedError("looks at a value where there is none")
        return self._stack[-1]

    def _discard(self) -> None:
        if not self._stack:
            raise RefusedError("drops a value where there is none")
        self._stack.pop()

    def _extend(self, values: list[Any]) -> None:
        target = self._top()
        if not isinstance(target, list):
            raise RefusedError("adds to something that is no list")
        target.extend(values)

    def _update(self, values: list[Any]) -> None:
        target = self._top()
        if not isinstance(target, dict):
            raise RefusedError("adds a key to something that is no dictionary")
        _pairs(target, values)

    def _refer(self, parts: list[Any]) -> None:
        if len(parts) != 2 or not all(isinstance(part, str) for part in parts):
            raise RefusedError("refers to something without a name")
        name = NAMES.get(" ".join(parts))
        if name is None:
            raise RefusedError(f"refers to '{'.'.join(parts)}', which is no NumPy array of numbers")
        self._stack.append(name)

    def _reduce(self) -> None:
        name, arguments = self._pop_many(2)
        if not isinstance(name, Name) or not isinstance(arguments, tuple):
            raise RefusedError("calls something that is no name")
        builder = BUILDERS.get(name.meaning)
        if builder is None:
            raise RefusedError(f"calls {name.meaning}")
        self._stack.append(builder(arguments))

    def _build(self) -> None:
        state = self._pop()
        target = self._top()
        if isinstance(target, DType):
            set_order(target, state)
        elif isinstance(target, Array) and target.value is None:
            fill(target, state)
        else:
            raise RefusedError("changes something that is no new array")


def _pairs(target: dict[Any, Any], values: list[Any]) -> dict[Any, Any]:
    keys = values[::2]
    if len(values) % 2 or not all(isinstance(key, _KEYS) for key in keys):
        raise RefusedError("has a key that is neither text nor number")
    target.update(zip(keys, values[1::2], strict=True))
    return target


def _finished(value: Any, done: dict[int, Any], depth: int) -> Any:
    """Return a value with its arrays in their places; what is shared stays shared, so that it cannot grow."""
    if isinstance(value, Array):
        if value.value is None:
            raise RefusedError("ends with an array that was never filled")
        return value.value
    if isinstance(value, Name | DType):
        raise RefusedError("ends with a name, not with data")
    if not isinstance(value, list | tuple | dict):
        return value
    if id(value) in done:
        return done[id(value)]
    if depth == _DEEPEST:
        raise RefusedError(f"ends with data nested more than {_DEEPEST} deep")
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
