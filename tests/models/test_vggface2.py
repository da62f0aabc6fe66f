"""VGGFace2's ResNet-50 is filled from each published form, gives what a Caffe network gives, and executes nothing."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torchvision

from eri.models import vggface2
from eri.models.backbones import Backbone, create_backbone
from eri.utils.errors import WeightsError
from tests.factories.weights import use_caches

MEAN_BGR = (91.4953, 103.8827, 131.0912)
IDENTITIES = 7


@pytest.fixture(scope="module")
def caffe() -> torch.nn.Module:
    """Return torchvision's ResNet-50 with the strides and the pooling of Caffe's, and a small classifier."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(3)
        model: torch.nn.Module = torchvision.models.resnet50(num_classes=IDENTITIES)
    for stage in (2, 3, 4):
        for name, stride in (("conv1", (2, 2)), ("conv2", (1, 1))):
            convolution = model.get_submodule(f"layer{stage}.0.{name}")
            assert isinstance(convolution, torch.nn.Conv2d)
            convolution.stride = stride
    model.maxpool = torch.nn.MaxPool2d(3, stride=2, padding=0, ceil_mode=True)
    return model.eval()


def published_pickle(model: torch.nn.Module, path: Path) -> Path:
    """Write weights as the converted Caffe models are in circulation: a pickled dictionary of arrays."""
    arrays = {key: value.numpy() for key, value in model.state_dict().items() if "num_batches" not in key}
    path.write_bytes(pickle.dumps(arrays, protocol=2))
    return path


def caffe_names(model: torch.nn.Module) -> dict[str, torch.Tensor]:
    """Return weights under Caffe's names, with a first convolution for RGB and a convolution as classifier."""
    parts = {"conv1": "1x1_reduce", "conv2": "3x3", "conv3": "1x1_increase", "downsample.0": "1x1_proj"}
    norms = {"bn1": "1x1_reduce_bn", "bn2": "3x3_bn", "bn3": "1x1_increase_bn", "downsample.1": "1x1_proj_bn"}
    names = {"conv1": "conv1_7x7_s2", "bn1": "conv1_7x7_s2_bn", "fc": "classifier"}
    state = {}
    for key, value in model.state_dict().items():
        layer, _, parameter = key.rpartition(".")
        stage, _, rest = layer.partition(".")
        block, _, part = rest.partition(".")
        name = names.get(layer)
        if name is None:
            name = f"conv{int(stage[-1]) + 1}_{int(block) + 1}_{(parts | norms)[part]}"
        state[f"{name}.{parameter}"] = value
    state["conv1_7x7_s2.weight"] = state["conv1_7x7_s2.weight"].flip(1)
    state["classifier.weight"] = state["classifier.weight"][:, :, None, None]
    return state


def backbone(weights: Path | str, **changes: Any) -> Backbone:
    settings: dict[str, Any] = {"seed": 0, "input_size": 64, "precision": "float32", "device": torch.device("cpu")}
    return create_backbone(vggface2.NAME, weights=str(weights), **(settings | changes))


def pictures() -> torch.Tensor:
    return torch.from_numpy(np.random.default_rng(0).integers(0, 256, (2, 3, 64, 64), dtype=np.uint8))


def caffe_embedding(model: torch.nn.Module, rgb: torch.Tensor) -> torch.Tensor:
    """Return the pooled output as the models' own scripts compute it: BGR, less the mean."""
    found: list[torch.Tensor] = []
    hook = model.get_submodule("avgpool").register_forward_hook(lambda *parts: found.append(parts[2].flatten(1)))
    with torch.no_grad():
        model(rgb.flip(1).float() - torch.tensor(MEAN_BGR).view(1, 3, 1, 1))
    hook.remove()
    return found[0]


def assert_alike(found: torch.Tensor, expected: torch.Tensor) -> None:
    """Random layers make large numbers, and both networks round them in another order."""
    assert float((found - expected).abs().max()) < 1e-3 * float(expected.abs().max())
    assert expected.std() > 0.01


@pytest.mark.slow
def test_the_pickle_of_arrays_gives_the_embeddings_of_caffe(caffe, tmp_path):
    loaded = backbone(published_pickle(caffe, tmp_path / "resnet50_ft_weight.pkl"))
    expected = caffe_embedding(caffe, pictures())
    assert loaded.dimension == 2048
    assert_alike(loaded.embed(pictures()), expected)


def test_the_converted_state_dict_gives_the_same(caffe, tmp_path):
    path = tmp_path / "resnet50_ft_dims_2048.pth"
    torch.save(caffe_names(caffe), path)
    assert_alike(backbone(path).embed(pictures()), caffe_embedding(caffe, pictures()))


@pytest.mark.slow
def test_the_pickle_is_found_in_the_folder_of_weights(caffe, tmp_path, monkeypatch):
    caches = use_caches(tmp_path, monkeypatch)
    path = published_pickle(caffe, caches.eri / "resnet50_ft_weight.pkl")
    assert backbone("pretrained").identity() == backbone(path).identity()


def test_a_pickle_that_would_run_code_is_refused_and_does_not(tmp_path):
    flag = tmp_path / "executed"

    class Code:
        def __reduce__(self) -> tuple[Any, ...]:
            return (Path.touch, (flag,))

    path = tmp_path / "resnet50_ft_weight.pkl"
    path.write_bytes(pickle.dumps({"conv1.weight": Code()}, protocol=2))
    with pytest.raises(WeightsError, match="is not loaded"):
        backbone(path)
    assert not flag.exists()


@pytest.mark.parametrize("content", [b"", b"\x80\x02}q\x00", b"\x80\x02K\x01.", b"\x80\x02}q\x00."])
def test_a_damaged_or_empty_pickle_is_refused_by_name(content, tmp_path):
    path = tmp_path / "weights.pkl"
    path.write_bytes(content)
    with pytest.raises(WeightsError, match=r"weights\.pkl"):
        backbone(path)


def test_weights_of_another_network_are_refused(tmp_path):
    path = tmp_path / "weights.pkl"
    state = {"conv1.weight": np.zeros((64, 3, 3, 3), np.float32)}
    path.write_bytes(pickle.dumps(state, protocol=2))
    with pytest.raises(WeightsError, match="another model"):
        backbone(path)


@pytest.mark.slow
def test_random_weights_follow_from_the_seed():
    assert torch.equal(backbone("random").embed(pictures()), backbone("random").embed(pictures()))
    assert not torch.equal(backbone("random").embed(pictures()), backbone("random", seed=1).embed(pictures()))


@pytest.mark.slow
def test_a_file_of_torch_save_may_be_called_pkl(caffe, tmp_path):
    for zipped in (True, False):
        path = tmp_path / f"{zipped}.pkl"
        torch.save(caffe.state_dict(), path, _use_new_zipfile_serialization=zipped)
        assert backbone(path).dimension == 2048
