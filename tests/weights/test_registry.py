"""Every registered set of weights says all that a user must know about it."""

from __future__ import annotations

import re

import pytest
import timm

from eri.weights import WEIGHTS
from tests.factories.weights import use_caches

NAMES = sorted(WEIGHTS)


def test_the_models_of_the_shipped_systems_are_registered():
    assert {
        "resnet50",
        "vgg16",
        "densenet121",
        "resnet18",
        "retinaface-resnet50",
        "retinaface-mobilenet0.25",
        "wav2vec2-base",
        "hubert-base",
        "wavlm-base-plus",
    } <= set(NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_an_entry_is_complete(name):
    entry = WEIGHTS[name]
    assert entry.name == name
    assert entry.file_name
    assert "/" not in entry.file_name
    assert len(entry.origin) > 10
    assert entry.licence
    assert entry.url or entry.hub_id or "no direct download" in entry.origin
    assert entry.sha256 is None or re.fullmatch(r"[0-9a-f]{8,64}", entry.sha256)
    assert (entry.mean is None) == (entry.std is None)
    if not entry.is_folder:
        assert entry.mean is not None
        assert len(entry.mean) == 3
    if entry.url:
        assert entry.url.endswith(entry.file_name)


@pytest.mark.parametrize("name", NAMES)
def test_a_checksum_begins_as_the_file_name_publishes(name):
    entry = WEIGHTS[name]
    published = re.search(r"-([0-9a-f]{8})\.pth$", entry.file_name)
    if entry.url and "download.pytorch.org" in entry.url:
        assert published
        assert entry.sha256
        assert entry.sha256.startswith(published.group(1))


@pytest.mark.parametrize("name", [name for name in NAMES if WEIGHTS[name].timm_name])
def test_a_backbone_is_normalised_as_timm_does(name):
    entry = WEIGHTS[name]
    cfg = timm.get_pretrained_cfg(entry.timm_name)
    assert (entry.mean, entry.std) == (cfg.mean, cfg.std)
    assert entry.hub_id == cfg.hf_hub_id


def test_the_registry_cannot_be_changed():
    with pytest.raises(TypeError):
        WEIGHTS["new"] = WEIGHTS["resnet50"]  # type: ignore[index]


def test_the_factory_hides_the_real_caches(tmp_path, monkeypatch):
    from eri.weights import status

    use_caches(tmp_path, monkeypatch)
    assert not any(item.ready for item in status())
