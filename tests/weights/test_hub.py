"""The hub's cache is read where the environment puts it, and fetched files land there."""

from __future__ import annotations

import pytest

from eri.utils.errors import WeightsError
from eri.weights.download import cached_on_hub, fetch_from_hub, hub_cache
from tests.factories.weights import cache_on_hub, hub_of, serve, use_caches, use_hub


@pytest.fixture
def caches(tmp_path, monkeypatch):
    return use_caches(tmp_path, monkeypatch)


def test_the_cache_follows_the_environment(tmp_path, monkeypatch):
    for name in ("HF_HUB_CACHE", "HF_HOME", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    assert hub_cache().parts[-3:] == (".cache", "huggingface", "hub")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert hub_cache() == tmp_path / "huggingface" / "hub"
    monkeypatch.setenv("HF_HOME", str(tmp_path / "home"))
    assert hub_cache() == tmp_path / "home" / "hub"


def test_cached_files_are_found(caches):
    snapshot = cache_on_hub(caches, "owner/name", {"model.safetensors": b"tensors"})
    assert cached_on_hub("owner/name", "model.safetensors") == snapshot / "model.safetensors"
    assert cached_on_hub("owner/name", "other.bin") is None
    assert cached_on_hub("owner/other", "model.safetensors") is None
    assert cached_on_hub("no/such/name", "model.safetensors") is None


def test_a_cached_model_needs_config_and_weights(caches):
    assert cached_on_hub("owner/name", None) is None
    cache_on_hub(caches, "owner/half", {"config.json": b"{}"})
    assert cached_on_hub("owner/half", None) is None
    snapshot = cache_on_hub(caches, "owner/whole", {"config.json": b"{}", "pytorch_model.bin": b"x"})
    assert cached_on_hub("owner/whole", None) == snapshot


def test_one_file_is_fetched_into_the_cache(caches, monkeypatch):
    with serve(hub_of("owner/name", {"model.safetensors": b"tensors"})) as address:
        use_hub(address, monkeypatch)
        path = fetch_from_hub("owner/name", "model.safetensors")
    assert path.read_bytes() == b"tensors"
    assert cached_on_hub("owner/name", "model.safetensors") == path


@pytest.mark.parametrize("weights", ["model.safetensors", "pytorch_model.bin"])
def test_a_model_is_fetched_without_what_it_does_not_need(caches, monkeypatch, weights):
    files = {"config.json": b"{}", weights: b"tensors", "tf_model.h5": b"other", "README.md": b"text"}
    if weights == "model.safetensors":
        files["pytorch_model.bin"] = b"the same as a pickle"
    with serve(hub_of("owner/name", files)) as address:
        use_hub(address, monkeypatch)
        folder = fetch_from_hub("owner/name", None)
    assert {path.name for path in folder.iterdir()} == {"config.json", weights}


def test_what_the_hub_lacks_is_an_error_in_our_words(caches, monkeypatch):
    with serve(hub_of("owner/name", {})) as address:
        use_hub(address, monkeypatch)
        with pytest.raises(WeightsError, match=r"huggingface\.co/owner/name: the download failed"):
            fetch_from_hub("owner/name", "model.safetensors")


def test_a_name_that_cannot_be_is_an_error_in_our_words(caches):
    with pytest.raises(WeightsError, match="the download failed"):
        fetch_from_hub("no/such/name", "model.safetensors")
