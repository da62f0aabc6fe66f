"""The Hugging Face hub: what lies in its local cache, and fetching from it with its errors in our words."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from eri.errors import WeightsError

_T = TypeVar("_T")
_DESCRIPTIONS = ("config.json", "preprocessor_config.json")
_SAFE = ("model.safetensors", "model.safetensors.index.json")
_PICKLED = ("pytorch_model.bin", "pytorch_model.bin.index.json")


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

    return Path(_in_our_words(repository, lambda: hf_hub_download(repository, file, cache_dir=hub_cache())))


def fetch_hub_folder(repository: str) -> Path:
    """Fetch what a transformers model needs into the hub's cache, safetensors rather than pickles.

    Raises:
        WeightsError: The hub cannot be reached, or has no such repository.
    """
    from huggingface_hub import HfApi, snapshot_download

    files = _in_our_words(repository, lambda: HfApi().list_repo_files(repository))
    kind = "*.safetensors*" if set(files) & set(_SAFE) else "pytorch_model*"
    patterns = [*_DESCRIPTIONS, kind]
    return Path(
        _in_our_words(repository, lambda: snapshot_download(repository, allow_patterns=patterns, cache_dir=hub_cache()))
    )


def _in_our_words(repository: str, call: Callable[[], _T]) -> _T:
    from huggingface_hub.errors import EntryNotFoundError, HfHubHTTPError, HFValidationError, XetDownloadError

    # The base of the client's network errors; which client it is changed between releases of the hub's library.
    network_error = next(base for base in HfHubHTTPError.__mro__[1:] if issubclass(base, Exception))
    try:
        return call()
    except (EntryNotFoundError, HFValidationError, XetDownloadError, OSError, network_error) as error:
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise WeightsError(f"huggingface.co/{repository}: the download failed: {reason}") from error
