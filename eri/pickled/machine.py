"""The machine that a pickle's opcodes drive: a stack, a memo, and no way out of them."""

from __future__ import annotations

from collections.abc import Callable
from types import MappingProxyType
from typing import Any

from eri.pickled.arrays import BUILDERS, NAMES, Array, DType, Name, RefusedError, fill, set_order

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
