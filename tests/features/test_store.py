"""Feature folders are found by identity and by config."""

import json
import logging
import os

import pytest

from eri.config import DeepSpectrumConfig, ImageConfig
from eri.features.store import FeatureStore, find_folder, identity_of, remember_config
from eri.utils.errors import StoreError
from eri.utils.files import digest


def test_an_identity_names_its_folder_whatever_the_order_of_its_keys(tmp_path):
    store = FeatureStore(tmp_path)
    one = store.folder("resnet50", {"model": "resnet50", "frames": 32})
    two = store.folder("resnet50", {"frames": 32, "model": "resnet50"})
    other = store.folder("resnet50", {"model": "resnet50", "frames": 16})
    assert one.path == two.path != other.path
    assert one.path.name == f"resnet50-{one.digest[:12]}"
    assert identity_of(one) == {"model": "resnet50", "frames": 32}


def test_names_that_cannot_be_folders_are_changed(tmp_path):
    folder = FeatureStore(tmp_path).folder("hf-hub:org/Model v1", {"a": 1})
    assert folder.path.parent == tmp_path
    assert folder.path.name.startswith("hf-hub-org-Model-v1-")


def test_a_tuple_in_an_identity_does_not_rewrite_it_each_time(tmp_path):
    store = FeatureStore(tmp_path)
    path = store.folder("a", {"mean": (0.5, 0.5)}).path / "identity.json"
    before = path.stat().st_ino
    store.folder("a", {"mean": (0.5, 0.5)})
    assert path.stat().st_ino == before


def test_a_config_finds_its_folder_without_the_model(tmp_path):
    store = FeatureStore(tmp_path)
    config = ImageConfig(frames=16)
    remember_config(store.folder("resnet50", {"frames": 16}), config)
    remember_config(store.folder("resnet50", {"frames": 32}), ImageConfig(frames=32))
    found = find_folder(tmp_path, config)
    assert found.digest == digest({"frames": 16})
    assert json.loads((found.path / "config.json").read_text())["frames"] == 16


def test_nothing_extracted_yet_says_what_to_run(tmp_path):
    remember_config(FeatureStore(tmp_path).folder("resnet50", {"frames": 16}), ImageConfig(frames=16))
    with pytest.raises(StoreError, match=r"(?s)no visual features.*eri extract"):
        find_folder(tmp_path, ImageConfig(frames=32))
    with pytest.raises(StoreError, match="no audio features"):
        find_folder(tmp_path / "absent", DeepSpectrumConfig())


def test_two_configs_may_lead_to_one_identity(tmp_path):
    folder = FeatureStore(tmp_path).folder("resnet50", {"weights": "abc"})
    configs = [ImageConfig(weights="pretrained"), ImageConfig(weights="/weights/resnet50.pth")]
    for config in (*configs, *configs):
        remember_config(folder, config)
    assert {find_folder(tmp_path, config).path for config in configs} == {folder.path}
    assert len(list(folder.path.glob("config*.json"))) == 2


def test_of_two_identities_for_one_config_the_latest_is_taken_and_said(tmp_path, caplog):
    store = FeatureStore(tmp_path)
    old, new = (store.folder("resnet50", {"weights": weights}) for weights in ("old", "new"))
    for folder, when in ((old, 1), (new, 2)):
        remember_config(folder, ImageConfig())
        os.utime(folder.path / "config.json", ns=(when, when))
    with caplog.at_level(logging.WARNING):
        assert find_folder(tmp_path, ImageConfig()).path == new.path
    assert new.path.name in caplog.text
    remember_config(old, ImageConfig())
    assert find_folder(tmp_path, ImageConfig()).path == old.path


def test_an_altered_identity_is_refused_and_mended_by_the_next_extraction(tmp_path):
    store = FeatureStore(tmp_path)
    folder = store.folder("resnet50", {"frames": 16})
    remember_config(folder, ImageConfig())
    (folder.path / "identity.json").write_text('{"frames": 17}')
    with pytest.raises(StoreError, match=r"identity\.json"):
        find_folder(tmp_path, ImageConfig())
    with pytest.raises(StoreError, match=r"identity\.json"):
        identity_of(folder)
    store.folder("resnet50", {"frames": 16})
    assert identity_of(find_folder(tmp_path, ImageConfig())) == {"frames": 16}
