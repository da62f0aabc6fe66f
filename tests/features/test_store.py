"""Feature folders are found by identity and by config."""

import json
import logging
import os
import shutil
from concurrent.futures import ThreadPoolExecutor

import pytest

from eri.config import DeepSpectrumConfig, ImageConfig
from eri.features.store import (
    FeatureStore,
    choose_folder,
    find_folder,
    identity_of,
    list_features,
    remember_config,
)
from eri.features.verify import verify_features
from eri.utils.errors import StoreError
from eri.utils.files import digest, write_json
from tests.factories.version01 import FIXTURE


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
    remember_config(old, ImageConfig())
    remember_config(new, ImageConfig())
    with caplog.at_level(logging.WARNING):
        assert find_folder(tmp_path, ImageConfig()).path == new.path
    assert new.path.name in caplog.text
    remember_config(old, ImageConfig())
    assert find_folder(tmp_path, ImageConfig()).path == old.path


def test_the_latest_is_known_whatever_became_of_the_times_of_files(tmp_path):
    store = FeatureStore(tmp_path / "features")
    folders = [store.folder("resnet50", {"weights": weights}) for weights in ("a", "b", "c", "d")]
    for folder in (*folders, folders[1]):
        remember_config(folder, ImageConfig())
    # As a copy without times leaves them, or clocks that went back.
    for count, folder in enumerate(folders):
        for path in folder.path.glob("*.json"):
            os.utime(path, ns=(count, count))
    assert find_folder(tmp_path / "features", ImageConfig()).path == folders[1].path
    shutil.copytree(tmp_path / "features", tmp_path / "copy", copy_function=shutil.copyfile)
    assert find_folder(tmp_path / "copy", ImageConfig()).path.name == folders[1].path.name
    # A folder alone keeps its place among those that it is put beside.
    shutil.copytree(folders[1].path, tmp_path / "other" / folders[1].path.name)
    shutil.copytree(folders[2].path, tmp_path / "other" / folders[2].path.name)
    assert find_folder(tmp_path / "other", ImageConfig()).path.name == folders[1].path.name


def test_among_folders_of_0_1_the_times_of_their_configs_decide(tmp_path, caplog):
    store = FeatureStore(tmp_path)
    old, older = (store.folder("resnet50", {"weights": weights}) for weights in ("old", "older"))
    for folder, when in ((old, 2 * 10**18), (older, 10**18)):
        write_json(folder.path / "config.json", ImageConfig().model_dump(mode="json"))
        os.utime(folder.path / "config.json", ns=(when, when))
    with caplog.at_level(logging.WARNING):
        assert find_folder(tmp_path, ImageConfig()).path == old.path
    assert old.path.name in caplog.text
    remember_config(older, ImageConfig())
    assert find_folder(tmp_path, ImageConfig()).path == older.path
    new = store.folder("resnet50", {"weights": "new"})
    remember_config(new, ImageConfig())
    (older.path / "order.json").write_text("{")  # as a failing disk leaves it: no worse than none
    assert find_folder(tmp_path, ImageConfig()).path == new.path


def test_feature_folders_that_0_1_wrote_are_whole(tmp_path):
    features = tmp_path / "features"
    shutil.copytree(FIXTURE / "features", features, copy_function=shutil.copyfile)
    report = verify_features(features)
    assert (report.files, report.findings) == (135, ())
    assert set(list_features(features)["clips"]) == {27}
    folder = choose_folder(features, "mfcc")
    assert folder.read(min(folder.sizes())).embeddings.shape[1] == 8


def test_processes_that_use_one_config_at_once_agree_on_a_folder(tmp_path):
    store = FeatureStore(tmp_path)
    folders = [store.folder("resnet50", {"weights": number}) for number in range(4)]
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(remember_config, folders * 8, [ImageConfig()] * 32))
    latest = find_folder(tmp_path, ImageConfig()).path
    assert latest in [folder.path for folder in folders]
    remember_config(folders[0], ImageConfig())
    assert find_folder(tmp_path, ImageConfig()).path == folders[0].path
    assert not list(tmp_path.rglob("*.tmp"))


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
