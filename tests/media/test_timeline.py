"""Even times and the picture on screen at each of them, for any clip."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from eri.media.timeline import even_times, on_screen

spans = st.tuples(st.floats(-1e4, 1e4), st.floats(0, 1e5)).map(lambda pair: (pair[0], pair[0] + pair[1]))
onsets = st.lists(st.floats(-10, 1000), min_size=1, max_size=60, unique=True).map(lambda times: np.array(sorted(times)))


@given(spans, st.integers(1, 200))
def test_times_are_the_centres_of_equal_parts(span, count):
    start, end = span
    times = even_times(start, end, count)
    assert len(times) == count
    assert (times >= start).all()
    assert (times <= end).all()
    part = (end - start) / count
    np.testing.assert_allclose(times - start, part * (np.arange(count) + 0.5), atol=1e-8)


@given(spans, st.integers(1, 50))
def test_times_do_not_depend_on_where_the_clock_starts(span, count):
    start, end = span
    np.testing.assert_allclose(even_times(0.0, end - start, count), even_times(start, end, count) - start, atol=1e-8)


@pytest.mark.parametrize(
    ("start", "end", "count"), [(0.0, 1.0, 0), (1.0, 0.0, 4), (0.0, np.inf, 4), (np.nan, 1.0, 4), (0.0, 1.0, -1)]
)
def test_a_span_that_cannot_be_is_refused(start, end, count):
    with pytest.raises(ValueError, match=r"span|count"):
        even_times(start, end, count)


@given(onsets, st.lists(st.floats(-20, 1100), min_size=1, max_size=40))
def test_the_picture_on_screen_is_the_last_that_has_appeared(appear, asked):
    for time, index in zip(asked, on_screen(appear, np.array(asked)), strict=True):
        earlier = [number for number, onset in enumerate(appear) if onset <= time]
        assert index == (earlier[-1] if earlier else 0)


@given(onsets, st.integers(1, 100))
def test_rows_follow_the_clip_and_long_ones_use_each_picture_at_most_as_often_as_needed(appear, count):
    rows = on_screen(appear, even_times(float(appear[0]), float(appear[-1]) + 1.0, count))
    assert (np.diff(rows) >= 0).all()
    assert rows.min() >= 0
    assert rows.max() < len(appear)


def test_no_pictures_are_refused():
    with pytest.raises(ValueError, match="no frames"):
        on_screen(np.array([]), np.array([1.0]))
