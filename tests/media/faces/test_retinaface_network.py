from pathlib import Path
from typing import get_args

import pytest
import torch

from eri.media.faces.retinaface import Backbone, create_network, load_network
from eri.utils.errors import WeightsError
from tests.media.faces.conftest import Checkpoints

BACKBONES: tuple[Backbone, ...] = get_args(Backbone)


@pytest.mark.parametrize("backbone", BACKBONES)
def test_every_anchor_of_every_stride_gets_two_scores_four_offsets_ten_coordinates(backbone: Backbone) -> None:
    network = create_network(backbone).eval()
    with torch.inference_mode():
        offsets, classes, points = network(torch.zeros(2, 3, 72, 100))
    anchors = 2 * (9 * 13 + 5 * 7 + 3 * 4)
    assert (offsets.shape, classes.shape, points.shape) == ((2, anchors, 4), (2, anchors, 2), (2, anchors, 10))


@pytest.mark.parametrize("backbone", BACKBONES)
def test_saved_weights_come_back(checkpoints: Checkpoints, backbone: Backbone) -> None:
    network = load_network(backbone, checkpoints[backbone])
    saved = torch.load(checkpoints[backbone], weights_only=True)
    assert not network.training
    assert all(torch.equal(value, saved[name]) for name, value in network.state_dict().items())
    assert not any(parameter.requires_grad for parameter in network.parameters())


def test_the_prefix_of_parallel_training_is_stripped(tmp_path: Path, checkpoints: Checkpoints) -> None:
    weights = torch.load(checkpoints["mobilenet0.25"], weights_only=True)
    path = tmp_path / "parallel.pth"
    torch.save({f"module.{name}": value for name, value in weights.items()}, path)
    network = load_network("mobilenet0.25", path)
    assert all(torch.equal(value, weights[name]) for name, value in network.state_dict().items())


def test_old_checkpoints_without_batch_counters_load(tmp_path: Path, checkpoints: Checkpoints) -> None:
    weights = torch.load(checkpoints["mobilenet0.25"], weights_only=True)
    path = tmp_path / "old.pth"
    torch.save({name: value for name, value in weights.items() if "num_batches" not in name}, path)
    load_network("mobilenet0.25", path)


@pytest.mark.parametrize(("asked", "given"), [BACKBONES, BACKBONES[::-1]])
def test_a_checkpoint_of_the_other_backbone_is_named(
    checkpoints: Checkpoints, asked: Backbone, given: Backbone
) -> None:
    with pytest.raises(WeightsError, match=f"with the backbone {given}, but the config asks for {asked}") as caught:
        load_network(asked, checkpoints[given])
    assert f"Set faces.backbone to {given}" in str(caught.value)


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("BboxHead.0.conv1x1.weight", torch.zeros(12, 64, 1, 1), r"BboxHead\.0\.conv1x1\.weight.*\(12, 64, 1, 1\)"),
        ("ClassHead.2.conv1x1.bias", None, r"ClassHead\.2\.conv1x1\.bias: missing"),
        ("classifier.weight", torch.zeros(3), r"classifier\.weight"),
        ("fpn.merge1.1.weight", torch.full((64,), torch.nan), r"'fpn\.merge1\.1\.weight' .* not finite"),
    ],
)
def test_weights_that_do_not_fit_are_refused_by_name(
    tmp_path: Path, checkpoints: Checkpoints, name: str, value: torch.Tensor | None, message: str
) -> None:
    weights = torch.load(checkpoints["mobilenet0.25"], weights_only=True)
    weights.pop(name, None)
    if value is not None:
        weights[name] = value
    path = tmp_path / "altered.pth"
    torch.save(weights, path)
    with pytest.raises(WeightsError, match=r"altered\.pth(?s:.*)" + message):
        load_network("mobilenet0.25", path)


def test_a_truncated_file_and_a_pickled_module_are_refused(tmp_path: Path, checkpoints: Checkpoints) -> None:
    cut = tmp_path / "cut.pth"
    cut.write_bytes(checkpoints["mobilenet0.25"].read_bytes()[:-5000])
    module = tmp_path / "module.pth"
    torch.save(torch.nn.Linear(1, 1), module)
    for path in (cut, module):
        with pytest.raises(WeightsError, match=path.name):
            load_network("mobilenet0.25", path)
