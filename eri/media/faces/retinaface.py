"""The detector ``retinaface``: J. Deng et al., RetinaFace: Single-stage Dense Face Localisation in the Wild, CVPR 2020.

Anchors and box code are those of the package retinaface-pytorch. Imported only when used: it needs torch and that.
"""

from __future__ import annotations

import logging
import warnings
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from retinaface.box_utils import decode, decode_landm
from retinaface.net import FPN, SSH, conv_bn, conv_dw
from retinaface.network import RetinaFace
from retinaface.prior_box import priorbox
from torch import Tensor, nn
from torchvision.ops import nms

from eri.media.faces.detection import Detection, Image, scale_to
from eri.utils.errors import DeviceMemoryError, WeightsError
from eri.weights import load_into, load_state_dict

_LOG = logging.getLogger(__name__)

Backbone = Literal["resnet50", "mobilenet0.25"]
BATCH = 16
THRESHOLD = 0.9
"""Faces half hidden by a hand score above 0.99, faces printed on clothes up to 0.85 (seen with MobileNet-0.25)."""

_OVERLAP = 0.4
_VARIANCES = (0.1, 0.2)
_ANCHORS = [[16, 32], [64, 128], [256, 512]]
_STRIDES = [8, 16, 32]
# ImageNet's mean and deviation in RGB on a scale of 255, and the mean in BGR that the mobile checkpoint was trained on.
_NORMALISATION = {
    "resnet50": ((123.675, 116.28, 103.53), (58.395, 57.12, 57.375)),
    "mobilenet0.25": ((104.0, 117.0, 123.0), (1.0, 1.0, 1.0)),
}
_OWN_KEYS = {"mobilenet0.25": "body.stage1.0.0.weight", "resnet50": "body.layer1.0.conv1.weight"}


class MobileNetBody(nn.Module):
    """MobileNet-V1 at a quarter of its width: A. Howard et al., MobileNets, arXiv:1704.04861, table 1.

    With leaky rectifiers and the names of the published checkpoints.
    """

    def __init__(self) -> None:
        super().__init__()
        widths = ((8, 16, 1), (16, 32, 2), (32, 32, 1), (32, 64, 2), (64, 64, 1))
        self.stage1 = nn.Sequential(conv_bn(3, 8, 2, leaky=0.1), *(conv_dw(*width) for width in widths))
        self.stage2 = nn.Sequential(conv_dw(64, 128, 2), *(conv_dw(128, 128, 1) for _ in range(5)))
        self.stage3 = nn.Sequential(conv_dw(128, 256, 2), conv_dw(256, 256, 1))

    def forward(self, images: Tensor) -> dict[int, Tensor]:
        """Return feature maps at strides 8, 16 and 32, with 64, 128 and 256 channels."""
        first = self.stage1(images)
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
    """Return RetinaFace with random weights."""
    if backbone == "mobilenet0.25":
        return MobileNetRetinaFace()
    layers = {"layer2": 1, "layer3": 2, "layer4": 3}
    with warnings.catch_warnings():
        # The package still says `pretrained=` to torchvision, which warns.
        warnings.simplefilter("ignore", UserWarning)
        network: nn.Module = RetinaFace("Resnet50", False, 256, layers, 256)
    return network


def load_network(backbone: Backbone, path: Path) -> nn.Module:
    """Return RetinaFace with the state dict of a file, ready for inference.

    A WeightsError where it is none, is of the other backbone or another shape, or holds a value that is not finite.
    """
    weights = load_state_dict(path)
    found = next((name for name, key in _OWN_KEYS.items() if key in weights), backbone)
    if found != backbone:
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
            message = f"{path}: '{name}' holds a value that is not finite; the file is damaged"
            raise WeightsError(message, hint="Fetch the checkpoint again.")
    return network.eval().requires_grad_(False)


