"""The index of a feature folder mends itself."""

from multiprocessing import get_context
from pathlib import Path

import pytest

from eri.features.index import Entry, FeatureIndex, FileStamp
from eri.features.sources import Source


def entry(clip_id: str, size: int = 1) -> Entry:
    source = Source(f"{clip_id}.mp4", size=5, mtime_ns=6, sha256="00" * 32)
    return Entry(clip_id, FileStamp(size, 2, 3), "ff" * 32, source, (4, 1, 0, 0, 0), 8)


def append_many(path: Path, prefix: str) -> None:
    for number in range(200):
        FeatureIndex(path).add(entry(f"{prefix}{number}"))


def test_the_last_word_on_a_clip_counts(tmp_path):
    index = FeatureIndex(tmp_path / "journal.jsonl")
    index.add(entry("a", 1))
    index.add(entry("b", 1))
    index.add(entry("a", 2))
    index.remove("b")
    assert index.load() == {"a": entry("a", 2)}
    assert index.load()["a"].rows == 5


def test_a_torn_line_costs_itself_only(tmp_path):
    path = tmp_path / "journal.jsonl"
    FeatureIndex(path).add(entry("a"))
    FeatureIndex(path).add(entry("b"))
    path.write_bytes(path.read_bytes()[:-7])
    FeatureIndex(path).add(entry("c"))
    assert set(FeatureIndex(path).load()) == {"a", "c"}


@pytest.mark.parametrize(
    "line", [b"\xff\xfe", b"[]", b"3", b'{"clip": ["a"], "file": [1, 2, 3]}', b'{"clip": "a", "file": 1}', b"{}"]
)
def test_foreign_lines_are_ignored(tmp_path, line):
    path = tmp_path / "journal.jsonl"
    FeatureIndex(path).add(entry("a"))
    with path.open("ab") as stream:
        stream.write(b"\n" + line)
    assert FeatureIndex(path).load() == {"a": entry("a")}


def test_processes_may_append_at_once(tmp_path):
    path = tmp_path / "journal.jsonl"
    context = get_context("fork")  # the others need no modules of their own
    processes = [context.Process(target=append_many, args=(path, prefix)) for prefix in "xy"]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    assert len(FeatureIndex(path).load()) == 400
