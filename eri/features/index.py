"""The journal of a feature folder: which feature files have been verified, so that a resume opens none of them.

One JSON line a verified file, appended by single writes that processes may interleave. The journal is an index, not a
truth: an entry counts only while the file's size and times are those it states, and a lost, torn or foreign line costs
no more than verifying that file again.
"""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from eri.features.sources import Source
from eri.utils.files import canonical_json


@dataclass(frozen=True)
class FileStamp:
    """How a feature file looks from outside.

    Attributes:
        size: Bytes.
        mtime_ns: Time of the last change of the content in nanoseconds.
        ctime_ns: Time of the last change of any kind; unlike the one above it cannot be set back.
    """

    size: int
    mtime_ns: int
    ctime_ns: int

    @classmethod
    def of(cls, status: os.stat_result) -> FileStamp:
        """Return the stamp in what ``stat`` gave."""
        return cls(status.st_size, status.st_mtime_ns, status.st_ctime_ns)


@dataclass(frozen=True)
class Entry:
    """One verified feature file.

    Attributes:
        clip_id: The clip's id.
        file: How the file looked when it was verified.
        checksum: The checksum that it states and was found to have.
        source: What the features were made from.
        state_counts: Rows in each :class:`~eri.media.state.State`, in the order of its values.
        dimension: Length of one embedding.
    """

    clip_id: str
    file: FileStamp
    checksum: str
    source: Source
    state_counts: tuple[int, ...]
    dimension: int

    @property
    def rows(self) -> int:
        """Rows of the clip's time grid."""
        return sum(self.state_counts)


class Journal:
    """The journal file of one feature folder.

    Examples:
        >>> journal = Journal(getfixture("tmp_path") / "journal.jsonl")
        >>> source = Source("a.mp4", size=10, mtime_ns=1, sha256="00")
        >>> journal.append(Entry("a", FileStamp(5, 2, 3), "ff", source, (1, 0, 0, 0, 0), 8))
        >>> journal.load()["a"].file.size
        5
        >>> journal.discard("a")
        >>> journal.load()
        {}
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    def load(self) -> dict[str, Entry]:
        """Return the last entry of each clip; a missing journal is an empty one."""
        try:
            lines = self.path.read_bytes().split(b"\n")
        except OSError:
            return {}
        entries: dict[str, Entry] = {}
        for line in lines:
            _apply(line, entries)
        return entries

    def append(self, entry: Entry) -> None:
        """Add a verified file.

        Raises:
            OSError: The journal cannot be written.
        """
        append_line(self.path, encode_entry(entry))

    def discard(self, clip_id: str) -> None:
        """Take a clip's entry back: its file was found to be other than the entry says.

        Raises:
            OSError: The journal cannot be written.
        """
        append_line(self.path, {"clip": clip_id})


def append_line(path: Path, record: dict[str, Any]) -> None:
    """Add a line of JSON to a file in one write.

    Raises:
        OSError: The file cannot be written.
    """
    # The line break comes first, so that a line torn by a kill spoils itself only, not the next one.
    data = b"\n" + canonical_json(record).encode()
    descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o666)
    try:
        os.write(descriptor, data)
    finally:
        os.close(descriptor)


def encode_entry(entry: Entry) -> dict[str, Any]:
    """Return an entry as JSON values."""
    source = entry.source
    return {
        "clip": entry.clip_id,
        "file": [entry.file.size, entry.file.mtime_ns, entry.file.ctime_ns],
        "checksum": entry.checksum,
        "source": [source.name, source.size, source.mtime_ns, source.sha256],
        "states": list(entry.state_counts),
        "dimension": entry.dimension,
    }


def decode_entry(record: dict[str, Any]) -> Entry:
    """Return the entry in JSON values.

    Raises:
        ValueError, KeyError or TypeError: They are not one.
    """
    name, size, mtime_ns, sha256 = record["source"]
    return Entry(
        record["clip"],
        FileStamp(*record["file"]),
        record["checksum"],
        Source(name, size=size, mtime_ns=mtime_ns, sha256=sha256),
        tuple(record["states"]),
        record["dimension"],
    )


def _apply(line: bytes, entries: dict[str, Entry]) -> None:
    try:
        record = json.loads(line)
        clip_id = record["clip"]
        if "file" not in record:
            entries.pop(clip_id, None)
            return
        entries[clip_id] = decode_entry(record)
    except (ValueError, KeyError, TypeError):
        return
