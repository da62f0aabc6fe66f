"""Comparing what a disturbed extraction left with what an undisturbed one makes."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from safetensors.numpy import load_file

from eri.features.format import read_record
from eri.features.index import FeatureIndex, FileStamp

_SUFFIX = ".safetensors"


def feature_folders(path: Path) -> dict[str, Path]:
    """Return the feature folders of a store, or the folder itself where it is one, by name."""
    if (path / "identity.json").exists():
        return {path.name: path}
    return {found.parent.name: found.parent for found in sorted(path.glob("[!.]*/identity.json"))}


def assert_same_features(disturbed: Path, undisturbed: Path, clip_ids: Iterable[str] | None = None) -> None:
    """Fail unless two feature stores, or two feature folders, hold the same features.

    Every file of both must prove itself by its checksum and be of the clip and the extractor that its place says; both
    must have the same clips, and every array must be the other's byte for byte.

    Args:
        disturbed: Root of a store, or a feature folder.
        undisturbed: What it should hold.
        clip_ids: Clips that each feature folder must have, and no others; None takes those of ``undisturbed``.
    """
    ours, theirs = feature_folders(disturbed), feature_folders(undisturbed)
    assert ours, f"{disturbed}: no feature folder"
    assert set(ours) == set(theirs)
    wanted = None if clip_ids is None else set(clip_ids)
    for name, folder in ours.items():
        _assert_same_folder(folder, theirs[name], wanted)


def _assert_same_folder(folder: Path, expected: Path, wanted: set[str] | None) -> None:
    clips = {path.name.removesuffix(_SUFFIX) for path in expected.glob(f"*{_SUFFIX}")} if wanted is None else wanted
    for path in (folder, expected):
        found = {file.name.removesuffix(_SUFFIX) for file in path.glob(f"[!.]*{_SUFFIX}")}
        assert found == clips, f"{path}: lacks {sorted(clips - found)}, and has {sorted(found - clips)} beside"
    for clip_id in sorted(clips):
        file = f"{clip_id}{_SUFFIX}"
        for path in (folder / file, expected / file):
            record = read_record(path)  # raises where the checksum does not hold
            assert record.clip_id == clip_id, path
            assert path.parent.name.endswith(record.identity[:12]), path
        arrays, others = load_file(folder / file), load_file(expected / file)
        assert set(arrays) == set(others), clip_id
        for name, array in arrays.items():
            other = others[name]
            assert (array.dtype, array.shape) == (other.dtype, other.shape), (clip_id, name)
            assert array.tobytes() == other.tobytes(), f"clip {clip_id}: {name} differ"


def assert_nothing_left(path: Path) -> None:
    """Fail unless the feature folders of a store hold no temporary file, no lock, and an index of what is there."""
    for folder in feature_folders(path).values():
        assert [left.name for left in folder.glob(".*.tmp")] == []
        assert [lock.name for lock in (folder / ".claims").glob("[!.]*")] == []
        files = {file.name.removesuffix(_SUFFIX): file for file in folder.glob(f"[!.]*{_SUFFIX}")}
        entries = FeatureIndex(folder / "journal.jsonl").load()
        assert set(files) <= set(entries)
        for clip_id, file in files.items():
            assert entries[clip_id].file == FileStamp.of(file.stat()), f"{folder}: the index knows another {clip_id}"
