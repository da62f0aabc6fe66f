"""Which object in a store each feature file of a mirror is, and what is known of objects that are not here.

One JSON line a feature file that was written to the store, or read from it and verified: its journal entry, and the
object's size and version. Each machine keeps its own record and leaves it in the store beside the features, where the
others find what they need to know of its work without opening any of it. Like the journal, a record is an index, not a
truth: a line counts only for the very version that it names.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

from eri.features.index import Entry, append_line, decode_entry, encode_entry
from eri.storage.objects import ObjectStamp


@dataclass(frozen=True)
class Version:
    """One version of a feature file in the store.

    Attributes:
        clip_id: The clip's id.
        version: The object's, see :class:`~eri.storage.objects.ObjectStamp`.
        entry: What the file says; None where it was found to be damaged.
    """

    clip_id: str
    version: str
    entry: Entry | None


class Record:
    """The record of one machine.

    Examples:
        >>> record = Record(getfixture("tmp_path") / "record.jsonl")
        >>> record.damaged("a", ObjectStamp(10, 0, "c0ffee"))
        >>> record.load()
        [Version(clip_id='a', version='c0ffee', entry=None)]
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    def load(self) -> list[Version]:
        """Return all lines that can be read, the latest last; a missing record is an empty one."""
        try:
            lines = self.path.read_bytes().split(b"\n")
        except OSError:
            return []
        return [version for line in lines if (version := _parse(line)) is not None]

    def add(self, entry: Entry, stamp: ObjectStamp) -> None:
        """Note that an object holds a feature file.

        Raises:
            OSError: The record cannot be written.
        """
        self._append(encode_entry(entry), stamp)

    def damaged(self, clip_id: str, stamp: ObjectStamp) -> None:
        """Note that an object holds something else.

        Raises:
            OSError: The record cannot be written.
        """
        self._append({"clip": clip_id}, stamp)

    def _append(self, record: dict[str, object], stamp: ObjectStamp) -> None:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        append_line(self.path, {**record, "object": stamp.version})


def _parse(line: bytes) -> Version | None:
    try:
        record = json.loads(line)
        entry = decode_entry(record) if "file" in record else None
        return Version(record["clip"], record["object"], entry)
    except (ValueError, KeyError, TypeError):
        return None
