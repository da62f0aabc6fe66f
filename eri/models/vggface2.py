"""ResNet-50 trained on the faces of VGGFace2 (Cao et al. 2018), from the checkpoints that are in circulation.

Its network is Caffe's ResNet-50, not torchvision's: a stage halves the image in the first 1 × 1 convolution of its
first block instead of the 3 × 3 one, and the first pooling rounds up instead of padding. Images lose the training
set's mean colour and are not scaled further.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

import torch
from torch import Tensor, nn

NAME = "resnet50-vggface2"  # what configs call it
SIDE = 224  # of the images that it was trained on, in pixels
CLASSIFIERS: tuple[str, ...] = (
    "fc.",
    "classifier.",
)  # prefixes of the layer over 8631 identities, which embeddings do without

_BLOCK = re.compile(r"conv(?P<stage>[2-5])_(?P<block>\d)_(?P<part>1x1_reduce|3x3|1x1_increase|1x1_proj)(?P<norm>_bn)?")
_PARTS = {"1x1_reduce": "conv1", "3x3": "conv2", "1x1_increase": "conv3", "1x1_proj": "downsample.0"}
_NORMS = {"1x1_reduce": "bn1", "3x3": "bn2", "1x1_increase": "bn3", "1x1_proj": "downsample.1"}
_STEM = {"conv1_7x7_s2": "conv1", "conv1_7x7_s2_bn": "bn1"}


def build_network() -> nn.Module:
    """Return the network of section V, with the strides of its authors' Caffe model: (n, 3, h, w) → (n, 2048)."""
    import timm

    model: nn.Module = timm.create_model("resnet50", pretrained=False, num_classes=0)
    model.maxpool = nn.MaxPool2d(3, stride=2, padding=0, ceil_mode=True)
    for stage in (2, 3, 4):
        block = model.get_submodule(f"layer{stage}.0")
        for name, stride in (("conv1", 2), ("conv2", 1)):
            convolution = block.get_submodule(name)
            assert isinstance(convolution, nn.Conv2d)
            convolution.stride = (stride, stride)
    return model


def rename_keys(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Bring a published checkpoint to this network's keys, for images in RGB.

    The converted state dict has Caffe's names (``conv2_1_1x1_reduce.weight``) and takes RGB. The pickled arrays have
    torchvision's names (``layer1.0.conv1.weight``) and take BGR, as Caffe did: the input channels of their first
    convolution are reversed. Other keys stay as they are.

    Examples:
        >>> list(rename_keys({"conv3_2_3x3_bn.weight": torch.zeros(128)}))
        ['layer2.1.bn2.weight']
        >>> rename_keys({"conv1.weight": torch.arange(3.0).view(1, 3, 1, 1)})["conv1.weight"].ravel().tolist()
        [2.0, 1.0, 0.0]
    """
    renamed = {_rename(key): value for key, value in tensors.items()}
    first = tensors.get("conv1.weight")
    if first is not None and first.ndim == 4:
        renamed["conv1.weight"] = torch.flip(first, dims=(1,))
    return renamed


def _rename(key: str) -> str:
    layer, _, parameter = key.rpartition(".")
    match = _BLOCK.fullmatch(layer)
    if match is not None:
        names = _NORMS if match["norm"] else _PARTS
        layer = f"layer{int(match['stage']) - 1}.{int(match['block']) - 1}.{names[match['part']]}"
    return f"{_STEM.get(layer, layer)}.{parameter}"
