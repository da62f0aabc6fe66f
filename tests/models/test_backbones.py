"""Backbones are built by name and filled by every loading path, or refused with the way out."""

from __future__ import annotations

import hashlib
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import timm
import torch
import torchvision
from safetensors.torch import save_file

from eri.models.backbones import Backbone, create_backbone, timm_weights
from eri.utils.errors import ConfigError, WeightsError
from eri.weights import WEIGHTS, WeightsEntry
from tests.factories.weights import cache_on_hub, use_caches

TINY = "test_resnet.r160_in1k"
CPU = torch.device("cpu")


def backbone(name: str = TINY, weights: str | Path = "random", **changes: Any) -> Backbone:
    settings: dict[str, Any] = {"seed": 0, "input_size": 64, "precision": "float32", "device": CPU}
    return create_backbone(name, weights=str(weights), **(settings | changes))


def pictures(count: int, side: int = 64, seed: int = 0) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(0, 256, (count, 3, side, side), generator=generator, dtype=torch.uint8)


def tiny_state(seed: int = 5) -> dict[str, torch.Tensor]:
    """Return weights of the tiny model with its classifier, as its publisher has them."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return dict(timm.create_model(TINY).state_dict())


def expected(state: dict[str, torch.Tensor], given: torch.Tensor) -> torch.Tensor:
    model = timm.create_model(TINY).eval()
    model.load_state_dict(state)
    cfg = timm.get_pretrained_cfg(TINY)
    shift, scale = (torch.tensor(values).view(3, 1, 1) for values in (cfg.mean, cfg.std))
    with torch.no_grad():
        found: torch.Tensor = model.forward_head(model.forward_features((given / 255 - shift) / scale), pre_logits=True)
    return found


def torchvision_embedding(model: torch.nn.Module, name: str, given: torch.Tensor) -> torch.Tensor:
    """Return the embedding as torchvision computes it, before its last layer."""
    shift = torch.tensor((0.485, 0.456, 0.406)).view(3, 1, 1)
    scale = torch.tensor((0.229, 0.224, 0.225)).view(3, 1, 1)
    last = {"resnet18": "fc", "densenet121": "classifier", "vgg16": "classifier.6"}[name]
    parent, _, child = last.rpartition(".")
    setattr(model.get_submodule(parent), child, torch.nn.Identity())
    if name == "vgg16":
        model.get_submodule("classifier")[5] = torch.nn.Identity()  # type: ignore[operator]
    with torch.no_grad():
        found: torch.Tensor = model.eval()((given / 255 - shift) / scale)
    return found


@pytest.mark.parametrize(
    ("name", "side"),
    [("resnet18", 64), ("densenet121", 64), pytest.param("vgg16", 224, marks=pytest.mark.slow)],
)
def test_torchvision_files_give_torchvision_embeddings(tmp_path, name, side):
    torch.manual_seed(1)
    model = getattr(torchvision.models, name)(weights=None)
    torch.save(model.state_dict(), tmp_path / "a.pth")
    given = pictures(2, side)
    found = backbone(name, tmp_path / "a.pth", input_size=side).embed(given)
    wanted = torchvision_embedding(model, name, given)
    assert found.shape == wanted.shape
    assert torch.allclose(found, wanted, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(("name", "dimension"), [("resnet50", 2048), ("resnet18", 512)])
def test_short_names_are_torchvision_models(name, dimension):
    made = backbone(name)
    assert made.name == f"{name}.tv_in1k"
    assert made.dimension == dimension
    assert (made.mean, made.std) == (WEIGHTS[name].mean, WEIGHTS[name].std)
    assert backbone(name, input_size=None).side == 224


@pytest.mark.parametrize("suffix", [".pth", ".safetensors"])
def test_a_checkpoint_by_path(tmp_path, suffix):
    path, state = tmp_path / f"a{suffix}", tiny_state()
    save_file(state, path) if suffix == ".safetensors" else torch.save({"state_dict": state}, path)
    made = backbone(weights=path)
    assert torch.allclose(made.embed(pictures(2)), expected(state, pictures(2)), atol=1e-5)
    assert made.weights == f"sha256:{hashlib.sha256(path.read_bytes()).hexdigest()}"


def test_a_registered_file_in_a_cache(tmp_path, monkeypatch):
    caches, state = use_caches(tmp_path, monkeypatch), tiny_state()
    torch.save(state, tmp_path / "a.pth")
    sha256 = hashlib.sha256((tmp_path / "a.pth").read_bytes()).hexdigest()
    file_name = f"tiny-{sha256[:8]}.pth"
    (tmp_path / "a.pth").rename(caches.torch / file_name)
    entry = WeightsEntry("tiny", file_name, "made by the tests", "MIT", sha256=sha256[:8], timm_name=TINY)
    monkeypatch.setattr("eri.models.backbones.WEIGHTS", {"tiny": entry})
    monkeypatch.setenv("ERI_OFFLINE", "1")
    made = backbone("tiny", "pretrained")
    assert torch.allclose(made.embed(pictures(2)), expected(state, pictures(2)), atol=1e-5)
    (caches.torch / file_name).write_bytes(b"altered since, other size")
    with pytest.raises(WeightsError, match="tampered"):
        backbone("tiny", "pretrained")


def test_a_timm_model_in_the_hub_cache(tmp_path, monkeypatch):
    caches, state = use_caches(tmp_path, monkeypatch), tiny_state()
    save_file(state, tmp_path / "a.safetensors")
    cache_on_hub(caches, f"timm/{TINY}", {"model.safetensors": (tmp_path / "a.safetensors").read_bytes()})
    monkeypatch.setenv("ERI_OFFLINE", "1")
    made = backbone(weights="pretrained")
    assert torch.allclose(made.embed(pictures(2)), expected(state, pictures(2)), atol=1e-5)


@pytest.mark.parametrize("name", ["resnet50", "vit_tiny_patch16_224", TINY])
def test_offline_the_error_says_what_to_do(tmp_path, monkeypatch, name):
    caches = use_caches(tmp_path, monkeypatch)
    monkeypatch.setenv("ERI_OFFLINE", "1")
    with pytest.raises(WeightsError) as caught:
        backbone(name, "pretrained", option="visual.weights", input_size=None)
    entry = timm_weights(name)
    assert f"put it at {caches.eri / entry.file_name}, or set 'visual.weights'" in (caught.value.hint or "")
    assert entry.file_name in caught.value.message


def test_every_weight_of_timm_has_an_entry_of_its_own():
    entry = timm_weights("convnext_atto")
    assert (entry.hub_id, entry.hub_file) == ("timm/convnext_atto.d2_in1k", "model.safetensors")
    assert entry.file_name == "convnext_atto.d2_in1k.safetensors"
    assert entry.sha256 is None
    assert timm_weights("resnet50") is WEIGHTS["resnet50"]
    with pytest.raises(WeightsError, match="timm has no pretrained weights for 'resnet50_mlp"):
        timm_weights(
            next(name for name in timm.list_models("resnet*") if not timm.get_pretrained_cfg(name).has_weights)
        )


def test_weights_of_a_deeper_model_are_refused_though_every_key_is_there(tmp_path):
    torch.save(torchvision.models.resnet34(weights=None).state_dict(), tmp_path / "a.pth")
    with pytest.raises(WeightsError, match=r"a\.pth: the weights are of another model[\s\S]*only in the file"):
        backbone("resnet18", tmp_path / "a.pth")


def test_weights_of_another_shape_list_both_shapes(tmp_path):
    state = tiny_state()
    state["conv1.0.weight"] = torch.zeros(5, 3, 3, 3)
    torch.save(state, tmp_path / "a.pth")
    with pytest.raises(WeightsError, match=r"conv1\.0\.weight: the file has \(5, 3, 3, 3\), the model \("):
        backbone(weights=tmp_path / "a.pth")


def test_weights_of_another_family_are_refused(tmp_path):
    torch.save(tiny_state(), tmp_path / "a.pth")
    for name in ("densenet121", "test_vit"):
        with pytest.raises(WeightsError, match="of another model"):
            backbone(name, tmp_path / "a.pth")


def test_a_missing_path_names_the_option(tmp_path):
    with pytest.raises(WeightsError, match=r"gone\.pth: no such file[\s\S]*'audio\.weights'"):
        backbone(weights=tmp_path / "gone.pth", option="audio.weights")


def test_random_weights_depend_on_the_seed_alone():
    torch.manual_seed(3)
    before = torch.random.get_rng_state()
    first = backbone(seed=7).embed(pictures(2))
    assert torch.equal(torch.random.get_rng_state(), before)
    torch.manual_seed(4)
    assert torch.equal(backbone(seed=7).embed(pictures(2)), first)
    assert not torch.allclose(backbone(seed=8).embed(pictures(2)), first)


@pytest.mark.parametrize("name", ["resnet18", TINY])
def test_random_weights_see_the_whole_picture(name):
    given = pictures(1).repeat(2, 1, 1, 1)
    # These pixels lie between those that the shortcuts of a ResNet alone would look at.
    given[1, :, 37:44, 37:44] = 255
    embedded = backbone(name).embed(given)
    assert (embedded[0] - embedded[1]).abs().max() > 1e-2 * embedded.abs().max()


@pytest.mark.slow
def test_random_weights_are_the_same_in_another_process():
    code = f"""
