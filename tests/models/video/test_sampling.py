"""Which frames a video model reads: within the clip, as the paper says, and the same in every evaluation."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from eri.models.video.sampling import last_frames, piece_frames, piece_starts, spread_frames


@given(available=st.integers(1, 200), count=st.integers(1, 40))
def test_last_frames_end_with_the_last(available, count):
    chosen = last_frames(available, count)
    assert len(chosen) == count
    assert chosen[-1] == available - 1
    distinct = chosen[: min(available, count)]
    assert distinct.tolist() == list(range(max(0, available - count), available))
    assert (chosen[len(distinct) :] == available - 1).all()


def test_a_clip_without_frames_is_refused():
    with pytest.raises(ValueError, match="without frames"):
        last_frames(0, 3)
    with pytest.raises(ValueError, match="without frames"):
        piece_starts(0, pieces=2, length=3, overlap=1, starts=4)


@st.composite
def pieces(draw):
    length = draw(st.integers(1, 20))
    return {
        "available": draw(st.integers(1, 160)),
        "pieces": draw(st.integers(1, 8)),
        "length": length,
        "overlap": draw(st.integers(0, length - 1)),
        "starts": draw(st.integers(1, 40)),
        "seed": draw(st.none() | st.integers(0, 2**16)),
    }


@given(case=pieces(), data=st.data())
def test_pieces_overlap_as_asked_and_stay_in_the_clip(case, data):
    available, seed = case.pop("available"), case.pop("seed")
    generator = None if seed is None else np.random.default_rng(seed)
    starts = piece_starts(available, generator=generator, **case)
    window = (case["pieces"] - 1) * (case["length"] - case["overlap"]) + case["length"]
    assert 0 <= starts[0] < case["starts"]
    assert (np.diff(starts) == case["length"] - case["overlap"]).all()
    if available >= window:
        assert starts[0] + window <= available
    else:
        assert starts[0] == 0

    count = data.draw(st.integers(1, case["length"]))
    frames = piece_frames(starts, available, length=case["length"], count=count, generator=generator)
    assert frames.shape == (case["pieces"], count)
    assert ((frames >= 0) & (frames < available)).all()
    for start, row in zip(starts, frames, strict=True):
        inside = row[row < available - 1]
        assert (np.diff(inside) > 0).all()
        assert ((inside >= start) & (inside < start + case["length"])).all()
        # Whatever lies beyond the end of the clip is its last frame.
        assert (row[len(inside) :] == available - 1).all()


def test_every_start_of_the_paper_is_drawn():
    generator = np.random.default_rng(0)
    settings = {"pieces": 7, "length": 15, "overlap": 5, "starts": 30}
    drawn = {int(piece_starts(105, generator=generator, **settings)[0]) for _ in range(600)}
    assert drawn == set(range(30))


def test_evaluation_reads_the_middle():
    starts = piece_starts(105, pieces=7, length=15, overlap=5, starts=30)
    frames = piece_frames(starts, 105, length=15, count=5)
    assert starts.tolist() == [15, 25, 35, 45, 55, 65, 75]
    assert frames[0].tolist() == [16, 19, 22, 25, 28]
    assert frames[-1].tolist() == [76, 79, 82, 85, 88]


def test_training_draws_frames_that_differ():
    starts = piece_starts(105, pieces=7, length=15, overlap=5, starts=30)
    generator = np.random.default_rng(1)
    first, second = (piece_frames(starts, 105, length=15, count=5, generator=generator) for _ in range(2))
    assert (first != second).any()
    assert len({tuple(row - start) for row, start in zip(first, starts, strict=True)}) > 1, "each piece has its own"


def test_frames_are_drawn_without_repeats_and_spread_evenly_otherwise():
    drawn = spread_frames(40, 16, np.random.default_rng(0))
    assert len(set(drawn.tolist())) == 16
    assert np.all(np.diff(drawn) > 0)
    assert spread_frames(32, 16, None).tolist() == list(range(1, 32, 2))
    assert spread_frames(16, 16, None).tolist() == list(range(16))
    assert spread_frames(2, 4, np.random.default_rng(0)).tolist() == [0, 1, 1, 1]
