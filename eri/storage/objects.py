"""Listing, fetching, writing and deleting objects through fsspec, with a limit to every wait."""

from __future__ import annotations

import errno
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from eri.storage.location import ObjectUrl, endpoint_of
from eri.utils.errors import EriError, MissingDependencyError, RemoteError
from eri.utils.files import atomic_path

# By name, because these packages are extras: what is not imported has not raised anything.
_CLIENT_ERRORS = (
    ("botocore.exceptions", "BotoCoreError"),
    ("botocore.exceptions", "ClientError"),
    ("aiohttp", "ClientError"),
    ("google.auth.exceptions", "GoogleAuthError"),
    ("gcsfs.retry", "HttpError"),
)
_NO_CREDENTIALS = frozenset(
    {"NoCredentialsError", "PartialCredentialsError", "CredentialRetrievalError", "DefaultCredentialsError"}
)
_REFUSED_CREDENTIALS = frozenset(
    {"ExpiredToken", "InvalidAccessKeyId", "InvalidToken", "RequestTimeTooSkewed"}
    | {"SignatureDoesNotMatch", "TokenRefreshRequired"}
)
_OF_THIS_MACHINE = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS, errno.EMFILE})
_CREDENTIALS = {
    "s3": "Set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or AWS_PROFILE, or run `aws configure`; for a public "
    "bucket set FSSPEC_S3_ANON=true.",
    "gs": "Run `gcloud auth application-default login`, or set GOOGLE_APPLICATION_CREDENTIALS.",
}


@contextmanager
def explained(url: ObjectUrl, doing: str) -> Iterator[None]:
    """Raise :class:`RemoteError` in place of what the client of an object store raises.

    Args:
        url: What the block is about.
        doing: What it does with it: ``read``, ``listed`` or ``written``.

    Raises:
        RemoteError: The store cannot be reached, or refuses.
        OSError: The disk of this machine is full or read-only.
    """
    try:
        yield
    except EriError:
        raise
    except _errors() as error:
        if isinstance(error, OSError) and error.errno in _OF_THIS_MACHINE:
            raise
        raise _remote_error(url, doing, error) from error


def _remote_error(url: ObjectUrl, doing: str, error: BaseException) -> RemoteError:
    credentials = _CREDENTIALS.get(url.protocol, "Give credentials as the fsspec package of this protocol takes them.")
    code, said = _code(error), " ".join(str(error).split()) or type(error).__name__
    if type(error).__name__ in _NO_CREDENTIALS:
        return RemoteError(f"{url}: no credentials were found ({said})", reason="credentials", hint=credentials)
    if code in _REFUSED_CREDENTIALS:
        return RemoteError(
            f"{url}: the credentials are not accepted ({code}: {said})", reason="credentials", hint=credentials
        )
    if isinstance(error, FileNotFoundError):
        return RemoteError(f"{url}: not there ({said})", reason="missing", hint="Check the bucket's name and the key.")
    if isinstance(error, PermissionError):
        return RemoteError(
            f"{url}: may not be {doing} with these credentials ({said})",
            reason="forbidden",
            hint=f"Ask for the right to list, read and write there; or use other credentials: {credentials}",
        )
    server = endpoint_of(url.protocol) or "the object store"
    return RemoteError(
        f"{url}: cannot be {doing}: {server} does not answer as it should ({type(error).__name__}: {said})",
        reason="unreachable",
        hint="Check the network and the endpoint (AWS_ENDPOINT_URL for S3); what was finished is kept, and the same "
        "command goes on from there.",
    )


def _code(error: BaseException) -> str | None:
    """Return the store's own name for an error, which fsspec's translation keeps as the cause."""
    for link in (error, error.__cause__):
        response = getattr(link, "response", None)
        if isinstance(response, dict):
            return str(response.get("Error", {}).get("Code"))
    return None


def _errors() -> tuple[type[Exception], ...]:
    found = (getattr(sys.modules.get(module), name, None) for module, name in _CLIENT_ERRORS)
    return (OSError, *(kind for kind in found if isinstance(kind, type)))


