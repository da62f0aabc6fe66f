"""Files are whole or not there: under errors, a full disk and SIGKILL."""

import hashlib
import json
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from eri.utils.files import atomic_path, canonical_json, digest, sha256_file, write_json, write_text

json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**53), 2**53)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)


@pytest.fixture
def target(tmp_path: Path) -> Path:
    path = tmp_path / "made" / "file.txt"
    write_text(path, "old")
    return path


def run_python(code: str, *arguments: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", code, *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)


def test_a_finished_block_replaces_the_file_and_leaves_nothing_else(target):
    with atomic_path(target) as temporary:
        assert temporary.parent == target.parent
        temporary.write_text("new")
        assert target.read_text() == "old"
    assert target.read_text() == "new"
    assert list(target.parent.iterdir()) == [target]


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt, SystemExit])
def test_a_block_that_raises_leaves_the_old_file_and_nothing_else(target, error):
    with pytest.raises(error), atomic_path(target) as temporary:  # noqa: PT012 — the block is what is tested
        temporary.write_text("half")
        raise error
    assert target.read_text() == "old"
    assert list(target.parent.iterdir()) == [target]


def test_a_block_that_writes_nothing_is_an_error_and_changes_nothing(target):
    with pytest.raises(FileNotFoundError), atomic_path(target):
        pass
    assert target.read_text() == "old"


def test_two_writers_do_not_meet(target):
    with atomic_path(target) as first, atomic_path(target) as second:
        assert first != second
        first.write_text("first")
        second.write_text("second")
    assert target.read_text() == "first", "the one that ends last wins, whole"
    assert list(target.parent.iterdir()) == [target]


def test_a_killed_writer_leaves_the_old_file(target):
    code = """
import os, signal, sys
from pathlib import Path
from eri.utils.files import atomic_path
with atomic_path(Path(sys.argv[1])) as temporary:
    temporary.write_text("half")
    os.kill(os.getpid(), signal.SIGKILL)
"""
    assert run_python(code, target).returncode == -signal.SIGKILL
    assert target.read_text() == "old"
    left = [path for path in target.parent.iterdir() if path != target]
    assert all(path.name.startswith(".file.txt.") and path.name.endswith(".tmp") for path in left)


def test_a_full_disk_leaves_the_old_file_and_nothing_else(target):
    code = """
import resource, sys
from pathlib import Path
from eri.utils.files import write_text
resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))
try:
    write_text(Path(sys.argv[1]), "x" * 100_000)
except OSError as error:
    sys.exit(error.errno)
"""
    assert run_python(code, target).returncode != 0
    assert target.read_text() == "old"
    assert list(target.parent.iterdir()) == [target]


def test_text_is_utf8_with_unix_line_ends(target):
    write_text(target, "é\n")
    assert target.read_bytes() == b"\xc3\xa9\n"


@pytest.mark.parametrize("value", [float("nan"), float("inf"), {1, 2}])
def test_what_is_no_json_is_refused_and_changes_nothing(target, value):
    with pytest.raises((ValueError, TypeError)):
        write_json(target, {"a": value})
    assert target.read_text() == "old"


@given(json_values)
def test_canonical_json_reads_back_and_is_the_same_for_every_key_order(value):
    assert json.loads(canonical_json(value)) == value
    if isinstance(value, dict):
        turned = dict(reversed(value.items()))
        assert canonical_json(turned) == canonical_json(value)
        assert digest(turned) == digest(value)


def test_digests_differ_where_values_do():
    values: list[object] = [None, 0, "0", [], {}, [0], {"a": 0}, {"a": 0.5}, {"b": 0}, [[]], True]
    assert len({digest(value) for value in values}) == len(values)


@pytest.mark.parametrize("size", [0, 1, 2**20, 2**20 + 1])
def test_checksums_are_those_of_the_bytes(tmp_path, size):
    data = bytes(range(256)) * (size // 256) + b"x" * (size % 256)
    (tmp_path / "f").write_bytes(data)
    assert sha256_file(tmp_path / "f") == hashlib.sha256(data).hexdigest()
