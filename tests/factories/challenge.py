"""Factories that write the challenges' data sets in miniature, as the organisers distribute them.

The tables are always written; media only where a callable makes them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from eri.config.tasks import EMI, ERI, MIMIC, PERCEPTION, Task
from eri.data.clips import Split

ABAW5_HEADER = ("File_ID", "Split", *ERI.labels, "Age", "Country")
ABAW5_SPLITS: dict[Split, str] = {"train": "Train", "val": "Val", "test": "Test"}
EMI_HEADER = ("Filename", *EMI.labels)
EMI_TABLES: dict[Split, str] = {"train": "train_split.csv", "val": "valid_split.csv", "test": "test_split.csv"}
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


@dataclass(frozen=True)
class MuseRelease:
    """How one MuSe sub-challenge is distributed.

    Attributes:
        folder: Its folder.
        partition: Where its partition table is, in that folder.
        features: The folder of its feature folders.
        id_cell: How its tables spell an id, a format of the id.
    """

    folder: str
    partition: str
    features: str
    id_cell: str


MUSE_RELEASES: dict[str, MuseRelease] = {
    ERI.name: MuseRelease("c2_muse_reaction", "partition.csv", "feats", "[{}]"),
    MIMIC.name: MuseRelease("c1_muse_mimic", "partition.csv", "features", '"""{}"""'),
    PERCEPTION.name: MuseRelease("c1_muse_perception", "metadata/partition.csv", "feature_segments", "{}"),
}


def make_entries(
    train: int = 4, val: int = 3, test: int = 3, *, seed: int = 0, shuffle: bool = True, task: Task = ERI
) -> list[Entry]:
    """Make rows with labels as the task's challenge has them, none for test.

    ERI's are multiples of 0.01 with a 1.0 in each row, EMI's are shares of ten annotators, the others multiples of
    0.01. Ids run from 0, without leading zeros for MuSe-Perception; the splits are mixed among them, as in the real
    data, unless ``shuffle`` is False.
    """
    generator = np.random.default_rng(seed)
    counts: dict[Split, int] = {"train": train, "val": val, "test": test}
    splits = [split for split, count in counts.items() for _ in range(count)]
    order = generator.permutation(len(splits)) if shuffle else np.arange(len(splits))
    entries = []
    for number, position in enumerate(order):
        split = splits[position]
        labels = None if split == "test" else make_labels(task, generator)
        entries.append(Entry(str(number) if task is PERCEPTION else f"{number:05d}", split, labels))
    return entries


def make_labels(task: Task, generator: np.random.Generator) -> tuple[float, ...]:
    """Make the labels of one clip."""
    if task is EMI:
        votes = generator.multinomial(10, [1 / 7] * 7)[:6]
        return tuple(float(value) for value in votes / 10)
    values = generator.integers(1, 100, len(task.labels)) / 100
    if task is ERI:
        values[generator.integers(len(ERI.labels))] = 1.0
    return tuple(float(value) for value in values)


def label_cells(entry: Entry, task: Task = ERI) -> list[str]:
    """Return the label cells of a row, empty where the clip has no labels."""
    return [""] * len(task.labels) if entry.labels is None else [f"{value:g}" for value in entry.labels]


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
    root: Path,
    entries: Sequence[Entry] | None = None,
    *,
    faces: Writer | None = None,
    folder: str | None = None,
    task: Task = ERI,
) -> Path:
    """Write ``labels.csv`` and ``partition.csv`` and, through the writer, ``<features>/Faces/<id>/``.

    Args:
        root: The folder to give to :func:`eri.data.adapters.registry.load_clips`.
        entries: The rows.
        faces: Fills the folder of face pictures of one clip; it may leave a clip out by doing nothing.
        folder: Inside the root; ``"."`` writes into the root itself, None is the release's own.
        task: Which sub-challenge: ERI, MIMIC or PERCEPTION.

    Returns:
        The folder that holds the tables.
    """
    release = MUSE_RELEASES[task.name]
    entries = make_entries(task=task) if entries is None else entries
    home = root / (release.folder if folder is None else folder)
    header = [str(task.id_column), *task.labels]
    ids = [release.id_cell.format(entry.id) for entry in entries]
    rows = [[cell, *label_cells(entry, task)] for cell, entry in zip(ids, entries, strict=True)]
    write_table(home / "labels.csv", [header, *rows])
    partition = [[cell, MUSE_SPLITS[entry.split]] for cell, entry in zip(ids, entries, strict=True)]
    write_table(home / release.partition, [[str(task.id_column), "partition"], *partition])
    for entry in entries if faces else ():
        _make(faces, home / release.features / "Faces" / entry.id, entry)
    return home


def write_emi(
    root: Path,
    entries: Sequence[Entry] | None = None,
    *,
    video: Writer | None = None,
    audio: Writer | None = None,
    faces: Writer | None = None,
    features: Mapping[str, Writer] | None = None,
    test_table: bool = False,
    padded: bool = True,
) -> Path:
    """Write the split tables and, through the writers, ``raw/``, ``audio/``, ``face_images/`` and feature folders.

    Args:
        root: The folder to write.
        entries: The rows; what belongs to a test clip is written into ``test_data/``.
        video: Makes ``raw/<id>.mp4``.
        audio: Makes ``audio/<id>.mp3``.
        faces: Fills ``face_images/<id>/``.
        features: Make ``<name>/<id>.pkl`` of each feature.
        test_table: Write ``test_split.csv`` too, with ids only.
        padded: Ids in the tables have their leading zeros.

    Returns:
        The root folder.
    """
    entries = make_entries(task=EMI) if entries is None else entries
    for split, name in EMI_TABLES.items():
        chosen = [entry for entry in entries if entry.split == split]
        rows = [[entry.id if padded else str(int(entry.id)), *label_cells(entry, EMI)] for entry in chosen]
        if split != "test":
            write_table(root / name, [EMI_HEADER, *rows])
        elif test_table:
            write_table(root / name, [EMI_HEADER[:1], *(row[:1] for row in rows)])
    named = {f"{name}/{{}}.pkl": writer for name, writer in (features or {}).items()}
    writers = {"raw/{}.mp4": video, "audio/{}.mp3": audio, "face_images/{}": faces, **named}
    for pattern, writer in writers.items():
        for entry in entries if writer else ():
            home = root / "test_data" if entry.split == "test" else root
            _make(writer, home / pattern.format(entry.id), entry)
    return root


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
