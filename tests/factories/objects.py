"""Object stores on this machine: servers on the loopback speak S3 and Google's way; each test has its own buckets."""

from __future__ import annotations

import logging
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import pytest

CREDENTIALS = {"AWS_ACCESS_KEY_ID": "testing", "AWS_SECRET_ACCESS_KEY": "testing", "AWS_DEFAULT_REGION": "us-east-1"}

TRY_ONCE = {"config_kwargs": {"retries": {"total_max_attempts": 1, "mode": "standard"}}}
"""What fsspec's configuration says of S3 where nothing is to be tried again."""


@dataclass(frozen=True)
class Server:
    """The server.

    Attributes:
        endpoint: Its address.
        moto: The server itself.
    """

    endpoint: str
    moto: Any

    @cached_property
    def client(self) -> Any:
        """A client that is not eri's."""
        import s3fs

        options = {"endpoint_url": self.endpoint, "use_listings_cache": False, "skip_instance_cache": True}
        return s3fs.S3FileSystem(key="testing", secret="testing", **options)

    def bucket(self) -> Bucket:
        """Make a new bucket."""
        name = f"bucket-{secrets.token_hex(4)}"
        self.client.mkdir(name)
        return Bucket(name, self.client)

    @contextmanager
    def checking_credentials(self) -> Iterator[None]:
        """Have credentials checked for the time of a block: those of the tests belong to no one."""
        from moto import settings

        unchecked, settings.INITIAL_NO_AUTH_ACTION_COUNT = settings.INITIAL_NO_AUTH_ACTION_COUNT, 0.0
        try:
            yield
        finally:
            settings.INITIAL_NO_AUTH_ACTION_COUNT = unchecked


@dataclass(frozen=True)
class GoogleServer:
    """A server that speaks Google's way.

    Attributes:
        endpoint: Its address.
        emulator: The server itself.
    """

    endpoint: str
    emulator: Any

    @cached_property
    def client(self) -> Any:
        """A client that is not eri's."""
        gcsfs = pytest.importorskip("gcsfs.core")  # the plain client: the other asks for the bucket's kind by gRPC
        return gcsfs.GCSFileSystem(
            endpoint_url=self.endpoint, token="anon", use_listings_cache=False, skip_instance_cache=True
        )

    def bucket(self) -> Bucket:
        """Make a new bucket."""
        name = f"bucket-{secrets.token_hex(4)}"
        self.client.mkdir(name)
        return Bucket(name, self.client, "gs")


@dataclass(frozen=True)
class Bucket:
    """A bucket.

    Attributes:
        name: Its name.
        client: A client for looking at it.
        protocol: What its URL begins with.
    """

    name: str
    client: Any
    protocol: str = "s3"

    @property
    def url(self) -> str:
        """Its URL."""
        return f"{self.protocol}://{self.name}"

    def upload(self, folder: Path, prefix: str) -> str:
        """Copy a folder into the bucket and return the URL of the copy."""
        for path in sorted(folder.rglob("*")):
            if path.is_file():
                self.client.put_file(str(path), f"{self.name}/{prefix}/{path.relative_to(folder).as_posix()}")
        return f"{self.url}/{prefix}"

    def put(self, key: str, text: str) -> None:
        """Write an object."""
        self.client.pipe_file(f"{self.name}/{key}", text.encode())

    def read(self, key: str) -> bytes:
        """Read an object."""
        data: bytes = self.client.cat_file(f"{self.name}/{key}")
        return data

    def keys(self, prefix: str = "") -> list[str]:
        """Return all keys that begin with a prefix."""
        found = (name.removeprefix(f"{self.name}/") for name in self.client.find(self.name))
        return sorted(key for key in found if key.startswith(prefix))


def start_server() -> Server:
    """Start a server on a free port."""
    moto = pytest.importorskip("moto.server")
    logging.getLogger("werkzeug").setLevel(logging.ERROR)  # it tells of every request
    server = moto.ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    return Server(f"http://{host}:{port}", server)


def start_google_server() -> GoogleServer:
    """Start a server on a free port."""
    emulator = pytest.importorskip("gcp_storage_emulator.server")
    server = emulator.create_server("127.0.0.1", 0, in_memory=True)
    server.start()
    serving = server._api._httpd  # nothing public tells the port
    serving.handle_error = lambda *_: None  # it tells of every client that does not read an answer to its end
    return GoogleServer(f"http://127.0.0.1:{serving.server_address[1]}", server)


def enter_machine(monkeypatch: pytest.MonkeyPatch, endpoint: str, cache: Path) -> None:
    """Make this process a machine that has the server's address, credentials, and a cache folder of its own."""
    for name in [name for name in os.environ if name.startswith(("AWS_", "FSSPEC_", "STORAGE_", "GOOGLE_"))]:
        monkeypatch.delenv(name)
    settings = {**CREDENTIALS, "AWS_ENDPOINT_URL": endpoint, "AWS_EC2_METADATA_DISABLED": "true"}
    settings |= {"STORAGE_EMULATOR_HOST": endpoint, "NO_GCE_CHECK": "true"}  # credentials are looked for on no network
    for name, value in (settings | {"AWS_CONFIG_FILE": os.devnull, "AWS_SHARED_CREDENTIALS_FILE": os.devnull}).items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("ERI_CACHE", str(cache))
