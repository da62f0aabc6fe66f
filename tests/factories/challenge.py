"""Factories that write the Hume-Reaction data set in miniature, in both layouts, as the organisers distribute it.

The tables are always written; media only where a callable makes them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from eri.data.clips import Split
from eri.tasks import ERI

ABAW5_HEADER = ("File_ID", "Split", *ERI.labels, "Age", "Country")
MUSE_HEADER = ("File_ID", *ERI.labels)
ABAW5_SPLITS: dict[Split, str] = {"train": "Train", "val": "Val", "test": "Test"}
MUSE_SPLITS: dict[Split, str] = {"train": "train", "val": "devel", "test": "test"}


@dataclass(frozen=True)
class Entry:
    """One row of the challenge's tables; ``labels`` of None are written as empty cells."""

    id: str
    split: Split
    labels: tuple[float, ...] | None
    age: float = 22.5
    country: str = "South Africa"


Writer = Callable[[Path, Entry], None]
"""Makes what belongs at a path for a clip: an ``.mp4``, a ``.wav``, or a folder of face pictures."""


def make_entries(train: int = 4, val: int = 3, test: int = 3, *, seed: int = 0, shuffle: bool = True) -> list[Entry]:
    """Make rows with labels as the challenge has them: multiples of 0.01 with a 1.0 in each row, none for test.

    Ids run from 0; the splits are mixed among them, as in the real data, unless ``shuffle`` is False.
    """
    generator = np.random.default_rng(seed)
    counts: dict[Split, int] = {"train": train, "val": val, "test": test}
    splits = [split for split, count in counts.items() for _ in range(count)]
    order = generator.permutation(len(splits)) if shuffle else np.arange(len(splits))
    entries = []
    for number, position in enumerate(order):
        split = splits[position]
        values = generator.integers(1, 100, len(ERI.labels)) / 100
        values[generator.integers(len(ERI.labels))] = 1.0
        labels = None if split == "test" else tuple(float(value) for value in values)
        entries.append(Entry(f"{number:05d}", split, labels))
    return entries


def label_cells(entry: Entry) -> list[str]:
    """Return the label cells of a row, empty where the clip has no labels."""
    return [""] * len(ERI.labels) if entry.labels is None else [f"{value:g}" for value in entry.labels]


def abaw5_cells(entry: Entry) -> list[str]:
    """Return the cells of a row of ``data_info.csv``."""
    return [f"[{entry.id}]", ABAW5_SPLITS[entry.split], *label_cells(entry), str(entry.age), entry.country]


def write_table(path: Path, rows: Sequence[Sequence[str]], *, newline: str = "\n") -> Path:
    """Write rows of plain cells as CSV."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes("".join(",".join(row) + newline for row in rows).encode())
    return path


def write_abaw5(
    root: Path, entries: Sequence[Entry] | None = None, *, video: Writer | None = None, audio: Writer | None = None
) -> Path:
    """Write ``data_info.csv`` and, through the writers, ``<split>/mp4/<id>.mp4`` and ``<split>/wav/<id>.wav``.

    Returns:
        The root folder.
    """
    entries = make_entries() if entries is None else entries
    write_table(root / "data_info.csv", [ABAW5_HEADER, *map(abaw5_cells, entries)])
    for writer, folder, suffix in ((video, "mp4", ".mp4"), (audio, "wav", ".wav")):
        for entry in entries if writer else ():
            _make(writer, root / entry.split / folder / f"{entry.id}{suffix}", entry)
    return root


def write_muse(
    root: Path, entries: Sequence[Entry] | None = None, *, faces: Writer | None = None, folder: str = "c2_muse_reaction"
) -> Path:
    """Write ``labels.csv`` and ``partition.csv`` and, through the writer, ``feats/Faces/<id>/``.

    Args:
        root: The folder to give to :func:`eri.data.load_clips`.
        entries: The rows.
        faces: Fills the folder of face pictures of one clip; it may leave a clip out by doing nothing.
        folder: Inside the root; ``"."`` writes into the root itself.

    Returns:
        The folder that holds the tables.
    """
    entries = make_entries() if entries is None else entries
    home = root / folder
    write_table(home / "labels.csv", [MUSE_HEADER, *([f"[{entry.id}]", *label_cells(entry)] for entry in entries)])
    partition = [[f"[{entry.id}]", MUSE_SPLITS[entry.split]] for entry in entries]
    write_table(home / "partition.csv", [["File_ID", "partition"], *partition])
    for entry in entries if faces else ():
        _make(faces, home / "feats" / "Faces" / entry.id, entry)
    return home


def touch(path: Path, entry: Entry) -> None:
    """A writer for tests that look at paths only: an empty file, or a folder with one empty picture."""
    if path.suffix:
        path.touch()
    else:
        path.mkdir()
        (path / "1.jpg").touch()


def _make(writer: Writer | None, path: Path, entry: Entry) -> None:
    assert writer is not None
    path.parent.mkdir(parents=True, exist_ok=True)
    writer(path, entry)
