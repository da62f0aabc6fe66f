"""Versions of embeddings: each epoch takes one of every clip, the same however often it is asked."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray

from eri.training.features import FeatureSet, ModalityFeatures
from eri.training.loading import DrawingLoader
from eri.training.processes import cut_batches

IDS = [f"{number:03d}" for number in range(60)]


def version(value: float, ids: list[str]) -> ModalityFeatures:
    """Return two rows a clip: the version's value, and the clip's number."""
    rows = np.array([[value, float(clip_id)] for clip_id in ids for _ in range(2)], dtype=np.float32)
    offsets = np.arange(0, 2 * len(ids) + 1, 2)
    return ModalityFeatures.from_arrays(rows, offsets, np.zeros(len(rows), np.uint8), ids)


def loader(others: tuple[ModalityFeatures, ...], seed: int = 5, chunk: int | None = None) -> DrawingLoader:
    """Return a loader of plain and other visual embeddings, and of audio that has one version."""
    plain = FeatureSet({"visual": version(0, IDS), "audio": version(7, IDS)})
    device = torch.device("cpu")
    return DrawingLoader(plain, {"visual": others}, IDS, seed=seed, batch_size=16, chunk=chunk, device=device)


def shown(made: DrawingLoader, epoch: int) -> NDArray[np.float64]:
    """Return for each clip the version that an epoch shows, checking that nothing else moved."""
    seen = np.full(len(IDS), -1.0)
    for positions, inputs in made.at(epoch).batches(cut_batches(np.random.default_rng(0).permutation(len(IDS)), 16)):
        assert (inputs["audio"].values[..., 0] == 7).all()
        values = inputs["visual"].values
        assert values[:, 0, 1].tolist() == [float(IDS[position]) for position in positions]
        assert torch.equal(values[:, 0], values[:, 1])
        seen[positions] = values[:, 0, 0].numpy()
    return seen


def test_every_epoch_takes_one_version_of_every_clip():
    made = loader((version(1, IDS), version(2, IDS)))
    epochs = np.stack([shown(made, epoch) for epoch in range(1, 31)])
    assert set(np.unique(epochs)) == {0, 1, 2}
    shares = [(epochs == value).mean() for value in (0, 1, 2)]
    assert min(shares) > 0.28
    assert all(len(set(clip)) == 3 for clip in epochs.T)
    assert len(made) == 4
    assert made.ids == tuple(IDS)


def test_the_draw_depends_on_seed_and_epoch_alone():
    first = shown(loader((version(1, IDS),)), 3)
    again = loader((version(1, IDS),), chunk=16)
    shown(again, 1)
    assert shown(again, 3).tolist() == first.tolist()
    assert shown(again, 4).tolist() != first.tolist()
    assert shown(loader((version(1, IDS),), seed=6), 3).tolist() != first.tolist()


def test_a_clip_without_a_version_keeps_the_plain_one():
    made = loader((version(1, IDS[:30]),))
    epochs = np.stack([shown(made, epoch) for epoch in range(1, 9)])
    assert not epochs[:, 30:].any()
    assert epochs[:, :30].any()
