"""Reading pickles without running them: what data comes back, and that nothing else is ever followed."""

import collections
import datetime
import os
import pickle
import pickletools
import struct
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from eri.utils.errors import DataError
from eri.utils.unpickling import parse_pickle, read_pickle

PROTOCOLS = pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
DTYPES = ("<f2", "<f4", "<f8", ">f4", ">f8", "<i8", ">i4", "<u2", "|u1", "|i1", "|b1")
plain = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text() | st.binary(),
    lambda inner: st.lists(inner) | st.tuples(inner, inner) | st.dictionaries(st.text(), inner),
    max_leaves=20,
)
quick = settings(max_examples=60, deadline=None)


def parse(data: bytes) -> object:
    return parse_pickle(data, "a.pkl")


def refusal(data: bytes) -> str:
    with pytest.raises(DataError, match=r"^a\.pkl: ") as caught:
        parse(data)
    assert caught.value.hint
    return str(caught.value)


@PROTOCOLS
@quick
@given(value=plain)
def test_plain_data_comes_back(protocol, value):
    assert parse(pickle.dumps(value, protocol)) == value


@pytest.mark.slow
@PROTOCOLS
@quick
@given(data=st.data())
def test_arrays_come_back_with_their_type_shape_and_values(protocol, data):
    dtype = data.draw(st.sampled_from(DTYPES))
    array = data.draw(arrays(dtype, array_shapes(min_dims=1, max_dims=3, min_side=0, max_side=5)))
    if data.draw(st.booleans()):
        array = np.asfortranarray(array)
    back = parse(pickle.dumps(array, protocol))
    assert isinstance(back, np.ndarray)
    assert back.dtype == array.dtype
    np.testing.assert_array_equal(back, array)


@PROTOCOLS
def test_arrays_in_lists_and_dictionaries_and_scalars_come_back(protocol):
    row = np.arange(3, dtype=np.float32)
    value = {"rows": [row, row], b"scale": np.float64(0.5), "count": np.int64(3), 7: (np.bool_(True),)}
    back = parse(pickle.dumps(value, protocol))
    assert isinstance(back, dict)
    assert list(back) == list(value)
    assert (back[b"scale"], back["count"], back[7]) == (0.5, 3, (True,))
    np.testing.assert_array_equal(back["rows"], value["rows"])
    assert back["rows"][0] is back["rows"][1], "what is shared stays shared"


def test_arrays_of_old_numpy_and_python_2_come_back():
    array = np.arange(6, dtype=np.float32).reshape(2, 3)
    data = pickle.dumps(array, 2).replace(b"cnumpy._core.multiarray", b"cnumpy.core.multiarray")
    np.testing.assert_array_equal(parse(data), array)
    # Python 2 wrote the bytes as a short string.
    content = array.tobytes()
    python_2 = (
        b"cnumpy.core.multiarray\n_reconstruct\n(cnumpy\nndarray\n(K\x00tU\x01btR(K\x01(K\x02K\x03tcnumpy\ndtype\n"
        b"(U\x02f4K\x00K\x01tR(K\x03U\x01<NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tbI00\nU"
        + bytes([len(content)])
        + content
        + b"tb."
    )
    np.testing.assert_array_equal(pickle.loads(python_2, encoding="latin1"), array)
    np.testing.assert_array_equal(parse(python_2), array)


