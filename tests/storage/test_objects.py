"""What a user is told when an object store cannot be used."""

from __future__ import annotations

import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import fsspec
import pytest
import s3fs

from eri.cli.app import main
from eri.storage import parse_url
from eri.storage.objects import ObjectStore
from eri.utils.errors import EriError, MissingDependencyError, RemoteError
from tests.factories.disks import small_disk
from tests.factories.objects import CREDENTIALS, TRY_ONCE, Bucket, Server


def store(url: str) -> ObjectStore:
    parsed = parse_url(url)
    assert parsed is not None
    return ObjectStore(parsed)


@pytest.fixture
def refused() -> Iterator[str]:
    """An address where no one listens, nor can anyone begin to."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"


@pytest.fixture
def silent() -> Iterator[str]:
    """An address where someone listens and never answers."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"


def test_objects_are_listed_fetched_written_and_deleted(bucket: Bucket, tmp_path: Path) -> None:
    bucket.put("x/a.txt", "one")
    bucket.put("x/deep/b.txt", "two")
    bucket.put("xy/c.txt", "three")
    prefix = store(f"{bucket.url}/x")
    assert set(prefix.stamps()) == {"a.txt", "deep/b.txt"}
    assert set(prefix.stamps("deep")) == {"deep/b.txt"}
    assert prefix.folders() == ["deep"]
    assert prefix.stamps()["a.txt"] == prefix.stamp("a.txt")
    assert prefix.stamp("deep") is None
    prefix.fetch("a.txt", tmp_path / "new" / "a.txt")
    assert (tmp_path / "new" / "a.txt").read_text() == "one"
    assert prefix.put(tmp_path / "new" / "a.txt", "again.txt") == prefix.stamps()["again.txt"]
    prefix.delete("a.txt")
    prefix.delete("a.txt")
    assert set(prefix.stamps()) == {"again.txt", "deep/b.txt"}
    assert store(f"{bucket.url}/nothing").stamps() == {}
    assert store(f"{bucket.url}/nothing").folders() == []


def test_failed_fetch_leaves_nothing(bucket: Bucket, tmp_path: Path) -> None:
    with pytest.raises(RemoteError, match=rf"^{bucket.url}/x/a.txt: not there") as caught:
        store(f"{bucket.url}/x").fetch("a.txt", tmp_path / "a.txt")
    assert caught.value.reason == "missing"
    assert list(tmp_path.glob("*.txt*")) == []


@pytest.mark.parametrize("data", ["s3://no-such-bucket", "s3://no-such-bucket/data", "s3://no-such-bucket/x.yaml"])
def test_unknown_bucket(s3_bucket: Bucket, data: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        main(["probe", data])
    assert caught.value.code == 1
    assert "error: s3://no-such-bucket" in (said := capsys.readouterr().err)
    assert "not there" in said


@pytest.mark.slow
@pytest.mark.parametrize("arguments", [["probe"], ["features", "ls", "--features"]])
def test_credentials_that_no_one_knows(
    s3_bucket: Bucket, server: Server, arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    with server.checking_credentials(), pytest.raises(SystemExit):
        main([*arguments, f"{s3_bucket.url}/x"])
    said = capsys.readouterr().err
    assert said.startswith(f"error: {s3_bucket.url}/x: the credentials are not accepted (InvalidAccessKeyId")
    assert "AWS_ACCESS_KEY_ID" in said


def test_no_credentials(s3_bucket: Bucket, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in CREDENTIALS:
        monkeypatch.delenv(name)
    # fsspec keeps clients, with the credentials that they found.
    s3fs.S3FileSystem.clear_instance_cache()
    try:
        with pytest.raises(RemoteError, match="no credentials were found") as caught:
            store(f"{s3_bucket.url}/x").stamps()
    finally:
        s3fs.S3FileSystem.clear_instance_cache()
    assert caught.value.reason == "credentials"


def test_server_that_is_gone(s3_bucket: Bucket, refused: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", refused)
    monkeypatch.setitem(fsspec.config.conf, "s3", TRY_ONCE)
    with pytest.raises(
        RemoteError, match=rf"^{s3_bucket.url}/x: cannot be listed: {refused} does not answer"
    ) as caught:
        store(f"{s3_bucket.url}/x").stamps()
    assert caught.value.reason == "unreachable"


@pytest.mark.slow
def test_server_that_never_answers_is_given_up(silent: str, bucket: Bucket, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AWS_ENDPOINT_URL", "STORAGE_EMULATOR_HOST"):
        monkeypatch.setenv(name, silent)
    monkeypatch.setitem(fsspec.config.conf, "s3", {"config_kwargs": {**TRY_ONCE["config_kwargs"], "read_timeout": 1}})
    monkeypatch.setitem(fsspec.config.conf, "gs", {"requests_timeout": 1})
    begun = time.monotonic()
    with pytest.raises(RemoteError, match="does not answer") as caught:
        store(f"{bucket.url}/x").stamps()
    assert (caught.value.reason, time.monotonic() - begun < 60) == ("unreachable", True)


def test_full_disk_is_not_blamed_on_the_store(bucket: Bucket, tmp_path: Path) -> None:
    bucket.put("x/a.txt", "one" * 10_000)
    with small_disk(tmp_path / "full", 8), pytest.raises(OSError, match="No space left"):
        store(f"{bucket.url}/x").download("a.txt", tmp_path / "full" / "a.txt")


def test_missing_extra(s3_bucket: Bucket, monkeypatch: pytest.MonkeyPatch) -> None:
    def lacks(protocol: str) -> type:
        raise ImportError("Install s3fs to access S3")

    monkeypatch.setattr("fsspec.get_filesystem_class", lacks)
    with pytest.raises(MissingDependencyError, match=r"pip install 'eri\[s3\]'"):
        store(f"{s3_bucket.url}/x")


def test_unknown_protocol() -> None:
    with pytest.raises(EriError, match="no protocol is called 'nosuch'"):
        store("nosuch://bucket/x")


def test_other_stores_of_fsspec_work_too(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("one")
    memory = store("memory://bucket/x")
    memory.put(tmp_path / "a.txt", "deep/a.txt")
    assert set(memory.stamps()) == {"deep/a.txt"}
    assert memory.folders() == ["deep"]
    memory.fetch("deep/a.txt", tmp_path / "b.txt")
    assert (tmp_path / "b.txt").read_text() == "one"


@pytest.mark.slow
def test_nothing_of_fsspec_is_imported_for_folders() -> None:
    code = "import sys, eri.cli.app, eri.features.store; sys.exit(bool({'fsspec', 'botocore'} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
