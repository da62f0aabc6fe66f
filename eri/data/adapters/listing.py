"""Finding media files by listing folders once, rather than asking the file system about each of 50,000 paths."""

from __future__ import annotations

import os
from collections.abc import Sequence
from functools import reduce
from pathlib import Path

from eri.storage import parse_url
from eri.utils.errors import DataError

VIDEO_SUFFIXES = (".mp4", ".mov", ".mkv", ".webm", ".avi", ".m4v", ".mpg", ".mpeg", ".ts", ".flv", ".3gp")
IMAGE_SUFFIXES = (".jpg", ".jpeg", ".png", ".bmp", ".webp")
AUDIO_SUFFIXES = (".wav", ".flac", ".mp3", ".ogg", ".opus", ".m4a", ".aac")


def at_hand(place: Path) -> Path:
    """Return where a file or folder is on this machine: of an object store, its tables are fetched to a mirror."""
    url = parse_url(place)
    if url is None:
        return place
    from eri.storage.mirror import mirror_data

    return mirror_data(url)


def find_child(folder: Path, name: str) -> Path:
    """Return the entry of a folder with this name, in exactly this case or another; the plain path without one."""
    exact = folder / name
    if exact.exists():
        return exact
    matches = sorted(entry for entry, _ in _entries(folder) if entry.lower() == name.lower())
    return folder / matches[0] if matches else exact


def list_files(folder: Path, suffixes: Sequence[str]) -> dict[str, Path]:
    """Return the media files of a folder, none where it does not exist, by their name without suffix.

    Of two files that differ by suffix only, the one whose (lower-case) suffix is given first is taken.
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
    """Return the first folder inside the source that is there, each written as ``inner/innermost`` and in any case."""
    folders = (reduce(find_child, chain.split("/"), source) for chain in chains)
    return next((folder for folder in folders if folder.is_dir()), None)


def _entries(folder: Path) -> list[tuple[str, bool]]:
    try:
        with os.scandir(folder) as entries:
            return [(entry.name, entry.is_dir()) for entry in entries]
    except (FileNotFoundError, NotADirectoryError):
        return []
    except OSError as error:
        raise DataError(f"{folder}: cannot be listed: {error.strerror}") from error