import hashlib, torch
from eri.models.backbones import create_backbone
cpu = torch.device("cpu")
made = create_backbone({TINY!r}, weights="random", seed=7, input_size=64, precision="float32", device=cpu)
print(hashlib.sha256(b"".join(value.numpy().tobytes() for value in made.model.state_dict().values())).hexdigest())
"""
    other = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip()
    state = backbone(seed=7).model.state_dict()
    assert hashlib.sha256(b"".join(value.numpy().tobytes() for value in state.values())).hexdigest() == other


@pytest.mark.slow
@pytest.mark.parametrize("precision", ["float32", "bf16"])
@pytest.mark.parametrize("name", ["resnet18", TINY])
def test_alone_and_in_a_batch_agree(name, precision):
    made = backbone(name, precision=precision)
    given = pictures(8)
    together = made.embed(given).numpy().astype(np.float64)
    alone = np.concatenate([made.embed(given[row : row + 1]).numpy() for row in range(8)])
    cosine = (together * alone).sum(1) / np.linalg.norm(together, axis=1) / np.linalg.norm(alone, axis=1)
    assert cosine.min() >= 0.9999
    assert made.embed(given).dtype == torch.float32


def test_a_model_with_a_fixed_grid_is_built_for_the_asked_for_size():
    made = backbone("test_vit", input_size=64)
    assert made.side == 64
    assert made.embed(pictures(1, 64)).shape == (1, made.dimension)


@pytest.mark.slow
@pytest.mark.parametrize("side", [96, 288])
def test_vgg_takes_other_sizes(monkeypatch, side):
    # A narrow VGG-11 shows what the wide ones do, in a fraction of the time.
    from timm.models import vgg

    monkeypatch.setitem(vgg.cfgs, "vgg11", [8, "M", 8, "M", 8, 8, "M", 8, 8, "M", 8, 512, "M"])
    made = backbone("vgg11", input_size=side)
    assert made.embed(pictures(1, side)).shape == (1, 4096)


def test_an_unknown_name_suggests_near_ones():
    with pytest.raises(ConfigError, match=r"no image model is named 'resnet5'\n.*resnet50"):
        backbone("resnet5")
    with pytest.raises(ConfigError, match=r"no image model is named 'resnet50\.new'\n.*resnet50\.a1_in1k"):
        backbone("resnet50.new")


def test_a_size_that_does_not_fit_is_refused():
    with pytest.raises(ConfigError, match=r"'test_vit\.r160_in1k' does not take images of 33 × 33 pixels: .*16"):
        backbone("test_vit", input_size=33)
