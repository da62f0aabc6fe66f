"""Fetching weights: one file by its address, or what a model needs from the Hugging Face hub."""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Callable
from pathlib import Path

from eri.utils.errors import WeightsError
from eri.utils.files import atomic_path, sha256_file

_LOG = logging.getLogger(__name__)
_DESCRIPTIONS = ("config.json", "preprocessor_config.json")
_SAFE = ("model.safetensors", "model.safetensors.index.json")
_PICKLED = ("pytorch_model.bin", "pytorch_model.bin.index.json")


def download(url: str, target: Path, *, sha256: str | None = None, timeout: float = 30.0) -> Path:
    """Fetch a file by its address, with a progress bar on a terminal; give up after ``timeout`` s without a byte.

    Nothing stands at ``target`` unless the whole file arrived and its checksum begins with ``sha256``, if given;
    WeightsError says why not.
    """
    from pooch import HTTPDownloader
    from requests import RequestException

    _LOG.info("downloading %s to %s", url, target)
    # As stored: a checksum is that of the file, not of what a server packs for the way.
    headers = {"User-Agent": "eri", "Accept-Encoding": "identity"}
    fetch = HTTPDownloader(progressbar=sys.stderr.isatty(), timeout=timeout, headers=headers)
    try:
        # Not pooch.retrieve: it compares whole checksums only, and some publishers state but the first digits.
        with atomic_path(target) as temporary:
            fetch(url, str(temporary), None)
            check_digest(temporary, sha256, name=target.name)
    except RequestException as error:
        raise WeightsError(f"{url}: the download failed: {error}") from error
    except OSError as error:
        raise WeightsError(
            f"{target.parent}: the folder for weights cannot be written: {error}",
            hint="Set ERI_WEIGHTS to a folder that can be written and has room.",
        ) from error
    return target


def check_digest(
    path: Path, expected: str | None, *, name: str | None = None, read: Callable[[Path], str] = sha256_file
) -> None:
    """Raise WeightsError where a file's SHA-256 does not begin with the expected digits; None accepts every file."""
    if expected and not (found := read(path)).startswith(expected):
        raise WeightsError(
            f"{name or path}: tampered with or damaged: its SHA-256 is {found[: len(expected)]}, expected {expected}",
            hint="Delete the file and fetch it again from its origin.",
        )


def hub_cache() -> Path:
    """Return the folder in which the hub's libraries keep what they fetched, as the environment now has it."""
    home = Path(os.environ.get("XDG_CACHE_HOME", "~/.cache")) / "huggingface"
    home = Path(os.environ.get("HF_HOME", home))
    return Path(os.environ.get("HF_HUB_CACHE", home / "hub")).expanduser()


def cached_on_hub(repository: str, file: str | None) -> Path | None:
    """Return what the hub's cache has of a repository (``owner/name``): a file, or the folder of a transformers model.

    None where it lacks the file, or the model's config or weights.
    """
    from huggingface_hub import try_to_load_from_cache
    from huggingface_hub.errors import HFValidationError

    if file is None:
        config = cached_on_hub(repository, _DESCRIPTIONS[0])
        complete = any(cached_on_hub(repository, weights) for weights in (*_SAFE, *_PICKLED))
        return config.parent if config is not None and complete else None
    try:
        found = try_to_load_from_cache(repository, file, cache_dir=hub_cache())
    except HFValidationError:
        return None
    return Path(found) if isinstance(found, str) else None


def fetch_from_hub(repository: str, file: str | None) -> Path:
    """Fetch a file into the hub's cache, or what a transformers model needs, safetensors rather than pickles."""
    from huggingface_hub import HfApi, hf_hub_download, snapshot_download
    from huggingface_hub.errors import EntryNotFoundError, HfHubHTTPError, HFValidationError, XetDownloadError

    # The base of the client's network errors; which client it is changed between releases of the hub's library.
    network_error = next(base for base in HfHubHTTPError.__mro__[1:] if issubclass(base, Exception))
    try:
        if file is not None:
            return Path(hf_hub_download(repository, file, cache_dir=hub_cache()))
        kind = "*.safetensors*" if set(HfApi().list_repo_files(repository)) & set(_SAFE) else "pytorch_model*"
        return Path(snapshot_download(repository, allow_patterns=[*_DESCRIPTIONS, kind], cache_dir=hub_cache()))
    except (EntryNotFoundError, HFValidationError, XetDownloadError, OSError, network_error) as error:
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise WeightsError(f"huggingface.co/{repository}: the download failed: {reason}") from error
