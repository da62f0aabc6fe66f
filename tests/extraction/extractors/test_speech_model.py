"""Speech models load from every place they may lie in, whole or not at all, without a network."""

from __future__ import annotations

import json

import pytest
import torch

from eri.extraction.extractors.wav2vec2 import load_speech_model, locate_speech_model
from eri.utils.errors import ConfigError, WeightsError
from tests.factories.speech import speech_model, write_speech_model
from tests.factories.weights import cache_on_hub, hub_of, serve, use_caches, use_hub


@pytest.fixture
def caches(tmp_path, monkeypatch):
    return use_caches(tmp_path / "caches", monkeypatch)


def same_weights(loaded, family: str = "wav2vec2") -> bool:
    wanted = speech_model(family).state_dict()
    found = loaded.model.state_dict()
    return set(wanted) == set(found) and all(torch.equal(wanted[key], found[key]) for key in wanted)


def files_of(folder) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


@pytest.mark.parametrize("safe", [True, False])
def test_a_local_folder(tmp_path, caches, safe):
    folder = write_speech_model(tmp_path / "model", safe=safe)
    assert locate_speech_model(str(folder)) == folder
    loaded = load_speech_model(folder)
    assert same_weights(loaded)
    assert (loaded.dimension, loaded.layers, loaded.field, loaded.stride) == (32, 4, 400, 320)
    assert loaded.normalize
    assert not loaded.model.training


@pytest.mark.parametrize(
    ("name", "repository"),
    [
        ("facebook/wav2vec2-base", "facebook/wav2vec2-base"),
        ("wav2vec2-base", "facebook/wav2vec2-base"),
        ("hubert-base", "facebook/hubert-base-ls960"),
        ("wavlm-base-plus", "microsoft/wavlm-base-plus"),
        ("owner/other", "owner/other"),
    ],
)
def test_the_hub_cache(tmp_path, caches, monkeypatch, name, repository):
    monkeypatch.setenv("ERI_OFFLINE", "1")
    snapshot = cache_on_hub(caches, repository, files_of(write_speech_model(tmp_path / "model")))
    assert locate_speech_model(name) == snapshot
    assert same_weights(load_speech_model(snapshot))


def test_the_folder_of_weights(caches, monkeypatch):
    monkeypatch.setenv("ERI_OFFLINE", "1")
    folder = write_speech_model(caches.eri / "wavlm-base")
    assert locate_speech_model("microsoft/wavlm-base") == folder


def test_a_download_from_the_hub(tmp_path, caches, monkeypatch):
    files = files_of(write_speech_model(tmp_path / "model", features={"do_normalize": False}))
    with serve(hub_of("owner/name", files)) as address:
        use_hub(address, monkeypatch)
        folder = locate_speech_model("owner/name")
    loaded = load_speech_model(folder)
    assert same_weights(loaded)
    assert not loaded.normalize


@pytest.mark.parametrize("name", ["facebook/wav2vec2-base", "wav2vec2-base", "microsoft/wavlm-base"])
def test_offline_the_error_says_what_to_do(caches, monkeypatch, name):
    monkeypatch.setenv("ERI_OFFLINE", "1")
    with pytest.raises(WeightsError) as caught:
        locate_speech_model(name)
    folder = caches.eri / name.rsplit("/", 1)[-1]
    assert f"put it at {folder}, or set 'audio.model' to its path" in (caught.value.hint or "")


def test_a_folder_that_is_not_there_is_no_hub_name(tmp_path):
    with pytest.raises(WeightsError, match=r"gone: no such folder\n.*audio\.model"):
        locate_speech_model(str(tmp_path / "gone"))
    with pytest.raises(WeightsError, match="holds no config"):
        locate_speech_model(str(tmp_path))


def test_loading_says_nothing_on_the_screen(tmp_path, capfd):
    load_speech_model(write_speech_model(tmp_path / "model"))
    assert "".join(capfd.readouterr()) == ""


@pytest.mark.parametrize("family", ["wav2vec2", "hubert", "wavlm"])
def test_checkpoints_of_old_with_other_names_for_normalised_weights(tmp_path, family):
    # The published files of HuBERT and WavLM are from before torch had parametrizations.
    folder = write_speech_model(tmp_path / "model", family, safe=False)
    state = torch.load(folder / "pytorch_model.bin", weights_only=True)
    names = {"parametrizations.weight.original0": "weight_g", "parametrizations.weight.original1": "weight_v"}
    old = {}
    for key, tensor in state.items():
        for new, former in names.items():
            key = key.replace(new, former)
        old[key] = tensor
    assert sum(key.endswith(("weight_g", "weight_v")) for key in old) == 2
    torch.save(old, folder / "pytorch_model.bin")
    assert same_weights(load_speech_model(folder), family)


def test_missing_tensors_are_named(tmp_path):
    folder = write_speech_model(tmp_path / "model", safe=False)
    state = torch.load(folder / "pytorch_model.bin", weights_only=True)
    del state["encoder.layers.1.attention.k_proj.weight"]
    torch.save(state, folder / "pytorch_model.bin")
    with pytest.raises(WeightsError, match=r"1 tensors .*\n  encoder\.layers\.1\.attention\.k_proj\.weight: missing"):
        load_speech_model(folder)


def test_another_shape_is_refused(tmp_path):
    folder = write_speech_model(tmp_path / "model")
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | {"intermediate_size": 48}))
    with pytest.raises(WeightsError, match=r"intermediate_dense\.bias: the file has \(64,\), the model \(48,\)"):
        load_speech_model(folder)


@pytest.mark.parametrize("file", ["config.json", "model.safetensors"])
def test_a_damaged_file_is_refused(tmp_path, file):
    folder = write_speech_model(tmp_path / "model")
    content = (folder / file).read_bytes()
    (folder / file).write_bytes(content[: len(content) // 2])
    with pytest.raises(WeightsError, match="cannot be loaded as a speech model"):
        load_speech_model(folder)


class Trap:
    """Writes a file when it is unpickled."""

    def __init__(self, path) -> None:
        self.path = str(path)

    def __reduce__(self):
        return open, (self.path, "w")


def test_a_checkpoint_with_code_in_it_is_refused(tmp_path):
    folder = write_speech_model(tmp_path / "model", safe=False)
    torch.save({"a": Trap(tmp_path / "ran")}, folder / "pytorch_model.bin")
    with pytest.raises(WeightsError, match="cannot be loaded as a speech model"):
        load_speech_model(folder)
    assert not (tmp_path / "ran").exists()


def test_a_model_of_text_is_refused(tmp_path):
    from transformers import BertConfig

    BertConfig(hidden_size=32, num_hidden_layers=1).save_pretrained(tmp_path)
    with pytest.raises(ConfigError, match="a model of type 'bert' takes no waveforms"):
        load_speech_model(tmp_path)


def test_a_model_for_another_rate_is_refused(tmp_path):
    folder = write_speech_model(tmp_path / "model", features={"sampling_rate": 8000})
    with pytest.raises(ConfigError, match="8000 Hz, not at 16000 Hz"):
        load_speech_model(folder)
