"""Laying out epochs: every clip once, steps large enough, shared out among processes."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from eri.training.processes import ProcessRank, current_rank, plan_steps


@settings(deadline=None)
@given(st.integers(1, 40), st.integers(1, 9), st.integers(1, 4), st.integers(1, 12))
def test_steps_keep_every_clip_in_order_and_are_large_enough(clips, batch_size, size, least):
    least = min(least, batch_size * size, clips)
    found = plan_steps(np.arange(clips), batch_size, size, least)
    assert [clip for step in found for batch in step for clip in batch] == list(range(clips))
    assert all(len(step) == size for step in found[:-1])
    assert sum(len(batch) for batch in found[-1]) >= least


@given(st.integers(0, 20), st.integers(1, 5))
def test_processes_share_a_batch_without_overlap(clips, world):
    batch = np.random.default_rng(clips).permutation(clips)
    own = [ProcessRank(rank, world).own(batch).tolist() for rank in range(world)]
    assert sorted(clip for part in own for clip in part) == list(range(clips))
    assert max(map(len, own)) - min(map(len, own)) <= 1


def test_a_process_that_was_not_started_with_others_is_the_only_one(monkeypatch):
    monkeypatch.setenv("RANK", "3")
    monkeypatch.delenv("TORCHELASTIC_RUN_ID", raising=False)
    assert current_rank() == ProcessRank(0, 1)
    monkeypatch.setenv("TORCHELASTIC_RUN_ID", "some")
    monkeypatch.setenv("WORLD_SIZE", "4")
    assert current_rank() == ProcessRank(3, 4)
    assert not current_rank().writes
