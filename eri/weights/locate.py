"""Finding weights: a given path, then the local caches, then a download; and what is where, for ``eri doctor``."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from platformdirs import user_cache_path

from eri.utils.errors import WeightsError
from eri.utils.files import digest, sha256_file
from eri.weights.download import (
    cached_hub_file,
    cached_hub_folder,
    check_digest,
    download,
    fetch_hub_file,
    fetch_hub_folder,
)
from eri.weights.registry import WEIGHTS, WeightsEntry

_LOG = logging.getLogger(__name__)


@dataclass(frozen=True)
class WeightsStatus:
    """Whether one set of weights can be used right now, without a network.

    Attributes:
        entry: What it is, with its licence and how far its checksum is pinned.
        path: Where it was found; None where it was not.
        size: Bytes of what was found, else of the entry where known.
        problem: Why what was found cannot be used, such as a wrong checksum.
    """

    entry: WeightsEntry
    path: Path | None
    size: int | None
    problem: str | None = None

    @property
    def ready(self) -> bool:
        """True where the weights are there and their checksum, if known, fits."""
        return self.path is not None and self.problem is None


def is_offline() -> bool:
    """Return whether downloads are forbidden, by ``ERI_OFFLINE=1`` or the hub's own ``HF_HUB_OFFLINE=1``."""
    words = {os.environ.get(name, "").strip().lower() for name in ("ERI_OFFLINE", "HF_HUB_OFFLINE")}
    return bool(words & {"1", "true", "yes", "on"})


def weights_folder() -> Path:
    """Return the folder that downloads go to: ``$ERI_WEIGHTS``, else ``weights`` in the user's cache of eri."""
    given = os.environ.get("ERI_WEIGHTS")
    return Path(given).expanduser() if given else user_cache_path("eri") / "weights"


def locate_weights(
    name: str | WeightsEntry,
    *,
    path: str | Path | None = None,
    offline: bool | None = None,
    option: str = "weights",
) -> Path:
    """Return the local file (or folder) of a set of weights, fetching it when need be.

    Searched in this order: ``path``; ``$ERI_WEIGHTS`` and the user's cache of eri; the caches of torch hub and of
    the Hugging Face hub; a download.

    Args:
        name: A name of the registry, or an entry of one's own.
        path: A file given by the user. It is used as it is, but one that bears the registered file name must
            also bear the registered checksum.
        offline: Forbid a download; None asks the environment (:func:`is_offline`).
        option: The setting that takes a path, named in the hint.

    Raises:
        WeightsError: An unknown name, a path that is not there, a checksum that differs, or weights that are
            nowhere and cannot be fetched. The last says where to put the file.
    """
    entry = _entry(name)
    if path is not None:
        return _given(entry, Path(path).expanduser(), option)
    found = next(_cached(entry), None)
    if found is not None:
        location, sha256 = found
        check_digest(location, sha256, digest=weights_digest(location) if sha256 else None)
        return location
    reason = "no official direct download exists"
    if is_offline() if offline is None else offline:
        reason = "downloads are switched off (ERI_OFFLINE or HF_HUB_OFFLINE)"
    elif entry.url or entry.hub_id:
        try:
            return _fetch(entry)
        except WeightsError as error:
            reason = error.message
    raise WeightsError(
        f"the weights '{entry.name}' are not on this machine: {entry.file_name} is missing, and {reason}",
        hint=_way_out(entry, option),
    )


def status() -> list[WeightsStatus]:
    """Look for every registered set of weights in the local caches, checking known checksums; nothing is fetched."""
    return [_status(entry) for entry in WEIGHTS.values()]


def weights_digest(path: Path) -> str:
    """Return the SHA-256 of a file, or of a folder's model files and their names (64 hex digits).

    A file that has not changed its size and time is read only once in a process.

    Raises:
        OSError: The file cannot be read.
    """
    if path.is_dir():
        files = sorted(item for item in path.iterdir() if item.suffix in (".json", ".safetensors", ".bin"))
        return digest([[item.name, weights_digest(item)] for item in files])
    about = path.stat()
    return _digest_once(path.resolve(), about.st_size, about.st_mtime_ns)


