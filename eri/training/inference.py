"""Predicting clips with a trained model, the same whichever clips share a batch."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

import numpy as np
import torch

from eri.metrics.intensities import Floats
from eri.models import Predictor
from eri.training.features import FeatureSet
from eri.training.loading import BatchSource
from eri.training.processes import Positions


class TrainedModel(Protocol):
    """What a run folder holds of a model, loaded to predict."""

    def predict(self, features: FeatureSet, ids: Sequence[str]) -> Floats:
        """Predict clips that have a valid row in some modality; a clip's scores depend on its own features alone.

        Returns:
            float64 (len(ids), labels), within the task's range.

        Raises:
            RunError: It was trained on other features.
        """
        ...


def predict_clips(
    model: Predictor,
    loader: BatchSource,
    batches: Sequence[Positions] | None = None,
    on_batch: Callable[[int], None] | None = None,
) -> Floats:
    """Predict clips of a loader.

    Everything runs in full float32, whatever precision the model was trained in: rounding to bf16 or TF32 would make a
    clip's scores depend on the shape of its batch. What remains is the order of float32 sums (differences under 1e-6).

    Args:
        model: Left in evaluation mode.
        loader: Its batches are on the model's device.
        batches: As :meth:`~eri.training.loading.BatchSource.batches` takes them; None is every clip.
        on_batch: Called after each batch with the number of those done.

    Returns:
        float64 (clips, labels) within the task's range, in the order that the clips were asked for.
    """
    model.eval()
    parts = []
    with torch.inference_mode(), torch.backends.cudnn.flags(enabled=True, allow_tf32=False):
        for _, inputs in loader.batches(batches):
            parts.append(model.predict(inputs).cpu().numpy())
            if on_batch is not None:
                on_batch(len(parts))
    result: Floats = np.concatenate(parts)
    return result
