"""Fetching weights: one file by its address, or what a model needs from the Hugging Face hub."""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from eri.utils.errors import WeightsError
from eri.utils.files import atomic_path, sha256_file

_T = TypeVar("_T")
_LOG = logging.getLogger(__name__)
_DESCRIPTIONS = ("config.json", "preprocessor_config.json")
_SAFE = ("model.safetensors", "model.safetensors.index.json")
_PICKLED = ("pytorch_model.bin", "pytorch_model.bin.index.json")


def download(url: str, target: Path, *, sha256: str | None = None, timeout: float = 30.0) -> Path:
    """Fetch a file by its address, with a progress bar on a terminal.

    Nothing stands at ``target`` unless the whole file arrived and its checksum fits.

    Args:
        url: Where from.
        target: Where to; its folder is made.
        sha256: The checksum or its first digits; None skips the check.
        timeout: Seconds without a byte before giving up.

    Raises:
        WeightsError: The server cannot be reached, the file arrives short or with another checksum, or the folder
            cannot be written.
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


def check_digest(path: Path, sha256: str | None, *, name: str | None = None, digest: str | None = None) -> None:
    """Refuse a file whose SHA-256 does not begin with ``sha256``.

    Args:
        path: The file.
        sha256: The expected checksum or its first digits; None accepts every file.
        name: What to call the file in the message.
        digest: The file's checksum where it is known already.

    Raises:
        WeightsError: They differ: the file was tampered with, or is truncated.
    """
    if sha256 is None:
        return
    found = digest or sha256_file(path)
    if not found.startswith(sha256):
        raise WeightsError(
            f"{name or path}: tampered with or damaged: its SHA-256 is {found[: len(sha256)]}, expected {sha256}",
            hint="Delete the file and fetch it again from its origin.",
        )


def hub_cache() -> Path:
    """Return the folder in which the hub's libraries keep what they fetched, as the environment now has it."""
    home = Path(os.environ.get("XDG_CACHE_HOME", "~/.cache")) / "huggingface"
    home = Path(os.environ.get("HF_HOME", home))
    return Path(os.environ.get("HF_HUB_CACHE", home / "hub")).expanduser()


def cached_hub_file(repository: str, file: str) -> Path | None:
    """Return a file of a hub repository from the local cache, or None.

    Args:
        repository: ``owner/name``.
        file: Its path in the repository.
    """
    from huggingface_hub import try_to_load_from_cache
    from huggingface_hub.errors import HFValidationError

    try:
        found = try_to_load_from_cache(repository, file, cache_dir=hub_cache())
    except HFValidationError:
        return None
    return Path(found) if isinstance(found, str) else None


def cached_hub_folder(repository: str) -> Path | None:
    """Return the local folder of a transformers model, or None when its config or its weights are not cached."""
    config = cached_hub_file(repository, _DESCRIPTIONS[0])
    weights = [cached_hub_file(repository, file) for file in (*_SAFE, *_PICKLED)]
    return config.parent if config is not None and any(weights) else None


def fetch_hub_file(repository: str, file: str) -> Path:
    """Fetch one file of a hub repository into the hub's cache.

    Raises:
        WeightsError: The hub cannot be reached, or has no such repository or file.
    """
    from huggingface_hub import hf_hub_download

    return Path(_explained(repository, lambda: hf_hub_download(repository, file, cache_dir=hub_cache())))


def fetch_hub_folder(repository: str) -> Path:
    """Fetch what a transformers model needs into the hub's cache, safetensors rather than pickles.

    Raises:
        WeightsError: The hub cannot be reached, or has no such repository.
    """
    from huggingface_hub import HfApi, snapshot_download

    files = _explained(repository, lambda: HfApi().list_repo_files(repository))
    kind = "*.safetensors*" if set(files) & set(_SAFE) else "pytorch_model*"
    patterns = [*_DESCRIPTIONS, kind]
    return Path(
        _explained(repository, lambda: snapshot_download(repository, allow_patterns=patterns, cache_dir=hub_cache()))
    )


def _explained(repository: str, call: Callable[[], _T]) -> _T:
    from huggingface_hub.errors import EntryNotFoundError, HfHubHTTPError, HFValidationError, XetDownloadError

    # The base of the client's network errors; which client it is changed between releases of the hub's library.
    network_error = next(base for base in HfHubHTTPError.__mro__[1:] if issubclass(base, Exception))
    try:
        return call()
    except (EntryNotFoundError, HFValidationError, XetDownloadError, OSError, network_error) as error:
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise WeightsError(f"huggingface.co/{repository}: the download failed: {reason}") from error
