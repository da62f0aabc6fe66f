"""The networks of RetinaFace and the loading of their published weights.

Imported only when the detector ``retinaface`` is used: it needs torch and the package retinaface-pytorch, whose pins
cannot be installed, so that it is not a hard dependency.
"""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Literal

import torch
from retinaface.net import FPN, SSH, conv_bn, conv_dw
from retinaface.network import RetinaFace
from torch import Tensor, nn

from eri.errors import WeightsError
from eri.weights import load_into, load_state_dict

Backbone = Literal["resnet50", "mobilenet0.25"]


class MobileNetBody(nn.Module):
    """MobileNet-V1 at a quarter of its width, up to strides 8, 16 and 32.

    Source: A. Howard et al., MobileNets, arXiv:1704.04861, table 1 with width multiplier 0.25; leaky rectifiers and
    the names of the published checkpoints.
    """

    def __init__(self) -> None:
        super().__init__()
        self.stage1 = nn.Sequential(
            conv_bn(3, 8, 2, leaky=0.1),
            conv_dw(8, 16, 1),
            conv_dw(16, 32, 2),
            conv_dw(32, 32, 1),
            conv_dw(32, 64, 2),
            conv_dw(64, 64, 1),
        )
        self.stage2 = nn.Sequential(conv_dw(64, 128, 2), *(conv_dw(128, 128, 1) for _ in range(5)))
        self.stage3 = nn.Sequential(conv_dw(128, 256, 2), conv_dw(256, 256, 1))

    def forward(self, pictures: Tensor) -> dict[int, Tensor]:
        """Return feature maps at strides 8, 16 and 32, with 64, 128 and 256 channels."""
        first = self.stage1(pictures)
        second = self.stage2(first)
        return {1: first, 2: second, 3: self.stage3(second)}


class MobileNetRetinaFace(RetinaFace):  # type: ignore[misc]
    """RetinaFace on :class:`MobileNetBody`; pyramid, context modules and heads are the package's, 64 channels wide."""

    def __init__(self) -> None:
        # The parent's own constructor knows ResNet-50 only.
        nn.Module.__init__(self)
        channels = 64
        self.body = MobileNetBody()
        self.fpn = FPN([64, 128, 256], channels)
        self.ssh1, self.ssh2, self.ssh3 = (SSH(channels, channels) for _ in range(3))
        self.ClassHead = self._make_class_head(fpn_num=3, in_channels=channels)
        self.BboxHead = self._make_bbox_head(fpn_num=3, in_channels=channels)
        self.LandmarkHead = self._make_landmark_head(fpn_num=3, in_channels=channels)


def create_network(backbone: Backbone) -> nn.Module:
    """Return RetinaFace with random weights.

    Source: J. Deng et al., RetinaFace: Single-stage Dense Face Localisation in the Wild, CVPR 2020.
    """
    if backbone == "mobilenet0.25":
        return MobileNetRetinaFace()
    layers = {"layer2": 1, "layer3": 2, "layer4": 3}
    with warnings.catch_warnings():
        # The package still says `pretrained=` to torchvision, which warns.
        warnings.simplefilter("ignore", UserWarning)
        network: nn.Module = RetinaFace("Resnet50", False, 256, layers, 256)
    return network


def load_network(backbone: Backbone, path: Path) -> nn.Module:
    """Return RetinaFace with the weights of a file, ready for inference.

    Args:
        backbone: Of the network that the weights must fit.
        path: A state dict as the published checkpoints have it, with or without the prefix ``module.``.

    Raises:
        WeightsError: The file is not a state dict, is of the other backbone or another shape, or holds a value that
            is not finite.
    """
    weights = load_state_dict(path)
    found = _backbone_of(weights)
    if found is not None and found != backbone:
        raise WeightsError(
            f"{path}: weights of RetinaFace with the backbone {found}, but the config asks for {backbone}",
            hint=f"Set faces.backbone to {found}, or faces.weights to a checkpoint of {backbone}.",
        )
    with torch.device("meta"):
        # Random values that are replaced at once would take longer to draw than the file to read.
        network = create_network(backbone)
    network.to_empty(device="cpu")
    load_into(network, weights, origin=f"{path} (as RetinaFace with the backbone {backbone})")
    for name, value in weights.items():
        if not torch.isfinite(value).all():
            raise WeightsError(
                f"{path}: '{name}' holds a value that is not finite; the file is damaged",
                hint="Fetch the checkpoint anew.",
            )
    return network.eval().requires_grad_(False)


def _backbone_of(weights: dict[str, Tensor]) -> Backbone | None:
    if "body.stage1.0.0.weight" in weights:
        return "mobilenet0.25"
    return "resnet50" if "body.layer1.0.conv1.weight" in weights else None
