"""URLs of object stores, and the folders of this machine that stand for them.

A mirror's path is its URL spelt as folders, so that either is found from the other and nothing has to be looked up:
``s3://bucket/data`` is ``<cache>/objects/data/s3/bucket/data``, where ``<cache>`` is ``$ERI_CACHE``, else the user's
cache folder of eri. Where an endpoint is set, it is part of the path: a bucket of the same name elsewhere is another.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath
from typing import Literal, Self

from platformdirs import user_cache_path

from eri.utils.errors import ConfigError

Content = Literal["data", "features"]  # mirrors of the two are kept apart: one may lie inside the other in the store

# Two letters at least: C:/data is a folder. One slash is enough: a Path drops the other.
_URL = re.compile(r"(?P<protocol>[a-z][a-z0-9+.-]+):/+(?P<key>[^/].*)", re.IGNORECASE | re.DOTALL)
_ENDPOINTS = {"s3": ("AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL"), "gs": ("STORAGE_EMULATOR_HOST",)}
_SAME = {"s3a": "s3", "gcs": "gs"}


@dataclass(frozen=True)
class ObjectUrl:
    """Where an object, or everything under a prefix, is; the key includes the bucket, without a slash at either end.

    Examples:
        >>> url = parse_url("s3://bucket/data/")
        >>> str(url), str(url / "train/a.mp4"), str(url.parent), url.name
        ('s3://bucket/data', 's3://bucket/data/train/a.mp4', 's3://bucket', 'data')
    """

    protocol: str
    key: str

    def __str__(self) -> str:
        return f"{self.protocol}://{self.key}"

    def __truediv__(self, name: str) -> Self:
        return replace(self, key=f"{self.key}/{name}")

    @property
    def name(self) -> str:
        """The last part of the key."""
        return PurePosixPath(self.key).name

    @property
    def parent(self) -> Self:
        """The prefix that it is in; a bucket's is itself."""
        return replace(self, key=self.key.rpartition("/")[0] or self.key)


def parse_url(place: str | Path) -> ObjectUrl | None:
    """Return the URL that a text or path spells; None where it names something on this machine.

    ConfigError for a way out of a prefix, which no mirror can follow.

    Examples:
        >>> parse_url(Path("s3://bucket/data"))
        ObjectUrl(protocol='s3', key='bucket/data')
        >>> parse_url("data/s3") is parse_url("C:/data") is None
        True
    """
    match = _URL.fullmatch(str(place))
    if match is None or match["protocol"].lower() == "file":
        return None
    protocol = match["protocol"].lower()
    if {".", ".."} & set(match["key"].split("/")):
        raise ConfigError(f"{place}: '.' and '..' mean nothing in an object store", hint="Give the URL itself.")
    return ObjectUrl(_SAME.get(protocol, protocol), re.sub("/+", "/", match["key"]).rstrip("/"))


def mirror_path(url: ObjectUrl, content: Content) -> Path:
    """Return the folder or file of this machine that stands for a URL; it need not be there."""
    endpoint = endpoint_of(url.protocol)
    place = url.protocol if endpoint is None else f"{url.protocol}@{re.sub(r'[^A-Za-z0-9.-]+', '-', endpoint)}"
    return _root(content) / place / url.key


def mirrored_url(path: Path, content: Content) -> ObjectUrl | None:
    """Return the URL that a path stands for; None where it stands for itself.

    Examples:
        >>> url = parse_url("s3://bucket/data/a.mp4")
        >>> mirrored_url(mirror_path(url, "data"), "data") == url, mirrored_url(Path("data/a.mp4"), "data")
        (True, None)
    """
    root = _root(content)
    if not path.is_relative_to(root):
        return None
    place, *parts = path.relative_to(root).parts or ("",)
    return ObjectUrl(place.partition("@")[0], "/".join(parts)) if parts else None


def standing_for(path: Path) -> Path | ObjectUrl:
    """Return what a path of a feature store stands for, to be shown: a URL where it is in a mirror, or itself."""
    return mirrored_url(path, "features") or path


def describe(place: str | Path) -> str:
    """Return how a place is written down for later: a URL, also for its mirror, or an absolute path."""
    path = Path(place)
    url = parse_url(place) or mirrored_url(path, "features") or mirrored_url(path, "data")
    return str(path.resolve()) if url is None else str(url)


def name_urls(text: str) -> str:
    """Put URLs in place of the paths that stand for them, in a message about mirrored data."""
    pattern = re.escape(f"{_root('data')}{os.sep}") + rf"(?P<protocol>[a-z0-9+.-]+)(?:@[^{re.escape(os.sep)}]*)?"
    return re.sub(pattern + re.escape(os.sep), r"\g<protocol>://", text)


def endpoint_of(protocol: str) -> str | None:
    """Return the server that the environment names for a protocol; None is the provider's own."""
    return next(filter(None, map(os.environ.get, _ENDPOINTS.get(protocol, ()))), None)


def _root(content: Content) -> Path:
    home = Path(os.environ.get("ERI_CACHE") or user_cache_path("eri"))
    return home.absolute() / "objects" / content
