"""How NumPy's arrays describe themselves in a pickle, followed by code that can make nothing but arrays of numbers."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import NDArray

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