EXTRAS = {"s3": "s3", "gs": "gcs"}
"""The extra that installs each protocol's client."""

_CONNECT, _READ = 10, 30
"""Seconds until a connection stands, and between two pieces of an answer."""

_ATTEMPTS = 3
_TRANSFER, _LISTING = 600.0, 900.0
"""Seconds that one object, and one listing, may take with all its attempts."""

_VERSIONS = ("ETag", "etag", "md5Hash", "generation", "content_md5", "mtime", "created")
_TIMES = ("LastModified", "last_modified", "updated", "mtime", "created")


@dataclass(frozen=True)
class ObjectStamp:
    """How an object looks from outside.

    Attributes:
        size: Bytes.
        mtime_ns: When it was written, in nanoseconds: whole seconds, as not every request tells more; 0 if unknown.
        version: Changes whenever the object does: its ETag, where the store has one.
    """

    size: int
    mtime_ns: int
    version: str


class ObjectStore:
    """Everything under one URL.

    Args:
        url: The prefix.

    Raises:
        MissingDependencyError: The protocol's client is not installed.
        RemoteError: fsspec knows no such protocol.
    """

    def __init__(self, url: ObjectUrl) -> None:
        self.url = url
        self._files = _open(url)
        self._base = str(self._files._strip_protocol(str(url))).rstrip("/")

    def stamps(self, prefix: str = "") -> dict[str, ObjectStamp]:
        """Return all objects below the URL by their name relative to it; none where nothing is there.

        Args:
            prefix: Only those whose name begins with this.

        Raises:
            RemoteError: The store cannot be reached, there is no such bucket, or it may not be listed.
        """
        with explained(self.url, "listed"):
            self._files.invalidate_cache()
            found = self._files.find(self._base, detail=True, **self._limit(_LISTING), **_only(prefix))
        start = len(self._base) + 1
        return {
            name[start:]: _stamp(info)
            for name, info in found.items()
            if info.get("type") == "file" and name.startswith(f"{self._base}/") and name[start:].startswith(prefix)
        }

    def folders(self) -> list[str]:
        """Return the names of the prefixes directly below the URL; none where nothing is there."""
        with explained(self.url, "listed"):
            self._files.invalidate_cache()
            try:
                found = self._files.ls(self._base, detail=True, **self._limit(_LISTING))
            except FileNotFoundError:
                # An empty prefix looks like a bucket that is not there: ask for the latter.
                self._files.ls(self._base.partition("/")[0] or self._base, detail=False, **self._limit(_LISTING))
                return []
        names = (str(info["name"]).rstrip("/") for info in found if info.get("type") == "directory")
        return sorted(name.rpartition("/")[2] for name in names)

    def stamp(self, name: str = "") -> ObjectStamp | None:
        """Look at one object from outside; None where it is a prefix of others.

        Raises:
            RemoteError: It is not there, or may not be looked at.
        """
        with explained(self._url(name), "read"):
            info = self._files.info(self._path(name), **self._limit(_CONNECT + _READ * _ATTEMPTS))
        return _stamp(info) if info.get("type") == "file" else None

    def fetch(self, name: str, target: Path) -> None:
        """Copy an object into a file, whole or not at all.

        Raises:
            RemoteError: It cannot be read.
            OSError: The file cannot be written.
        """
        with atomic_path(target) as temporary:
            self.download(name, temporary)

    def download(self, name: str, target: Path) -> None:
        """Copy an object into a file that is thrown away when this fails.

        Raises:
            RemoteError: It cannot be read.
            OSError: The file cannot be written.
        """
        with explained(self._url(name), "read"):
            self._files.get_file(self._path(name), str(target), **self._limit(_TRANSFER))

    def put(self, source: Path, name: str) -> ObjectStamp:
        """Copy a file into an object; an object store shows the new one when all of it is there.

        Raises:
            RemoteError: It cannot be written, or is not what was sent.
        """
        with explained(self._url(name), "written"):
            self._files.put_file(str(source), self._path(name), **self._limit(_TRANSFER))
        stamp = self.stamp(name)
        if stamp is None or stamp.size != source.stat().st_size:
            raise RemoteError(
                f"{self._url(name)}: is not what was sent", reason="changed", hint="Is someone else writing there?"
            )
        return stamp

    def delete(self, name: str) -> None:
        """Remove an object, if it is there."""
        with explained(self._url(name), "written"):
            try:
                self._files.rm_file(self._path(name), **self._limit(_TRANSFER))
            except FileNotFoundError:
                return

    def _url(self, name: str) -> ObjectUrl:
        return self.url / name if name else self.url

    def _path(self, name: str) -> str:
        return f"{self._base}/{name}" if name else self._base

    def _limit(self, seconds: float) -> dict[str, float]:
        # Clients that run in fsspec's event loop take a time limit for any call; others have their own.
        return {"timeout": seconds} if self._files.async_impl else {}


