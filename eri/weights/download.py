"""Fetching one file over HTTP: to a temporary name, with a progress bar, checked before it gets its real name."""

from __future__ import annotations

import http.client
import logging
import ssl
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO

from eri.utils.errors import WeightsError
from eri.utils.files import atomic_path, sha256_file

_LOG = logging.getLogger(__name__)
_BLOCK = 1 << 20
_TIMEOUT = 30.0
_NETWORK_ERRORS = (
    urllib.error.URLError,
    http.client.HTTPException,
    TimeoutError,
    ConnectionError,
    ssl.SSLError,
)


def download(url: str, target: Path, *, sha256: str | None = None, timeout: float = _TIMEOUT) -> Path:
    """Fetch a file.

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
    _LOG.info("downloading %s to %s", url, target)
    try:
        with atomic_path(target) as temporary:
            _fetch(url, temporary, timeout)
            check_digest(temporary, sha256, name=target.name)
    except _NETWORK_ERRORS as error:
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


def _fetch(url: str, target: Path, timeout: float) -> None:
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn

    console = Console(stderr=True)
    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TimeRemainingColumn())
    request = urllib.request.Request(url, headers={"User-Agent": "eri"})
    with (
        urllib.request.urlopen(request, timeout=timeout) as response,
        target.open("wb") as stream,
        Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as progress,
    ):
        length = response.headers.get("Content-Length")
        total = int(length) if length else None
        task = progress.add_task(f"Fetching {url.rsplit('/', 1)[-1]}", total=total)
        received = _copy(response, stream, lambda count: progress.update(task, advance=count))
    if total is not None and received != total:
        raise http.client.HTTPException(f"{received} of {total} bytes arrived")


def _copy(source: BinaryIO, target: BinaryIO, advance: Callable[[int], None]) -> int:
    received = 0
    while block := source.read(_BLOCK):
        target.write(block)
        received += len(block)
        advance(len(block))
    return received