@lru_cache(maxsize=256)
def _digest_once(path: Path, _size: int, _time: int) -> str:
    return sha256_file(path)


def _entry(name: str | WeightsEntry) -> WeightsEntry:
    if isinstance(name, WeightsEntry):
        return name
    if name not in WEIGHTS:
        raise WeightsError(f"no weights are registered as '{name}'", hint=f"Known: {', '.join(WEIGHTS)}.")
    return WEIGHTS[name]


def _given(entry: WeightsEntry, path: Path, option: str) -> Path:
    if not path.exists():
        raise WeightsError(f"{path}: no such file of weights", hint=f"Correct the setting '{option}'.")
    if path.is_dir() != entry.is_folder:
        found, wanted = ("a folder", "a file") if path.is_dir() else ("a file", "a folder")
        raise WeightsError(
            f"{path}: is {found}, the weights '{entry.name}' are {wanted}", hint=f"Correct the setting '{option}'."
        )
    if path.name == entry.file_name and path.is_file():
        check_digest(path, entry.sha256, digest=weights_digest(path))
    return path


def _cached(entry: WeightsEntry) -> Iterator[tuple[Path, str | None]]:
    """Yield every local copy with the checksum that it must have."""
    if entry.is_folder:
        folders = [weights_folder() / entry.file_name]
        yield from ((folder, None) for folder in folders if (folder / "config.json").is_file())
        cached = cached_hub_folder(entry.hub_id or "")
        if cached is not None:
            yield cached, None
        return
    for folder in (weights_folder(), _torch_hub_folder()):
        if (folder / entry.file_name).is_file():
            yield folder / entry.file_name, entry.sha256
    if entry.hub_id and entry.hub_file:
        cached = cached_hub_file(entry.hub_id, entry.hub_file)
        if cached is not None:
            # The hub's copy is another file than the one whose checksum is registered.
            yield cached, entry.sha256 if cached.name == entry.file_name else None


def _torch_hub_folder() -> Path:
    cache = Path(os.environ.get("XDG_CACHE_HOME", "~/.cache")) / "torch"
    return Path(os.environ.get("TORCH_HOME", cache)).expanduser() / "hub" / "checkpoints"


def _fetch(entry: WeightsEntry) -> Path:
    # A warning, so that it is seen without any logging set up: whoever fetches weights should know their terms.
    _LOG.warning("fetching the weights '%s' (%s); licence: %s", entry.name, entry.origin, entry.licence)
    if entry.url:
        return download(entry.url, weights_folder() / entry.file_name, sha256=entry.sha256)
    if entry.is_folder:
        return fetch_hub_folder(entry.hub_id or "")
    return fetch_hub_file(entry.hub_id or "", entry.hub_file or "")


def _way_out(entry: WeightsEntry, option: str) -> str:
    repository = "/".join(part for part in ("huggingface.co", entry.hub_id, entry.hub_file) if part)
    source = entry.url or (repository if entry.hub_id else entry.origin)
    place = weights_folder() / entry.file_name
    what = "the folder" if entry.is_folder else "the file"
    return f"Get {what} from {source} and put it at {place}, or set '{option}' to its path."


def _status(entry: WeightsEntry) -> WeightsStatus:
    found = next(_cached(entry), None)
    if found is None:
        return WeightsStatus(entry, None, entry.size)
    path, sha256 = found
    files = [item for item in path.iterdir() if item.is_file()] if path.is_dir() else [path]
    size = sum(item.stat().st_size for item in files)
    try:
        check_digest(path, sha256, digest=weights_digest(path) if sha256 else None)
    except WeightsError as error:
        return WeightsStatus(entry, path, size, error.message)
    return WeightsStatus(entry, path, size)
