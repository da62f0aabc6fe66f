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
from eri.weights.download import cached_on_hub, check_digest, download, fetch_from_hub
from eri.weights.registry import WEIGHTS, WeightsEntry

_LOG = logging.getLogger(__name__)


@dataclass(frozen=True)
class WeightsStatus:
    """Whether one set of weights can be used right now, without a network."""

    entry: WeightsEntry
    path: Path | None  # where it was found
    problem: str | None = None  # why what was found cannot be used, such as a wrong checksum

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
    name: str | WeightsEntry, *, path: Path | None = None, offline: bool | None = None, option: str = "weights"
) -> Path:
    """Return the local file (or folder) of a set of weights, a registered one or an entry of one's own.

    Searched in this order: the user's ``path``, where one that bears the registered file name must bear the registered
    checksum too; ``$ERI_WEIGHTS`` or the user's cache of eri; the caches of torch hub and of the Hugging Face hub; a
    download, unless ``offline`` (None asks the environment). ``option`` is the setting that hints name. WeightsError
    where a name is unknown, a checksum differs or nothing is found; the last says where to put the file.
    """
    if isinstance(name, str) and name not in WEIGHTS:
        raise WeightsError(f"no weights are registered as '{name}'", hint=f"Known: {', '.join(WEIGHTS)}.")
    entry = WEIGHTS[name] if isinstance(name, str) else name
    if path is not None:
        return _checked_path(entry, path.expanduser(), option)
    found = next(_cached(entry), None)
    if found is not None:
        check_digest(*found, read=weights_digest)
        return found[0]
    reason = "no official direct download exists"
    if is_offline() if offline is None else offline:
        reason = "downloads are switched off (ERI_OFFLINE or HF_HUB_OFFLINE)"
    elif entry.url or entry.hub_id:
        try:
            return _fetch(entry)
        except WeightsError as error:
            reason = error.message
    repository = "/".join(part for part in ("huggingface.co", entry.hub_id, entry.hub_file) if part)
    source = entry.url or (repository if entry.hub_id else entry.origin)
    what, place = "the folder" if entry.is_folder else "the file", weights_folder() / entry.file_name
    raise WeightsError(
        f"the weights '{entry.name}' are not on this machine: {entry.file_name} is missing, and {reason}",
        hint=f"Get {what} from {source} and put it at {place}, or set '{option}' to its path.",
    )


def given_weights(weights: str, entry: str | WeightsEntry, *, option: str) -> Path:
    """Return the file of a setting ``option`` for weights: ``pretrained`` means an entry's, anything else is a path."""
    if weights == "pretrained":
        return locate_weights(entry, option=option)
    path = Path(weights).expanduser()
    if not path.is_file():
        raise WeightsError(
            f"{path}: no such file of weights",
            hint=f"Set '{option}' to 'pretrained', 'random', or the path of a .pth or .safetensors file.",
        )
    return path


def status() -> list[WeightsStatus]:
    """Look for every registered set of weights in the local caches, checking known checksums; nothing is fetched."""
    result = []
    for entry in WEIGHTS.values():
        path, sha256 = next(_cached(entry), (None, None))
        problem = None
        try:
            if path is not None:
                check_digest(path, sha256, read=weights_digest)
        except WeightsError as error:
            problem = error.message
        result.append(WeightsStatus(entry, path, problem))
    return result


def weights_digest(path: Path) -> str:
    """Return the SHA-256 of a file, or of a folder's model files and their names (64 hex digits).

    A file that has not changed its size and time is read only once in a process.
    """
    if path.is_dir():
        files = sorted(item for item in path.iterdir() if item.suffix in (".json", ".safetensors", ".bin"))
        return digest([[item.name, weights_digest(item)] for item in files])
    about = path.stat()
    return _digest_once(path.resolve(), about.st_size, about.st_mtime_ns)


@lru_cache(maxsize=256)
def _digest_once(path: Path, _size: int, _time: int) -> str:
    return sha256_file(path)


def _checked_path(entry: WeightsEntry, path: Path, option: str) -> Path:
    hint = f"Correct the setting '{option}'."
    if not path.exists():
        raise WeightsError(f"{path}: no such file of weights", hint=hint)
    if path.is_dir() != entry.is_folder:
        found, wanted = ("a folder", "a file") if path.is_dir() else ("a file", "a folder")
        raise WeightsError(f"{path}: is {found}, the weights '{entry.name}' are {wanted}", hint=hint)
    if path.name == entry.file_name and path.is_file():
        check_digest(path, entry.sha256, read=weights_digest)
    return path


def _cached(entry: WeightsEntry) -> Iterator[tuple[Path, str | None]]:
    """Yield every local copy with the checksum that it must have."""
    own = weights_folder() / entry.file_name
    cache = Path(os.environ.get("XDG_CACHE_HOME", "~/.cache")) / "torch"
    torch_hub = Path(os.environ.get("TORCH_HOME", cache)).expanduser() / "hub" / "checkpoints"
    if entry.is_folder:
        if (own / "config.json").is_file():
            yield own, None
    else:
        yield from ((path, entry.sha256) for path in (own, torch_hub / entry.file_name) if path.is_file())
    if entry.hub_id and (cached := cached_on_hub(entry.hub_id, entry.hub_file)):
        # The hub's copy is another file than the one whose checksum is registered.
        yield cached, entry.sha256 if cached.name == entry.file_name else None


def _fetch(entry: WeightsEntry) -> Path:
    # A warning, so that it is seen without any logging set up: whoever fetches weights should know their terms.
    _LOG.warning("fetching the weights '%s' (%s); licence: %s", entry.name, entry.origin, entry.licence)
    if entry.url:
        return download(entry.url, weights_folder() / entry.file_name, sha256=entry.sha256)
    return fetch_from_hub(entry.hub_id or "", entry.hub_file)
