"""Listing, fetching, writing and deleting objects through fsspec, with a limit to every wait."""

from __future__ import annotations

import errno
import os
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from eri.storage.location import ObjectUrl, endpoint_of
from eri.utils.errors import EriError, MissingDependencyError, RemoteError
from eri.utils.files import atomic_path

# By name, because these packages are extras: what is not imported has not raised anything.
_CLIENT_ERRORS = {
    "botocore.exceptions": ("BotoCoreError", "ClientError"),
    "aiohttp": ("ClientError",),
    "google.auth.exceptions": ("GoogleAuthError",),
    "gcsfs.retry": ("HttpError",),
}
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
_EXTRAS = {"s3": "s3", "gs": "gcs"}  # that install each protocol's client

_CONNECT, _READ, _ATTEMPTS = 10, 30, 3  # seconds for a connection, and between two pieces of an answer; and attempts
_TRANSFER, _LISTING = 600.0, 900.0  # seconds that one object, and one listing, may take with all its attempts
_VERSIONS = ("ETag", "etag", "md5Hash", "generation", "content_md5", "mtime", "created")
_TIMES = ("LastModified", "last_modified", "updated", "mtime", "created")


@dataclass(frozen=True)
class ObjectStamp:
    """How an object looks from outside."""

    size: int
    mtime_ns: int  # when it was written, in whole seconds, as not every request tells more; 0 if unknown
    version: str  # changes whenever the object does: its ETag, where the store has one

    def fits(self, path: Path) -> bool:
        """Tell whether a file has the object's size and time."""
        try:
            status = path.stat()
        except (FileNotFoundError, NotADirectoryError):
            return False
        return (status.st_size, status.st_mtime_ns) == (self.size, self.mtime_ns)


class ObjectStore:
    """Everything under one URL.

    Its methods raise RemoteError where the store cannot be reached or refuses, and OSError where the disk of this
    machine does; its constructor too, and MissingDependencyError where the protocol's client is not installed.
    """

    def __init__(self, url: ObjectUrl) -> None:
        self.url = url
        self._files = _client(url)
        self._base = str(self._files._strip_protocol(str(url))).rstrip("/")

    def stamps(self, prefix: str = "") -> dict[str, ObjectStamp]:
        """Return all objects below the URL, or those whose name begins with a prefix, by their name relative to it."""
        # Without a prefix none is passed: not every client takes it.
        options = self._limit(_LISTING) | ({"prefix": prefix} if prefix else {})
        with _explained(self.url, "listed"):
            self._files.invalidate_cache()
            found = self._files.find(self._base, detail=True, **options)
        start = len(self._base) + 1
        return {
            name[start:]: _stamp(info)
            for name, info in found.items()
            if info.get("type") == "file" and name.startswith(f"{self._base}/{prefix}")
        }

    def folders(self) -> list[str]:
        """Return the names of the prefixes directly below the URL; none where nothing is there."""
        with _explained(self.url, "listed"):
            self._files.invalidate_cache()
            try:
                found = self._files.ls(self._base, detail=True, **self._limit(_LISTING))
            except FileNotFoundError:
                # An empty prefix looks like a bucket that is not there: ask for the latter.
                self._files.ls(self._base.partition("/")[0] or self._base, detail=False, **self._limit(_LISTING))
                return []
        names = (str(info["name"]).rstrip("/") for info in found if info.get("type") == "directory")
        return sorted(name.rpartition("/")[2] for name in names)

    def stamp(self, name: str) -> ObjectStamp | None:
        """Look at one object from outside; None where it is a prefix of others."""
        with _explained(self.url / name, "read"):
            info = self._files.info(f"{self._base}/{name}", **self._limit(_CONNECT + _READ * _ATTEMPTS))
        return _stamp(info) if info.get("type") == "file" else None

    def fetch(self, name: str, target: Path) -> None:
        """Copy an object into a file, whole or not at all."""
        with atomic_path(target) as temporary:
            self.download(name, temporary)

    def fetch_changed(self, name: str, target: Path, stamp: ObjectStamp) -> None:
        """Copy an object into a file that gets its time, unless that is there already."""
        if not stamp.fits(target):
            self.fetch(name, target)
            os.utime(target, ns=(stamp.mtime_ns, stamp.mtime_ns))

    def download(self, name: str, target: Path) -> None:
        """Copy an object into a file that is thrown away when this fails."""
        with _explained(self.url / name, "read"):
            self._files.get_file(f"{self._base}/{name}", str(target), **self._limit(_TRANSFER))

    def put(self, source: Path, name: str) -> ObjectStamp:
        """Copy a file into an object; an object store shows the new one when all of it is there."""
        url = self.url / name
        with _explained(url, "written"):
            self._files.put_file(str(source), f"{self._base}/{name}", **self._limit(_TRANSFER))
        stamp = self.stamp(name)
        if stamp is None or stamp.size != source.stat().st_size:
            raise RemoteError(f"{url}: is not what was sent", reason="changed", hint="Is someone else writing there?")
        return stamp

    def delete(self, name: str) -> None:
        """Remove an object, if it is there."""
        with _explained(self.url / name, "written"), suppress(FileNotFoundError):
            self._files.rm_file(f"{self._base}/{name}", **self._limit(_TRANSFER))

    def _limit(self, seconds: float) -> dict[str, Any]:
        # Clients that run in fsspec's event loop take a time limit for any call; others have their own.
        return {"timeout": seconds} if self._files.async_impl else {}


