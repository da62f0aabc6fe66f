"""Turning what an object store's client says into errors that name the URL and the way out."""

from __future__ import annotations

import errno
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from eri.errors import EriError, RemoteError
from eri.remote.location import ObjectUrl, endpoint_of

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
_NOT_BELIEVED = frozenset(
    {
        "ExpiredToken",
        "InvalidAccessKeyId",
        "InvalidToken",
        "RequestTimeTooSkewed",
        "SignatureDoesNotMatch",
        "TokenRefreshRequired",
    }
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
        raise remote_error(url, doing, error) from error


def remote_error(url: ObjectUrl, doing: str, error: BaseException) -> RemoteError:
    """Return the error that tells a user what went wrong with a URL, and what to do."""
    credentials = _CREDENTIALS.get(url.protocol, "Give credentials as the fsspec package of this protocol takes them.")
    code, said = _code(error), " ".join(str(error).split()) or type(error).__name__
    if type(error).__name__ in _NO_CREDENTIALS:
        return RemoteError(f"{url}: no credentials were found ({said})", reason="credentials", hint=credentials)
    if code in _NOT_BELIEVED:
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
