"""Gathering and batching: by id, masked rows left out, from memory or a mapped file, each epoch with its versions."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from eri.media.state import State
from eri.training.features import FeatureSet, ModalityFeatures
from eri.training.loading import Loader
from eri.training.processes import cut_batches

Rows = NDArray[np.float32]


def packed(lengths: list[int], seed: int = 0, dimension: int = 3) -> tuple[ModalityFeatures, dict[str, Rows]]:
    """Packed features of clips ``c0``, ``c1``, … and the valid rows of each."""
    generator = np.random.default_rng(seed)
    offsets = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
    embeddings = generator.normal(size=(int(offsets[-1]), dimension)).astype(np.float32)
    states = generator.choice([State.VALID, State.NO_FACE], size=len(embeddings)).astype(np.uint8)
    ids = [f"c{index}" for index in range(len(lengths))]
    spans = zip(ids, offsets[:-1], offsets[1:], strict=True)
    valid = {name: embeddings[a:b][states[a:b] == State.VALID] for name, a, b in spans}
    return ModalityFeatures.from_arrays(embeddings, offsets, states, ids), valid


def mapped(features: ModalityFeatures, folder: Path) -> ModalityFeatures:
    path = folder / "embeddings.npy"
    np.save(path, features.embeddings)
    on_disk = np.load(path, mmap_mode="r")
    return ModalityFeatures(on_disk, features.valid_rows, features.starts, features.position)


def served(loader: Loader, order: NDArray[np.int64], batch_size: int = 3) -> list[tuple[list[str], list[Rows]]]:
    """What each batch holds: the clips' ids, and the valid rows of each."""
    result = []
    for positions, inputs in loader.batches(cut_batches(order, batch_size)):
        batch = inputs["visual"]
        rows = [values[mask].numpy() for values, mask in zip(batch.values, batch.mask, strict=True)]
        result.append(([loader.ids[index] for index in positions], rows))
    return result


@settings(deadline=None)
@given(st.lists(st.integers(0, 6), min_size=1, max_size=12), st.integers(0, 99), st.data())
def test_reading_gives_the_valid_rows_of_any_clips_in_any_order(lengths, seed, data):
    features, valid = packed(lengths, seed)
    ids = data.draw(st.lists(st.sampled_from([*valid, "unknown"]), max_size=15))
    rows, counts, _ = features.read(ids)
    expected = [valid.get(name, np.empty((0, 3), np.float32)) for name in ids]
    assert counts.tolist() == [len(part) for part in expected]
    np.testing.assert_array_equal(rows, np.concatenate([np.empty((0, 3), np.float32), *expected]))


