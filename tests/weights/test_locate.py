"""Weights are found in a fixed order, checked wherever a checksum is known, and missed with the way out."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys

import pytest

from eri.utils.errors import WeightsError
from eri.weights import WEIGHTS, WeightsEntry, is_offline, locate_weights, status, weights_digest, weights_folder
from tests.factories.weights import cache_on_hub, send, serve, use_caches

CONTENT = b"tiny weights"
SHA256 = hashlib.sha256(CONTENT).hexdigest()
HUB_CONTENT = b"the same weights as safetensors"


def entry(**changes) -> WeightsEntry:
    values = {
        "name": "tiny",
        "file_name": f"tiny-{SHA256[:8]}.pth",
        "origin": "made by the tests",
        "licence": "MIT",
        "url": "http://127.0.0.1:9/tiny.pth",
        "hub_id": "owner/tiny",
        "hub_file": "model.safetensors",
        "sha256": SHA256[:8],
    }
    return WeightsEntry(**(values | changes))


@pytest.fixture
def caches(tmp_path, monkeypatch):
    return use_caches(tmp_path / "caches", monkeypatch)


def test_a_given_path_comes_first(tmp_path, caches):
    (caches.eri / entry().file_name).write_bytes(CONTENT)
    (tmp_path / "mine.pth").write_bytes(b"mine")
    assert locate_weights(entry(), path=tmp_path / "mine.pth") == tmp_path / "mine.pth"


def test_a_given_path_under_the_registered_name_must_be_genuine(tmp_path, caches):
    path = tmp_path / entry().file_name
    path.write_bytes(b"something else")
    with pytest.raises(WeightsError, match="tampered"):
        locate_weights(entry(), path=path)
    path.write_bytes(CONTENT)
    assert locate_weights(entry(), path=path) == path


@pytest.mark.parametrize(("make", "found"), [(False, "no such file"), (True, "is a folder, .* are a file")])
def test_a_given_path_that_is_not_there_names_the_option(tmp_path, caches, make, found):
    path = tmp_path / "gone.pth"
    if make:
        path.mkdir()
    with pytest.raises(WeightsError, match=rf"gone\.pth: {found}[\s\S]*visual\.weights"):
        locate_weights(entry(), path=path, option="visual.weights")


def test_caches_are_looked_at_in_order(caches):
    cache_on_hub(caches, "owner/tiny", {"model.safetensors": HUB_CONTENT})
    assert locate_weights(entry(), offline=True).read_bytes() == HUB_CONTENT
    (caches.torch / entry().file_name).write_bytes(CONTENT)
    assert locate_weights(entry(), offline=True).parent == caches.torch
    (caches.eri / entry().file_name).write_bytes(CONTENT)
    assert locate_weights(entry(), offline=True).parent == caches.eri


def test_a_cached_file_that_was_altered_is_refused(caches):
    path = caches.torch / entry().file_name
    path.write_bytes(CONTENT)
    assert locate_weights(entry(), offline=True) == path
    os.utime(path, (1, 1))
    path.write_bytes(CONTENT + b"!")
    with pytest.raises(WeightsError, match="tampered with or damaged"):
        locate_weights(entry(), offline=True)


def test_what_is_nowhere_is_fetched_once_and_its_licence_shown(caches, caplog):
    asked = []

    def respond(handler):
        asked.append(handler.path)
        send(handler, CONTENT)

    with serve(respond) as address:
        wanted = entry(url=f"{address}/files/tiny.pth", hub_id=None, hub_file=None)
        first = locate_weights(wanted)
        assert locate_weights(wanted) == first
    assert first == caches.eri / wanted.file_name
    assert first.read_bytes() == CONTENT
    assert asked == ["/files/tiny.pth"]
    assert [record.getMessage().endswith(f"licence: {wanted.licence}") for record in caplog.records] == [True]


def test_a_fetched_file_with_another_checksum_says_so(caches):
    with (
        serve(lambda handler: send(handler, b"evil")) as address,
        pytest.raises(WeightsError, match=r"tampered with or damaged[\s\S]*put it at"),
    ):
        locate_weights(entry(url=f"{address}/tiny.pth"))
    assert list(caches.eri.iterdir()) == []


@pytest.mark.parametrize("name", sorted(WEIGHTS))
def test_offline_the_error_names_file_place_source_and_option(caches, monkeypatch, name):
    monkeypatch.setenv("ERI_OFFLINE", "1")
    with pytest.raises(WeightsError) as caught:
        locate_weights(name, option="some.option")
    known = WEIGHTS[name]
    assert known.file_name in caught.value.message
    hint = caught.value.hint or ""
    assert str(caches.eri / known.file_name) in hint
    assert "some.option" in hint
    assert (known.url or known.hub_id or known.origin) in hint


def test_weights_without_a_download_say_so(caches):
    with pytest.raises(WeightsError, match="no official direct download exists"):
        locate_weights("retinaface-mobilenet0.25", offline=False)


def test_a_hub_folder_is_found_in_both_places(caches):
    folder = entry(file_name="tiny", url=None, hub_file=None, sha256=None)
    with pytest.raises(WeightsError, match=r"Get the folder from huggingface\.co/owner/tiny"):
        locate_weights(folder, offline=True)
    snapshot = cache_on_hub(caches, "owner/tiny", {"config.json": b"{}", "model.safetensors": b"x"})
    assert locate_weights(folder, offline=True) == snapshot
    (caches.eri / "tiny").mkdir()
    (caches.eri / "tiny" / "config.json").write_text("{}")
    assert locate_weights(folder, offline=True) == caches.eri / "tiny"


def test_an_unknown_name_lists_the_known_ones(caches):
    with pytest.raises(WeightsError, match=r"no weights are registered as 'resnet'.*\n.*resnet50"):
        locate_weights("resnet")


@pytest.mark.parametrize(
    ("name", "value", "offline"),
    [("ERI_OFFLINE", "1", True), ("HF_HUB_OFFLINE", "True", True), ("ERI_OFFLINE", "0", False)],
)
def test_the_environment_forbids_downloads(caches, monkeypatch, name, value, offline):
    assert not is_offline()
    monkeypatch.setenv(name, value)
    assert is_offline() is offline


def test_downloads_go_to_the_user_cache_unless_told_otherwise(monkeypatch, tmp_path):
    monkeypatch.delenv("ERI_WEIGHTS", raising=False)
    assert weights_folder().parts[-2:] == ("eri", "weights")
    monkeypatch.setenv("ERI_WEIGHTS", str(tmp_path))
    assert weights_folder() == tmp_path


def test_status_tells_ready_missing_and_altered(caches):
    (caches.torch / WEIGHTS["resnet18"].file_name).write_bytes(b"not the real one")
    cache_on_hub(caches, "facebook/wav2vec2-base", {"config.json": b"{}", "model.safetensors": b"12345"})
    found = {item.entry.name: item for item in status()}
    assert set(found) == set(WEIGHTS)
    assert not found["resnet18"].ready
    assert "tampered" in (found["resnet18"].problem or "")
    assert found["wav2vec2-base"].ready
    assert found["resnet50"].path is None
    assert not found["resnet50"].ready


def test_a_digest_follows_the_bytes(tmp_path):
    path = tmp_path / "a.bin"
    path.write_bytes(CONTENT)
    assert weights_digest(path) == SHA256
    path.write_bytes(b"other weights")
    assert weights_digest(path) != SHA256


def test_a_folder_digest_covers_its_model_files_only(tmp_path):
    (tmp_path / "config.json").write_text("{}")
    (tmp_path / "model.safetensors").write_bytes(b"1")
    first = weights_digest(tmp_path)
    (tmp_path / "README.md").write_text("words")
    assert weights_digest(tmp_path) == first
    (tmp_path / "model.safetensors").write_bytes(b"22")
    assert weights_digest(tmp_path) != first


def test_finding_weights_imports_no_torch():
    code = "import sys, eri.weights; sys.exit('torch' in sys.modules or 'timm' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
