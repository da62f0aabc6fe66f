"""Cached face crops: read back as they were, proving themselves like features do."""

from __future__ import annotations

import numpy as np
import pytest

from eri.features.crops import holds_crops, open_crops
from eri.features.packing import pack
from eri.media.state import State
from eri.utils.errors import StoreError
from tests.factories.crops import NOBODY, coloured_pictures, crop_folder, crop_sequence
from tests.factories.store import alter, feature_folder, feature_sequence


@pytest.fixture
def folder(tmp_path):
    made = crop_folder(tmp_path, side=16)
    made.write("a", crop_sequence(coloured_pictures((0.9, 0.1, 0.5), 2, 16, 0)), NOBODY)
    made.write("b", crop_sequence(np.zeros((0, 16, 16, 3), np.uint8), [State.NO_FACE] * 3), NOBODY)
    shown = coloured_pictures((0.1, 0.9, 0.2), 1, 16, 1)
    made.write("c", crop_sequence(shown, [State.NO_FACE, State.VALID, State.BLACK_FRAME]), NOBODY)
    return made


def test_crops_come_back_clip_after_clip(folder):
    crops = open_crops(folder, ["a", "b", "c", "missing"])
    pictures, counts, times = crops.read(["c", "missing", "a", "b"])
    assert counts.tolist() == crops.counts(["c", "missing", "a", "b"]).tolist() == [1, 0, 2, 0]
    assert pictures.shape == (3, *crops.shape) == (3, 16, 16, 3)
    assert times.tolist() == [0.5, 0.0, 0.5]
    expected = coloured_pictures((0.1, 0.9, 0.2), 1, 16, 1)[0].mean(axis=(0, 1))
    assert np.abs(pictures[0].mean(axis=(0, 1)) - expected).max() < 2
    assert holds_crops(folder)


def test_a_damaged_file_is_named_and_written_again_by_the_next_extraction(folder):
    crops = open_crops(folder, ["a", "c"])
    alter(folder.feature_path("a"))
    with pytest.raises(StoreError, match=r"(?s)a\.safetensors.*eri extract"):
        crops.read(["a"])
    assert folder.take_inventory({"a": None, "c": None}).incomplete == ("a",)


def test_a_code_that_is_no_picture_is_named(folder):
    broken = crop_sequence(coloured_pictures((0, 0, 0), 1, 16, 0))
    broken.codes[:] = 7
    folder.write("a", broken, NOBODY)
    with pytest.raises(StoreError, match=r"(?s)a\.safetensors: a crop is not an image"):
        open_crops(folder, ["a"]).read(["a"])


def test_crops_of_another_size_are_refused(folder):
    crops = open_crops(folder, ["a"])
    folder.write("a", crop_sequence(coloured_pictures((0, 0, 0), 2, 24, 0)), NOBODY)
    with pytest.raises(StoreError, match="replaced while"):
        crops.read(["a"])


def test_crops_and_embeddings_are_not_taken_for_each_other(folder, tmp_path):
    embeddings = feature_folder(tmp_path)
    embeddings.write("a", feature_sequence(), NOBODY)
    with pytest.raises(StoreError, match="face crops, not embeddings"):
        folder.read("a")
    with pytest.raises(StoreError, match="embeddings, not face crops"):
        embeddings.read_crops("a")
    with pytest.raises(StoreError, match="not packed"):
        pack(folder, ["a"])
    assert not holds_crops(embeddings)


def test_a_folder_without_any_of_the_clips_says_what_to_do(folder):
    with pytest.raises(StoreError, match="none of the 1 clips has face crops"):
        open_crops(folder, ["other"])


def test_the_fingerprint_follows_the_pictures(folder):
    before = open_crops(folder, ["a", "c"]).fingerprint
    assert open_crops(folder, ["c", "a"]).fingerprint == before
    folder.write("a", crop_sequence(coloured_pictures((0, 0, 0), 2, 16, 0)), NOBODY)
    assert open_crops(folder, ["a", "c"]).fingerprint != before
