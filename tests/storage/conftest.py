from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.factories.objects import Bucket, GoogleServer, Server, enter_machine, start_google_server, start_server


@pytest.fixture(scope="session")
def server() -> Iterator[Server]:
    server = start_server()
    yield server
    server.moto.stop()


@pytest.fixture(scope="session")
def google_server() -> Iterator[GoogleServer]:
    server = start_google_server()
    yield server
    server.emulator.stop()


@pytest.fixture(params=["s3", "gs"])
def bucket(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Bucket:
    """A new bucket of either kind, seen from a machine with an empty cache."""
    server: Server | GoogleServer = request.getfixturevalue("server" if request.param == "s3" else "google_server")
    enter_machine(monkeypatch, server.endpoint, tmp_path / "cache")
    return server.bucket()


@pytest.fixture
def s3_bucket(server: Server, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Bucket:
    """A new bucket that speaks S3, seen from a machine with an empty cache."""
    enter_machine(monkeypatch, server.endpoint, tmp_path / "cache")
    return server.bucket()