def _open(url: ObjectUrl) -> Any:
    """Return fsspec's client; one of the same settings is shared by fsspec itself."""
    import fsspec
    from fsspec.config import conf

    try:
        kind = fsspec.get_filesystem_class(url.protocol)
    except ImportError as error:
        extra = EXTRAS.get(url.protocol)
        way_out = f"pip install 'eri[{extra}]'" if extra else str(error)
        raise MissingDependencyError(
            f"{url}: the client of {url.protocol}:// is not installed", hint=way_out
        ) from error
    except ValueError as error:
        raise RemoteError(
            f"{url}: no protocol is called '{url.protocol}'", reason="protocol", hint="Use s3:// or gs://."
        ) from error
    protocols = (kind.protocol,) if isinstance(kind.protocol, str) else kind.protocol
    configured = {key: value for protocol in protocols for key, value in conf.get(protocol, {}).items()}
    with explained(url, "read"):
        return fsspec.filesystem(url.protocol, **_options(url.protocol, configured))


def _options(protocol: str, configured: Mapping[str, Any]) -> dict[str, Any]:
    """Return the settings of a client that fsspec's own configuration leaves open."""
    endpoint = endpoint_of(protocol)
    if protocol == "s3":
        limits = {
            "connect_timeout": _CONNECT,
            "read_timeout": _READ,
            "retries": {"total_max_attempts": _ATTEMPTS, "mode": "standard"},
        }
        options: dict[str, Any] = {"config_kwargs": {**limits, **configured.get("config_kwargs", {})}}
        if endpoint is not None and "endpoint_url" not in configured:
            # botocore reads it from the environment too, but fsspec would then share one client between endpoints.
            options["endpoint_url"] = endpoint
        return options | {"use_listings_cache": False}
    if protocol == "gs":
        return {"requests_timeout": configured.get("requests_timeout", _READ), "use_listings_cache": False}
    return {}


def _only(prefix: str) -> dict[str, str]:
    # Without one it is not passed: not every client takes it.
    return {"prefix": prefix} if prefix else {}


def _stamp(info: Mapping[str, Any]) -> ObjectStamp:
    version = next((info[key] for key in _VERSIONS if info.get(key)), "")
    written = next((info[key] for key in _TIMES if info.get(key)), 0)
    return ObjectStamp(int(info["size"] or 0), _seconds(written) * 10**9, str(version).strip('"'))


def _seconds(value: Any) -> int:
    """Return a time of a listing in whole seconds since 1970; 0 where it is in no known form.

    Examples:
        >>> _seconds("1970-01-01T00:01:00.5Z"), _seconds(60.9), _seconds("yesterday")
        (60, 60, 0)
    """
    if isinstance(value, str):
        try:
            value = datetime.fromisoformat(value)
        except ValueError:
            return 0
    if isinstance(value, datetime):
        return int(value.timestamp())
    return int(value) if isinstance(value, int | float) else 0
