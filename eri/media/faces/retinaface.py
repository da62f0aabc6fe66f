"""The detector ``retinaface``: boxes and five landmarks, in batches, on any device.

Source: J. Deng et al., RetinaFace: Single-stage Dense Face Localisation in the Wild, CVPR 2020. Anchors and box code
are those of the package retinaface-pytorch. Imported only when used: it needs torch and that package.
"""

from __future__ import annotations

import logging
from collections import defaultdict
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path

import numpy as np
import torch
from retinaface.box_utils import decode, decode_landm
from retinaface.prior_box import priorbox
from torch import Tensor, nn
from torchvision.ops import nms

from eri.errors import DeviceMemoryError
from eri.media.faces.detection import Detection, Picture, scale_to
from eri.media.faces.retinaface_network import Backbone, load_network

_LOG = logging.getLogger(__name__)

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


class RetinaFaceDetector:
    """RetinaFace with a ResNet-50 or a MobileNet-0.25 backbone.

    Args:
        backbone: ``resnet50`` or ``mobilenet0.25``.
        weights: File of its state dict.
        size: Longer side of the scaled picture that is searched, in pixels.
        threshold: Smallest score, in [0, 1]; None is 0.9.
        device: ``cpu``, ``cuda`` or ``cuda:<n>``.

    Raises:
        WeightsError: The weights do not fit the backbone.
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

    def detect(self, pictures: Sequence[Picture], *, size: int | None = None) -> list[list[Detection]]:
        """Find the faces of each picture, surest first, with landmarks; boxes reach from the forehead to the chin."""
        scaled = [scale_to(picture, self._size if size is None else size) for picture in pictures]
        alike: dict[tuple[int, ...], list[int]] = defaultdict(list)
        for index, picture in enumerate(scaled):
            alike[picture.shape].append(index)
        found: list[list[Detection]] = [[] for _ in pictures]
        for indices in alike.values():
            same = self._run_in_batches([scaled[index] for index in indices])
            for index, faces in zip(indices, same, strict=True):
                found[index] = _rescale(faces, scaled[index], pictures[index])
        return found

    def _run_in_batches(self, pictures: list[Picture]) -> list[tuple[Tensor, Tensor, Tensor]]:
        """Run the network on pictures of one size; batches that do not fit a GPU's memory are halved."""
        found: list[tuple[Tensor, Tensor, Tensor]] = []
        size = BATCH
        while len(found) < len(pictures):
            try:
                found += self._run(pictures[len(found) : len(found) + size])
            except torch.OutOfMemoryError as error:
                if size == 1:
                    raise DeviceMemoryError(
                        "the GPU's memory does not hold the face detector and one picture",
                        hint="Free it of other programs, use fewer workers, or use --device cpu.",
                    ) from error
                size //= 2
                _LOG.warning("out of GPU memory in the face detector: going on with %d pictures at once", size)
            else:
                continue
            # Not while the error is handled: its traceback holds the tensors that are in the way.
            torch.cuda.empty_cache()
        return found

    @torch.inference_mode()
    def _run(self, pictures: list[Picture]) -> list[tuple[Tensor, Tensor, Tensor]]:
        batch = torch.from_numpy(np.stack(pictures)).to(self._device).permute(0, 3, 1, 2).float()
        if self._backbone == "mobilenet0.25":
            batch = batch.flip(1)
        offsets, classes, points = self._network((batch - self._mean) / self._deviation)
        height, width = pictures[0].shape[:2]
        anchors = _anchors(height, width).to(self._device)
        scores = classes.softmax(dim=-1)[..., 1]
        return [
            self._select(offsets[row], scores[row], points[row], anchors, width, height) for row in range(len(pictures))
        ]

    def _select(
        self, offsets: Tensor, scores: Tensor, points: Tensor, anchors: Tensor, width: int, height: int
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Decode the candidates of one picture above the threshold, and keep the best of those that overlap."""
        sure = scores >= self._threshold
        extent = torch.tensor([width, height], device=self._device)
        boxes = decode(offsets[sure], anchors[sure], _VARIANCES) * extent.repeat(2)
        marks = decode_landm(points[sure], anchors[sure], _VARIANCES) * extent.repeat(5)
        kept = nms(boxes, scores[sure], _OVERLAP)
        return boxes[kept].cpu(), scores[sure][kept].cpu(), marks[kept].cpu()


def _rescale(faces: tuple[Tensor, Tensor, Tensor], scaled: Picture, original: Picture) -> list[Detection]:
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
