"""The index of a feature folder: which feature files have been verified, so that a resume opens none of them.

One JSON line per verified file, appended by single writes that processes may interleave (``journal.jsonl``). The index
is no truth: an entry counts only while the file's size and times are those it states, and a lost, torn or foreign line
costs no more than verifying that file again.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from eri.features.sources import Source
from eri.utils.files import canonical_json


class FileStamp(NamedTuple):
    """What a feature file looks like from outside; the time of any change (ctime) cannot be set back."""

    size: int
    mtime_ns: int
    ctime_ns: int

    @classmethod
    def of(cls, status: os.stat_result) -> FileStamp:
        """Return the stamp in what ``stat`` gave."""
        return cls(status.st_size, status.st_mtime_ns, status.st_ctime_ns)


@dataclass(frozen=True)
class Entry:
    """One verified feature file."""

    clip_id: str
    file: FileStamp  # when it was verified
    checksum: str
    source: Source
    state_counts: tuple[int, ...]  # rows in each eri.media.state.State, in the order of its values
    dimension: int

    @property
    def rows(self) -> int:
        """Rows of the clip's time grid."""
        return sum(self.state_counts)


class FeatureIndex:
    """An index file.

    Examples:
        >>> index = FeatureIndex(getfixture("tmp_path") / "journal.jsonl")
        >>> source = Source("a.mp4", size=10, mtime_ns=1, sha256="00")
        >>> index.add(Entry("a", FileStamp(5, 2, 3), "ff", source, (1, 0, 0, 0, 0), 8))
        >>> index.load()["a"].file.size
        5
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    def load(self) -> dict[str, Entry]:
        """Return the last entry of each clip."""
        last = {clip_id: entry for clip_id, _, entry in self.lines()}
        return {clip_id: entry for clip_id, entry in last.items() if entry is not None}

    def lines(self) -> Iterator[tuple[str, str, Entry | None]]:
        """Yield clip, version and entry of all lines that can be read, the latest last; a missing index has none.

        The entry is None where the file was found to be another than an earlier line says. In the index of an object
        store the version is that of the object that holds the file; else it is empty.
        """
        try:
            lines = self.path.read_bytes().split(b"\n")
        except OSError:
            return
        for line in lines:
            try:
                values = json.loads(line)
                yield values["clip"], values.get("object", ""), _entry(values) if "file" in values else None
            except (ValueError, KeyError, TypeError, AttributeError):
                continue

    def add(self, entry: Entry, version: str = "") -> None:
        """Add a verified file; OSError where the index cannot be written."""
        source = entry.source
        values = {
            "clip": entry.clip_id,
            "file": list(entry.file),
            "checksum": entry.checksum,
            "source": [source.name, source.size, source.mtime_ns, source.sha256],
            "states": list(entry.state_counts),
            "dimension": entry.dimension,
        }
        self._append(values, version)

    def remove(self, clip_id: str, version: str = "") -> None:
        """Remove a clip's entry, as its file was found to be another; OSError where the index cannot be written."""
        self._append({"clip": clip_id}, version)

    def _append(self, values: dict[str, Any], version: str) -> None:
        # The line break comes first, so that a line torn by a kill spoils itself only, not the next one.
        data = b"\n" + canonical_json(values | ({"object": version} if version else {})).encode()
        descriptor = os.open(self.path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o666)
        try:
            os.write(descriptor, data)
        finally:
            os.close(descriptor)


def _entry(values: dict[str, Any]) -> Entry:
    name, size, mtime_ns, sha256 = values["source"]
    source = Source(name, size=size, mtime_ns=mtime_ns, sha256=sha256)
    stamp, counts = FileStamp(*values["file"]), tuple(values["states"])
    return Entry(values["clip"], stamp, values["checksum"], source, counts, values["dimension"])
