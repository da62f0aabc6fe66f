"""One feature file proves itself."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst

from eri.features.format import read_record, write_record
from eri.features.records import FeatureSequence
from eri.features.sources import Source
from eri.utils.errors import StoreError
from tests.factories.store import feature_sequence

SOURCE = Source("train/a.mp4", size=123, mtime_ns=456, sha256="ab" * 32)


def described(sequence: FeatureSequence, *notes: str) -> FeatureSequence:
    return replace(sequence, clip_id="a", identity="ff" * 32, source=SOURCE, notes=notes)


finite = st.floats(-1e6, 1e6, width=32)


@st.composite
def sequences(draw: st.DrawFn) -> FeatureSequence:
    rows, dimension = draw(st.integers(0, 9)), draw(st.integers(1, 7))
    embeddings = draw(npst.arrays(np.float32, (rows, dimension), elements=finite))
    times = np.sort(draw(npst.arrays(np.float64, rows, elements=st.floats(-10, 1e6))))
    states = draw(npst.arrays(np.uint8, rows, elements=st.integers(0, 4)))
    if draw(st.booleans()):
        embeddings = np.asfortranarray(embeddings)
    return FeatureSequence(embeddings, times, states)


@settings(max_examples=60, deadline=None)
@given(sequences(), st.lists(st.text(max_size=20), max_size=3))
def test_a_sequence_survives_its_file(tmp_path_factory, sequence, notes):
    path = tmp_path_factory.mktemp("format") / "a.safetensors"
    checksum = write_record(path, described(sequence, *notes))
    record = read_record(path)
    assert record.checksum == checksum
    assert (record.clip_id, record.identity, record.source, record.notes) == ("a", "ff" * 32, SOURCE, tuple(notes))
    for name in ("embeddings", "times", "states"):
        before, after = getattr(sequence, name), getattr(record, name)
        assert before.dtype == after.dtype
        np.testing.assert_array_equal(before, after)


@pytest.fixture(scope="module")
def whole_file(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    path = tmp_path_factory.mktemp("whole") / "a.safetensors"
    write_record(path, described(feature_sequence(), "a note"))
    return path.read_bytes()


@settings(max_examples=150, deadline=None)
@given(data=st.data())
def test_a_changed_byte_is_noticed_or_changes_nothing(tmp_path_factory, whole_file, data):
    position = data.draw(st.integers(0, len(whole_file) - 1))
    value = data.draw(st.integers(0, 255).filter(lambda value: value != whole_file[position]))
    path = tmp_path_factory.mktemp("flip") / "a.safetensors"
    path.write_bytes(whole_file[:position] + bytes([value]) + whole_file[position + 1 :])
    try:
        record = read_record(path)
    except StoreError:
        return
    # White space of the header is all that may differ unnoticed.
    assert position < whole_file.index(b"}}") + 20
    expected = feature_sequence()
    assert (record.clip_id, record.identity, record.source, record.notes) == ("a", "ff" * 32, SOURCE, ("a note",))
    assert isinstance(record, FeatureSequence)
    np.testing.assert_array_equal(record.embeddings, expected.embeddings)
    np.testing.assert_array_equal(record.times, expected.times)
    np.testing.assert_array_equal(record.states, expected.states)


@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_a_truncated_file_is_refused(tmp_path_factory, whole_file, data):
    path = tmp_path_factory.mktemp("cut") / "a.safetensors"
    path.write_bytes(whole_file[: data.draw(st.integers(0, len(whole_file) - 1))])
    with pytest.raises(StoreError, match=r"a\.safetensors"):
        read_record(path)


def test_a_missing_file_and_a_folder_are_refused(tmp_path):
    with pytest.raises(StoreError, match="no such feature file"):
        read_record(tmp_path / "a.safetensors")
    with pytest.raises(StoreError):
        read_record(tmp_path)


@pytest.mark.parametrize(
    "broken",
    [
        FeatureSequence(np.zeros((2, 3)), np.zeros(2), np.zeros(2, np.uint8)),  # type: ignore[arg-type]  # float64
        FeatureSequence(np.zeros((2, 3), np.float32), np.zeros(3), np.zeros(2, np.uint8)),
        FeatureSequence(np.full((2, 3), np.nan, np.float32), np.zeros(2), np.zeros(2, np.uint8)),
        FeatureSequence(np.zeros((2, 3), np.float32), np.array([1.0, 0.5]), np.zeros(2, np.uint8)),
    ],
    ids=["type", "rows", "not finite", "descending times"],
)
def test_arrays_that_are_no_feature_sequence_are_a_bug_with_the_clips_name(tmp_path, broken):
    path = tmp_path / "a.safetensors"
    with pytest.raises(ValueError, match="clip a"):
        write_record(path, described(broken))
    assert list(tmp_path.iterdir()) == []


def test_other_programs_can_read_the_file(tmp_path: Path):
    from safetensors.numpy import load_file

    path = tmp_path / "a.safetensors"
    write_record(path, described(feature_sequence()))
    np.testing.assert_array_equal(load_file(path)["embeddings"], feature_sequence().embeddings)
