"""A download is whole and checked, or leaves nothing behind."""

from __future__ import annotations

import hashlib
import time

import pytest

from eri.utils.errors import WeightsError
from eri.weights.download import check_digest, download
from tests.factories.weights import send, serve

CONTENT = bytes(range(256)) * 9000
SHA256 = hashlib.sha256(CONTENT).hexdigest()


@pytest.mark.parametrize("sha256", [None, SHA256, SHA256[:8]])
def test_a_file_arrives_whole(tmp_path, sha256):
    with serve(lambda handler: send(handler, CONTENT)) as address:
        path = download(f"{address}/a.pth", tmp_path / "new" / "a.pth", sha256=sha256)
    assert path.read_bytes() == CONTENT
    assert [item.name for item in path.parent.iterdir()] == ["a.pth"]


def test_a_file_without_a_stated_length_arrives_whole(tmp_path):
    def respond(handler):
        handler.send_response(200)
        handler.end_headers()
        handler.wfile.write(CONTENT)

    with serve(respond) as address:
        assert download(f"{address}/a.pth", tmp_path / "a.pth", sha256=SHA256).read_bytes() == CONTENT


def test_another_checksum_is_tampering_and_leaves_nothing(tmp_path):
    with (
        serve(lambda handler: send(handler, CONTENT[:-1] + b"!")) as address,
        pytest.raises(WeightsError, match=r"a\.pth: tampered with or damaged: its SHA-256 is .* expected " + SHA256),
    ):
        download(f"{address}/a.pth", tmp_path / "a.pth", sha256=SHA256)
    assert list(tmp_path.iterdir()) == []


def test_a_connection_that_breaks_off_leaves_nothing(tmp_path):
    def respond(handler):
        send(handler, CONTENT, Content_Length=str(len(CONTENT) + 1))

    with serve(respond) as address, pytest.raises(WeightsError, match=rf"{len(CONTENT)} bytes read, 1 more expected"):
        download(f"{address}/a.pth", tmp_path / "a.pth")
    assert list(tmp_path.iterdir()) == []


def test_a_missing_file_names_the_address(tmp_path):
    with (
        serve(lambda handler: send(handler, b"", status=404)) as address,
        pytest.raises(WeightsError, match=r"127\.0\.0\.1:\d+/a\.pth: the download failed: .*404"),
    ):
        download(f"{address}/a.pth", tmp_path / "a.pth")


def test_a_server_that_says_nothing_is_given_up(tmp_path):
    with (
        serve(lambda handler: time.sleep(0.6)) as address,
        pytest.raises(WeightsError, match=r"the download failed: .*timed out"),
    ):
        download(f"{address}/a.pth", tmp_path / "a.pth", timeout=0.2)


def test_no_server_is_an_error(tmp_path):
    with serve(lambda handler: None) as address:
        pass
    with pytest.raises(WeightsError, match="the download failed"):
        download(f"{address}/a.pth", tmp_path / "a.pth")


def test_a_folder_that_cannot_be_written_says_how_to_move_it(tmp_path):
    (tmp_path / "file").write_text("not a folder")
    with (
        serve(lambda handler: send(handler, CONTENT)) as address,
        pytest.raises(WeightsError, match=r"cannot be written.*\n.*ERI_WEIGHTS"),
    ):
        download(f"{address}/a.pth", tmp_path / "file" / "a.pth")


def test_an_existing_file_survives_a_failed_download(tmp_path):
    (tmp_path / "a.pth").write_bytes(b"old")
    with serve(lambda handler: send(handler, b"new")) as address, pytest.raises(WeightsError, match="tampered"):
        download(f"{address}/a.pth", tmp_path / "a.pth", sha256=SHA256)
    assert (tmp_path / "a.pth").read_bytes() == b"old"


def test_a_checksum_may_be_known_already(tmp_path):
    check_digest(tmp_path / "never read", SHA256[:12], read=lambda path: SHA256)
    with pytest.raises(WeightsError, match="tampered"):
        check_digest(tmp_path / "never read", SHA256[:12], read=lambda path: "0" * 64)
