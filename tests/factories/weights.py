"""Caches of weights in folders of the test, and servers on the loopback that hand weights out."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

COMMIT = "c" * 40


@dataclass(frozen=True)
class Caches:
    """Empty folders that stand for a user's caches.

    Attributes:
        eri: What ``$ERI_WEIGHTS`` names.
        torch: The checkpoints folder of torch hub.
        hub: The cache of the Hugging Face hub.
    """

    eri: Path
    torch: Path
    hub: Path


def use_caches(root: Path, monkeypatch: pytest.MonkeyPatch) -> Caches:
    """Point every cache of weights into ``root`` and allow downloads."""
    caches = Caches(root / "eri", root / "torch" / "hub" / "checkpoints", root / "hub")
    for folder in (caches.eri, caches.torch, caches.hub):
        folder.mkdir(parents=True)
    monkeypatch.setenv("ERI_WEIGHTS", str(caches.eri))
    monkeypatch.setenv("TORCH_HOME", str(root / "torch"))
    monkeypatch.setenv("HF_HUB_CACHE", str(caches.hub))
    monkeypatch.delenv("ERI_OFFLINE", raising=False)
    monkeypatch.delenv("HF_HUB_OFFLINE", raising=False)
    return caches


def cache_on_hub(caches: Caches, repository: str, files: Mapping[str, bytes]) -> Path:
    """Lay files out as the hub's libraries do after a download; return the snapshot's folder."""
    home = caches.hub / f"models--{repository.replace('/', '--')}"
    (home / "refs").mkdir(parents=True)
    (home / "refs" / "main").write_text(COMMIT)
    snapshot = home / "snapshots" / COMMIT
    snapshot.mkdir(parents=True)
    for name, content in files.items():
        (snapshot / name).write_bytes(content)
    return snapshot


Respond = Callable[[BaseHTTPRequestHandler], None]


@contextmanager
def serve(respond: Respond) -> Iterator[str]:
    """Run a server on the loopback whose every GET and HEAD is answered by ``respond``; yield its address."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            respond(self)

        def do_HEAD(self) -> None:
            respond(self)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002
            """Keep the test's output clean."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def send(handler: BaseHTTPRequestHandler, content: bytes, *, status: int = 200, **headers: str) -> None:
    """Answer with bytes; keyword names become header names, underscores as hyphens."""
    handler.send_response(status)
    given = {name.replace("_", "-"): value for name, value in headers.items()}
    for name, value in {"Content-Length": str(len(content)), **given}.items():
        handler.send_header(name, value)
    handler.end_headers()
    if handler.command == "GET":
        handler.wfile.write(content)


def hub_of(repository: str, files: Mapping[str, bytes]) -> Respond:
    """Return answers of a hub that holds one model repository."""

    def respond(handler: BaseHTTPRequestHandler) -> None:
        path = handler.path.partition("?")[0]
        name = path.rsplit("/", 1)[-1]
        if path == f"/api/models/{repository}/tree/main" or path == f"/api/models/{repository}/tree/{COMMIT}":
            listing = [
                {"type": "file", "path": name, "size": len(content), "oid": "0" * 40} for name, content in files.items()
            ]
            send(handler, json.dumps(listing).encode(), Content_Type="application/json")
        elif path.startswith(f"/api/models/{repository}"):
            siblings = [{"rfilename": name} for name in files]
            about = {"id": repository, "sha": COMMIT, "siblings": siblings, "private": False, "tags": []}
            send(handler, json.dumps(about).encode(), Content_Type="application/json")
        elif path.startswith(f"/{repository}/resolve/") and name in files:
            send(handler, files[name], ETag=f'"{name}"', X_Repo_Commit=COMMIT)
        else:
            send(handler, b"{}", status=404, X_Error_Code="EntryNotFound")

    return respond


def use_hub(address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the hub's library talk to a server of the test, though the tests as a whole run without a hub."""
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", False)
    monkeypatch.setattr("huggingface_hub.constants.ENDPOINT", address)
    template = address + "/{repo_id}/resolve/{revision}/{filename}"
    monkeypatch.setattr("huggingface_hub.constants.HUGGINGFACE_CO_URL_TEMPLATE", template)
