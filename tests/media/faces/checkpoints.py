"""Checkpoints of RetinaFace with random weights, made and saved as the published ones are."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch

from eri.media.faces.retinaface import Backbone, create_network
from tests.media.faces.scenes import Face, scene

# Deviations that the outputs are brought to: logits of the two classes, box offsets, landmark offsets.
_SPREAD = {"ClassHead": 2.0, "BboxHead": 1.0, "LandmarkHead": 1.0}


def save_random(backbone: Backbone, path: Path) -> Path:
    """Save a state dict whose statistics fit images, so that the outputs vary within what real ones do."""
    torch.manual_seed(0)
    network = create_network(backbone)
    for module in network.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.momentum = 1.0
    images = np.stack([scene(Face(50, 50, side), width=96, height=96) for side in (30, 50)])
    # About as the detector normalises: the mobile network takes values as they are.
    scale = 1 if backbone == "mobilenet0.25" else 57
    inputs = (torch.from_numpy(images).permute(0, 3, 1, 2).float() - 114) / scale
    with torch.no_grad():
        network.train()(inputs)
        offsets, classes, points = network.eval()(inputs)
        outputs = {"ClassHead": classes, "BboxHead": offsets, "LandmarkHead": points}
        for name, value in network.named_parameters():
            head = name.partition(".")[0]
            if head in outputs:
                value.mul_(_SPREAD[head] / outputs[head].std())
    torch.save(network.state_dict(), path)
    return path
