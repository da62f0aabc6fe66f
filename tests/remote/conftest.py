from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.factories.objects import Bucket, Server, enter_machine, start_server


@pytest.fixture(scope="session")
def server() -> Iterator[Server]:
    server = start_server()
    yield server
    server.moto.stop()


@pytest.fixture
def bucket(server: Server, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Bucket:
    """A new bucket, seen from a machine with an empty cache."""
    enter_machine(monkeypatch, server.endpoint, tmp_path / "cache")
    return server.bucket()