def _client(url: ObjectUrl) -> Any:
    """Return fsspec's client, with the settings that fsspec's own configuration leaves open."""
    import fsspec
    from fsspec.config import conf

    try:
        kind = fsspec.get_filesystem_class(url.protocol)
    except ImportError as error:
        extra = _EXTRAS.get(url.protocol)
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
    options: dict[str, Any] = {}
    if url.protocol == "s3":
        retries = {"total_max_attempts": _ATTEMPTS, "mode": "standard"}
        limits = {"connect_timeout": _CONNECT, "read_timeout": _READ, "retries": retries}
        options = {"config_kwargs": limits | configured.get("config_kwargs", {}), "use_listings_cache": False}
        endpoint = endpoint_of(url.protocol)
        if endpoint is not None and "endpoint_url" not in configured:
            # botocore reads it from the environment too, but fsspec would then share one client between endpoints.
            options["endpoint_url"] = endpoint
    elif url.protocol == "gs":
        options = {"requests_timeout": configured.get("requests_timeout", _READ), "use_listings_cache": False}
    with _explained(url, "read"):
        return fsspec.filesystem(url.protocol, **options)


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


@contextmanager
def _explained(url: ObjectUrl, doing: str) -> Iterator[None]:
    """Raise RemoteError in place of what the client raises; OSErrors that this machine's disk is to blame for pass."""
    try:
        yield
    except EriError:
        raise
    except _errors() as error:
        if isinstance(error, OSError) and error.errno in _OF_THIS_MACHINE:
            raise
        raise _remote_error(url, doing, error) from error


def _errors() -> tuple[type[Exception], ...]:
    found = (getattr(sys.modules.get(module), name, None) for module, names in _CLIENT_ERRORS.items() for name in names)
    return (OSError, *(kind for kind in found if isinstance(kind, type)))


def _remote_error(url: ObjectUrl, doing: str, error: BaseException) -> RemoteError:
    credentials = _CREDENTIALS.get(url.protocol, "Give credentials as the fsspec package of this protocol takes them.")
    said = " ".join(str(error).split()) or type(error).__name__
    # The store's own name for an error, which fsspec's translation keeps as the cause.
    responses = [getattr(link, "response", None) for link in (error, error.__cause__)]
    code = next((str(one.get("Error", {}).get("Code")) for one in responses if isinstance(one, dict)), None)
    if type(error).__name__ in _NO_CREDENTIALS:
        reason, what, hint = "credentials", f"no credentials were found ({said})", credentials
    elif code in _REFUSED_CREDENTIALS:
        reason, what, hint = "credentials", f"the credentials are not accepted ({code}: {said})", credentials
    elif isinstance(error, FileNotFoundError):
        reason, what, hint = "missing", f"not there ({said})", "Check the bucket's name and the key."
    elif isinstance(error, PermissionError):
        reason, what = "forbidden", f"may not be {doing} with these credentials ({said})"
        hint = f"Ask for the right to list, read and write there; or use other credentials: {credentials}"
    else:
        server = endpoint_of(url.protocol) or "the object store"
        reason = "unreachable"
        what = f"cannot be {doing}: {server} does not answer as it should ({type(error).__name__}: {said})"
        hint = (
            "Check the network and the endpoint (AWS_ENDPOINT_URL for S3); what was finished is kept, and the same "
            "command goes on from there."
        )
    return RemoteError(f"{url}: {what}", reason=reason, hint=hint)