@settings(deadline=None)
@given(
    st.lists(st.integers(0, 5), min_size=1, max_size=15),
    st.integers(1, 5),
    st.none() | st.integers(1, 20),
    st.integers(0, 99),
)
def test_every_clip_is_served_once_with_its_own_rows(lengths, batch_size, chunk, seed):
    features, valid = packed(lengths, seed)
    loader = Loader(FeatureSet({"visual": features}), list(valid), batch_size=batch_size, chunk=chunk)
    order = np.random.default_rng(seed).permutation(len(lengths))
    batches = served(loader, order, batch_size)
    assert [name for ids, _ in batches for name in ids] == [f"c{index}" for index in order]
    assert len(batches) == -(-len(lengths) // batch_size)
    assert all(len(ids) == batch_size for ids, _ in batches[:-1])
    for ids, rows in batches:
        for name, own in zip(ids, rows, strict=True):
            np.testing.assert_array_equal(own, valid[name])


@pytest.mark.parametrize("chunk", [None, 1, 4, 7, 1000])
def test_chunks_and_mapping_change_nothing(tmp_path, chunk):
    features, valid = packed([3, 5, 1, 4, 2, 6, 3, 2, 5, 1, 1])
    order = np.random.default_rng(1).permutation(11)
    whole = served(Loader(FeatureSet({"visual": features}), list(valid), batch_size=3), order)
    on_disk = FeatureSet({"visual": mapped(features, tmp_path)})
    loader = Loader(on_disk, list(valid), batch_size=3, chunk=chunk)
    for _ in range(2):  # a second pass, when some clips are resident
        for (ids, rows), (expected_ids, expected) in zip(served(loader, order), whole, strict=True):
            assert ids == expected_ids
            assert all(np.array_equal(own, other) for own, other in zip(rows, expected, strict=True))


@pytest.mark.skipif(not Path("/proc/self/smaps").exists(), reason="reads what Linux tells of mappings")
def test_what_was_read_of_a_mapped_file_does_not_stay_resident(tmp_path):
    features, valid = packed([50] * 40, dimension=512)
    on_disk = mapped(features, tmp_path)
    rows, _, _ = on_disk.read(list(valid))
    np.testing.assert_array_equal(rows, np.concatenate(list(valid.values())))
    entries = Path("/proc/self/smaps").read_text().split("\n")
    begun = next(index for index, line in enumerate(entries) if str(tmp_path) in line and "embeddings" in line)
    resident = next(line for line in entries[begun:] if line.startswith("Rss:"))
    assert int(resident.split()[1]) == 0


def test_no_more_clips_are_held_than_the_chunk_says():
    features, valid = packed([2] * 20)
    held = []

    class Watched(ModalityFeatures):
        def read(self, ids: Sequence[str]) -> tuple[Rows, NDArray[np.int64], Rows]:
            held.append(len(ids))
            return super().read(ids)

    watched = Watched(features.embeddings, features.valid_rows, features.starts, features.position)
    served(Loader(FeatureSet({"visual": watched}), list(valid), batch_size=3, chunk=8), np.arange(20))
    assert held == [6, 6, 6, 2]


def test_usable_when_any_modality_has_a_row():
    visual, _ = packed([2, 0, 3])
    silent = ModalityFeatures.from_arrays(
        np.zeros((2, 4), np.float32), np.array([0, 1, 2]), np.array([0, 3], np.uint8), ["c1", "c2"]
    )
    visual = ModalityFeatures(visual.embeddings, visual.valid_rows, np.array([0, 0, 0, 0]), visual.position)
    both = FeatureSet({"visual": visual, "audio": silent})
    assert both.usable(["c0", "c1", "c2", "other"]).tolist() == [False, True, False, False]
    assert both.dimensions == {"visual": 3, "audio": 4}


def test_rows_are_served_with_their_seconds():
    offsets, states = np.array([0, 3, 4]), np.array([0, 1, 0, 0], np.uint8)
    times = np.array([0.0, 0.5, 1.25, 7.0])
    features = ModalityFeatures.from_arrays(np.ones((4, 2), np.float32), offsets, states, ["a", "b"], times=times)
    loader = Loader(FeatureSet({"visual": features}), ["b", "missing", "a"], batch_size=3)
    [(_, inputs)] = loader.batches([np.arange(3)])
    batch = inputs["visual"]
    served_times = [row[mask].tolist() for row, mask in zip(batch.times, batch.mask, strict=True)]
    assert served_times == [[7.0], [], [0.0, 1.25]]


IDS = [f"{number:03d}" for number in range(60)]


def version(value: float, ids: list[str]) -> ModalityFeatures:
    """Return two rows a clip: the version's value, and the clip's number."""
    rows = np.array([[value, float(clip_id)] for clip_id in ids for _ in range(2)], dtype=np.float32)
    offsets = np.arange(0, 2 * len(ids) + 1, 2)
    return ModalityFeatures.from_arrays(rows, offsets, np.zeros(len(rows), np.uint8), ids)


def versions_loader(others: tuple[ModalityFeatures, ...], seed: int = 5, chunk: int | None = None) -> Loader:
    """Return a loader of plain and other visual embeddings, and of audio that has one version."""
    plain = FeatureSet({"visual": version(0, IDS), "audio": version(7, IDS)})
    return Loader(plain, IDS, versions={"visual": others}, seed=seed, batch_size=16, chunk=chunk)


def shown(made: Loader, epoch: int) -> NDArray[np.float64]:
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
    made = versions_loader((version(1, IDS), version(2, IDS)))
    epochs = np.stack([shown(made, epoch) for epoch in range(1, 31)])
    assert set(np.unique(epochs)) == {0, 1, 2}
    shares = [(epochs == value).mean() for value in (0, 1, 2)]
    assert min(shares) > 0.28
    assert all(len(set(clip)) == 3 for clip in epochs.T)
    assert made.ids == tuple(IDS)


def test_the_draw_depends_on_seed_and_epoch_alone():
    first = shown(versions_loader((version(1, IDS),)), 3)
    again = versions_loader((version(1, IDS),), chunk=16)
    shown(again, 1)
    assert shown(again, 3).tolist() == first.tolist()
    assert shown(again, 4).tolist() != first.tolist()
    assert shown(versions_loader((version(1, IDS),), seed=6), 3).tolist() != first.tolist()


def test_a_clip_without_a_version_keeps_the_plain_one():
    made = versions_loader((version(1, IDS[:30]),))
    epochs = np.stack([shown(made, epoch) for epoch in range(1, 9)])
    assert not epochs[:, 30:].any()
    assert epochs[:, :30].any()