class Attack:
    """Writes a file when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[object, ...]:
        return os.mkdir, (str(self.path),)


@PROTOCOLS
@pytest.mark.parametrize("wrap", [lambda attack: attack, lambda attack: [1.0, {"a": (attack,)}]])
def test_no_code_runs(tmp_path, protocol, wrap):
    data = pickle.dumps(wrap(Attack(tmp_path / "made")), protocol)
    assert "mkdir', which is no NumPy array of numbers" in refusal(data)
    assert not (tmp_path / "made").exists()
    pickle.loads(data)
    assert (tmp_path / "made").exists(), "the attack works on a reader that runs pickles"


@PROTOCOLS
@pytest.mark.parametrize(
    "value",
    [
        datetime.date(2024, 1, 1),
        collections.OrderedDict(a=1),
        Path("a"),
        len,
        np.array([{}, []], dtype=object),
        np.array(["text"]),
        np.array(["2024-01-01"], dtype="M8[D]"),
        np.zeros(2, dtype=[("x", "f4")]),
        np.zeros(2, dtype=complex),
        np.ma.masked_array([1.0], [True]),
        np.float32,
        {1, 2},
        complex(1, 2),
    ],
    ids=repr,
)
def test_everything_else_is_refused_with_the_opcode_and_its_place(protocol, value):
    message = refusal(pickle.dumps(value, protocol))
    assert "opcode " in message
    assert " at byte " in message


@pytest.mark.parametrize(
    ("data", "part"),
    [
        (b"cos\nsystem\n(S'true'\ntR.", "opcode GLOBAL at byte 0: refers to 'os.system'"),
        (b"\x80\x04\x8c\x02os\x8c\x06system\x93.", "opcode STACK_GLOBAL at byte 14: refers to 'os.system'"),
        (b"(S'true'\nios\nsystem\n.", "opcode INST"),
        (b"cnumpy\nndarray\n)\x81.", "opcode NEWOBJ"),
        (b"Pid\n.", "opcode PERSID"),
        (b"\x82\x01.", "opcode EXT1"),
        (b"\x80\x05\x97.", "opcode NEXT_BUFFER"),
        (b"cnumpy\nndarray\n.", "ends with a name"),
        (b"cnumpy\nndarray\n(tR.", "calls ndarray"),
        (b"cnumpy.core.multiarray\n_reconstruct\n(cnumpy\nndarray\ntR.", "never filled"),
        (b"cnumpy.core.multiarray\n_reconstruct\n(I1\ntR.", "unknown class"),
        (b"cnumpy\ndtype\n(S'O8'\ntR.", "type 'O8'"),
        (b"h\x00.", "asks for value 0"),
        (b"a.", "takes a value where there is none"),
        (b"(.", "takes a value where there is none"),
        (b"e.", "looks for a mark"),
        (b"I1\nI2\na.", "no list"),
        (b"I1\nI2\nI3\ns.", "no dictionary"),
        (b"(I1\nd.", "neither text nor number"),
        (b"I1\nI2\n.", "leaves values behind"),
        (b"I1\nb.", "looks at a value where there is none"),
        (b"]I1\nb.", "no new array"),
        (b"c_codecs\nencode\n(Va\nVutf-8\ntR.", "encodes text"),
        (b"cbuiltins\nbytes\n(I9\ntR.", "makes bytes"),
        (b"2.", "where there is none"),
        (b"0.", "where there is none"),
    ],
)
def test_each_way_out_is_shut(data, part):
    assert part in refusal(data)


def test_a_list_that_holds_itself_is_refused():
    endless: list[object] = []
    endless.append(endless)
    assert "nested more than 32 deep" in refusal(pickle.dumps(endless))


def test_what_is_shared_a_million_times_does_not_grow():
    value: object = [1.0] * 10
    for _ in range(25):  # 10 * 10 ** 25 numbers, were they copied
        value = [value] * 10
    back = parse(pickle.dumps(value))
    for _ in range(25):
        assert isinstance(back, list)
        assert all(item is back[0] for item in back)
        back = back[0]
    assert back == [1.0] * 10


@pytest.mark.parametrize("shape", [(3, 2), (2**40, 2**40), (-1, 4), (2.0, 2), [4]])
def test_an_array_of_another_shape_than_its_bytes_is_refused(shape):
    head = b"cnumpy.core.multiarray\n_reconstruct\n(cnumpy\nndarray\n(K\x00tC\x01btR(K\x01"
    kind = b"cnumpy\ndtype\n(C\x02f4K\x00K\x01tR(K\x03C\x01<NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb"
    body = pickle.dumps(shape, 2)[2:-1] + kind + b"\x89C\x10" + bytes(16) + b"tb."
    assert "shape" in refusal(head + body)


@pytest.mark.parametrize(
    "data",
    [
        b"\x00",
        b"not a pickle",
        b"\x80\x04",
        b"\x80\x04]",
        pickle.dumps(np.zeros(100))[:-50],
        b"\x8e" + struct.pack("<Q", 2**62) + b"x.",
        b"I" + b"9" * 10_000 + b"\n.",
        b"\x93.",
    ],
    ids=range(8),
)
def test_damaged_files_are_refused(data):
    refusal(data)


opcodes = st.lists(
    st.sampled_from([operation.code.encode("latin-1") for operation in pickletools.opcodes] + [b"\0", b"a\n", b"1\n"]),
    max_size=30,
).map(b"".join)


def is_data_or_refused(data: bytes) -> bool:
    """Say that parsing raised nothing but a refusal with a way out; anything else that it raises goes on."""
    try:
        parse(data)
    except DataError as error:
        return bool(error.hint)
    return True


@settings(max_examples=200, deadline=None)
@given(data=st.binary(max_size=200) | opcodes)
def test_any_bytes_give_data_or_a_refusal(data):
    assert is_data_or_refused(data + b".")


@settings(max_examples=150, deadline=None)
@given(position=st.integers(0, 10_000), byte=st.integers(0, 255))
def test_a_spoilt_pickle_of_an_array_gives_data_or_a_refusal(position, byte):
    data = bytearray(pickle.dumps({"a": np.arange(12, dtype=np.float32).reshape(3, 4), "b": [1, 2.5, None]}))
    data[position % len(data)] = byte
    assert is_data_or_refused(bytes(data))


def test_a_file_that_is_missing_or_empty_is_named(tmp_path):
    with pytest.raises(DataError, match=r"gone\.pkl: cannot be read"):
        read_pickle(tmp_path / "gone.pkl")
    (tmp_path / "empty.pkl").touch()
    with pytest.raises(DataError, match=r"empty\.pkl: the file is empty"):
        read_pickle(tmp_path / "empty.pkl")
    (tmp_path / "array.pkl").write_bytes(pickle.dumps([0.5]))
    assert read_pickle(tmp_path / "array.pkl") == [0.5]