class RetinaFaceDetector:
    """RetinaFace with the weights of a file, which must fit the backbone.

    Images are searched with their longer side at ``size`` pixels; detections score at least ``threshold``, or 0.9.
    """

    def __init__(
        self, backbone: Backbone, weights: Path, *, size: int, threshold: float | None = None, device: str = "cpu"
    ) -> None:
        self._backbone = backbone
        self._size = size
        self._threshold = THRESHOLD if threshold is None else threshold
        self._device = torch.device(device)
        self._network: nn.Module = load_network(backbone, weights).to(self._device)
        mean, deviation = _NORMALISATION[backbone]
        self._mean = torch.tensor(mean, device=self._device).view(1, 3, 1, 1)
        self._deviation = torch.tensor(deviation, device=self._device).view(1, 3, 1, 1)

    def detect(self, images: Sequence[Image], *, size: int | None = None) -> list[list[Detection]]:
        """Find the faces of each image, surest first, with landmarks; boxes reach from the forehead to the chin."""
        scaled = [scale_to(image, self._size if size is None else size) for image in images]
        found: list[list[Detection]] = [[] for _ in images]
        for shape in dict.fromkeys(image.shape for image in scaled):
            alike = [index for index, image in enumerate(scaled) if image.shape == shape]
            for index, faces in zip(alike, self._run_in_batches([scaled[index] for index in alike]), strict=True):
                found[index] = _rescale(faces, scaled[index], images[index])
        return found

    def _run_in_batches(self, images: list[Image]) -> list[tuple[Tensor, Tensor, Tensor]]:
        """Run the network on images of one size; batches that do not fit a GPU's memory are halved."""
        found: list[tuple[Tensor, Tensor, Tensor]] = []
        size = BATCH
        while len(found) < len(images):
            try:
                found += self._run(images[len(found) : len(found) + size])
            except torch.OutOfMemoryError as error:
                if size == 1:
                    message = "the GPU's memory does not hold the face detector and one image"
                    hint = "Free it of other programs, use fewer workers, or use --device cpu."
                    raise DeviceMemoryError(message, hint=hint) from error
                size //= 2
                _LOG.warning("out of GPU memory in the face detector: going on with %d images at once", size)
            else:
                continue
            # Not while the error is handled: its traceback holds the tensors that are in the way.
            torch.cuda.empty_cache()
        return found

    @torch.inference_mode()
    def _run(self, images: list[Image]) -> list[tuple[Tensor, Tensor, Tensor]]:
        batch = torch.from_numpy(np.stack(images)).to(self._device).permute(0, 3, 1, 2).float()
        if self._backbone == "mobilenet0.25":
            batch = batch.flip(1)
        offsets, classes, points = self._network((batch - self._mean) / self._deviation)
        height, width = images[0].shape[:2]
        anchors = _anchors(height, width).to(self._device)
        scores = classes.softmax(dim=-1)[..., 1]
        return [
            self._select(offsets[row], scores[row], points[row], anchors, width, height) for row in range(len(images))
        ]

    def _select(
        self, offsets: Tensor, scores: Tensor, points: Tensor, anchors: Tensor, width: int, height: int
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Decode the candidates of one image above the threshold, and keep the best of those that overlap."""
        sure = scores >= self._threshold
        extent = torch.tensor([width, height], device=self._device)
        boxes = decode(offsets[sure], anchors[sure], _VARIANCES) * extent.repeat(2)
        marks = decode_landm(points[sure], anchors[sure], _VARIANCES) * extent.repeat(5)
        kept = nms(boxes, scores[sure], _OVERLAP)
        return boxes[kept].cpu(), scores[sure][kept].cpu(), marks[kept].cpu()


def _rescale(faces: tuple[Tensor, Tensor, Tensor], scaled: Image, original: Image) -> list[Detection]:
    ratio = np.array([original.shape[1] / scaled.shape[1], original.shape[0] / scaled.shape[0]])
    boxes, scores, marks = (part.numpy().astype(np.float64) for part in faces)
    return [
        Detection(box * np.tile(ratio, 2), float(score), mark.reshape(5, 2) * ratio)
        for box, score, mark in zip(boxes, scores, marks, strict=True)
    ]


@lru_cache(maxsize=8)
def _anchors(height: int, width: int) -> Tensor:
    anchors: Tensor = priorbox(min_sizes=_ANCHORS, steps=_STRIDES, clip=False, image_size=(height, width))
    return anchors
