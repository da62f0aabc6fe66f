"""Which videos a command line names: files, folders and patterns."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path

from eri.media.images import list_images
from eri.utils.errors import DataError, NoVideoError

SUFFIXES = frozenset(
    f".{name}"
    for names in (
        "3gp asf avi flv gif m2ts m4v mkv mov mp4 mpeg mpg mts mxf ogv ts webm wmv",
        "aac aif aiff amr flac m4a mp3 ogg opus wav wma",
    )
    for name in names.split()
)
"""Endings of the files of a folder that are taken for media; a file that is named itself may end in anything."""

_PATTERN = frozenset("*?[")


def find_videos(named: Sequence[str | Path]) -> tuple[Path, ...]:
    """Return the videos that paths and patterns name, each once, in the order named.

    A folder stands for the media in it and in the folders under it, by name; a folder of numbered images without
    media is itself one video. What is named and is not there is returned too: reading it reports what is wrong.

    Args:
        named: Files, folders, or patterns such as ``clips/*.mp4`` and ``clips/**/*.mkv``.

    Raises:
        DataError: Nothing is named, a folder holds no media, or a pattern fits no file.

    Examples:
        >>> folder = getfixture("tmp_path")
        >>> for name in ("b.mp4", "a.mkv", "notes.txt"):
        ...     (folder / name).touch()
        >>> [path.name for path in find_videos([folder])]
        ['a.mkv', 'b.mp4']
        >>> [path.name for path in find_videos([f"{folder}/*.mp4", folder])]
        ['b.mp4', 'a.mkv']
    """
    if not named:
        raise DataError("no video is named", hint="Name files, folders, or a pattern such as 'clips/*.mp4'.")
    return tuple(dict.fromkeys(path for one in named for path in _expand(one)))


def _expand(named: str | Path) -> Iterator[Path]:
    path = Path(named)
    if path.is_dir():
        yield from _in_folder(path)
    elif _PATTERN.isdisjoint(str(named)) or path.exists():
        yield path
    else:
        found = sorted(Path(path.anchor).glob(str(path.relative_to(path.anchor))))
        if not found:
            raise DataError(f"{named}: no file fits this pattern")
        for one in found:
            yield from _in_folder(one, strict=False) if one.is_dir() else (one,)


def _in_folder(folder: Path, *, strict: bool = True) -> Iterator[Path]:
    media = [
        path
        for path in sorted(folder.rglob("*"))
        if path.suffix.lower() in SUFFIXES and not path.name.startswith(".") and path.is_file()
    ]
    if not media:
        with suppress(NoVideoError):  # a folder of numbered images is itself a video
            media = [folder] if list_images(folder).paths else []
    if not media and strict:
        raise DataError(f"{folder}: holds no video, no audio and no numbered images", hint="Name another folder.")
    yield from media
