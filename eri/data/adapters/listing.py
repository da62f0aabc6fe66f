"""Finding media files by listing folders once, rather than asking the file system about each of 50,000 paths."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from eri.utils.errors import DataError

VIDEO_SUFFIXES = (".mp4", ".mov", ".mkv", ".webm", ".avi", ".m4v", ".mpg", ".mpeg", ".ts", ".flv", ".3gp")
PICTURE_SUFFIXES = (".jpg", ".jpeg", ".png", ".bmp", ".webp")
AUDIO_SUFFIXES = (".wav", ".flac", ".mp3", ".ogg", ".opus", ".m4a", ".aac")


def find_child(folder: Path, name: str) -> Path:
    """Return the entry of a folder with this name, whatever its case; the plain path where there is none.

    An entry of exactly this case wins.
    """
    exact = folder / name
    if exact.exists():
        return exact
    matches = sorted(entry for entry, _ in _entries(folder) if entry.lower() == name.lower())
    return folder / matches[0] if matches else exact


def list_files(folder: Path, suffixes: Sequence[str]) -> dict[str, Path]:
    """Return the media files of a folder by their name without suffix.

    Args:
        folder: The folder; one that does not exist has no files.
        suffixes: What counts, in lower case; of two files that differ by suffix only, the first named here is taken.
    """
    rank = {suffix: position for position, suffix in enumerate(suffixes)}
    found: dict[str, tuple[int, Path]] = {}
    for name, is_folder in _entries(folder):
        stem, suffix = os.path.splitext(name)  # noqa: PTH122 — a Path for each of 50,000 names costs more than the listing
        position = rank.get(suffix.lower())
        if is_folder or position is None:
            continue
        if stem not in found or position < found[stem][0]:
            found[stem] = (position, folder / name)
    return {stem: path for stem, (_, path) in found.items()}


def list_folders(folder: Path) -> dict[str, Path]:
    """Return the folders inside a folder by name; one that does not exist has none."""
    return {name: folder / name for name, is_folder in _entries(folder) if is_folder}


def find_folder(source: Path, *chains: str) -> Path | None:
    """Return the first of some folders that is there, each written as ``inner/innermost`` and in any case.

    Args:
        source: Where they are looked for.
        chains: Paths relative to it; the empty text is the source itself.
    """
    for chain in chains:
        folder = source
        for name in filter(None, chain.split("/")):
            folder = find_child(folder, name)
        if folder.is_dir():
            return folder
    return None


def _entries(folder: Path) -> list[tuple[str, bool]]:
    try:
        with os.scandir(folder) as entries:
            return [(entry.name, entry.is_dir()) for entry in entries]
    except (FileNotFoundError, NotADirectoryError):
        return []
    except OSError as error:
        raise DataError(f"{folder}: cannot be listed: {error.strerror}") from error
