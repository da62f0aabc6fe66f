"""Charts of awkward values: none, one, a constant, undefined, thousands; every name escaped."""

from __future__ import annotations

import math
from xml.etree import ElementTree

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from eri.pages.charts import Bar, Row, draw_histogram, draw_intervals, draw_lines, draw_matrix, draw_panel
from eri.pages.charts.scales import Scale, spanning

_COORDINATES = ("x", "y", "x1", "x2", "y1", "y2", "cx", "cy", "width", "height")
NAME = "<script>&\"'😀" + "x" * 200


def numbers(svg: str) -> list[float]:
    """Return every coordinate of a picture, which must be well-formed XML."""
    found: list[float] = []
    for one in ElementTree.fromstring(svg).iter():
        found += [float(one.attrib[key]) for key in _COORDINATES if key in one.attrib]
    return found


@pytest.mark.parametrize("bars", [(Bar(None),), (Bar(0.5, 0.4, 0.6),), (Bar(-0.5), Bar(None), Bar(0.2, 0.1, 0.3))])
def test_intervals(bars):
    svg = draw_intervals([Row(NAME, bars, strong=True), Row("published", (Bar(0.4),), hollow=True)], NAME, "Pearson")
    assert all(map(math.isfinite, numbers(svg)))
    assert "<script>" not in svg


def test_a_lone_series_has_bars_and_several_have_marks():
    assert draw_intervals([Row("a", (Bar(0.5),))], "", "").count("<rect") == 1
    two = draw_intervals([Row("a", (Bar(0.5), Bar(0.2)))], "", "")
    assert two.count("<rect") == 0
    assert 'class="mark series-0"' in two
    assert 'class="mark series-1"' in two


@pytest.mark.parametrize("values", [np.full((3, 3), np.nan), np.eye(3), np.zeros((3, 3))])
def test_matrix(values):
    svg = draw_matrix(values, ["a", NAME, "c"], [["1"] * 3] * 3, "matrix", across="x", down="y")
    assert all(map(math.isfinite, numbers(svg)))
    assert svg.count("<rect") == np.isfinite(values).sum()


@pytest.mark.parametrize("line", [[None, None, None], [1.0, None, 3.0], [math.nan, 2.0, None], [5.0, 5.0, 5.0]])
def test_lines(line):
    svg = draw_lines([1.0, 2.0, 3.0], [line, [0.1, 0.2, 0.3]], "curves", "epoch", "loss", chosen=2.0)
    assert all(map(math.isfinite, numbers(svg)))


def test_a_panel_of_many_points_is_one_path():
    many = np.linspace(0, 1, 5000)
    assert draw_panel(many, many, "many", ("a", "b"), (0.0, 1.0)).count("<circle") == 0
    few = draw_panel(many[:3], many[:3], "few", ("a", "b"), (0.0, 1.0), names=[NAME, "b", "c"])
    assert few.count("<circle") == 3
    assert "&lt;script&gt;" in few


def test_histogram_of_nothing_and_of_something():
    edges = np.linspace(0, 1, 5)
    svg = draw_histogram(edges, [np.zeros(4), np.array([0.5, 0.0, 0.0, 0.5])], "spread", "seconds")
    assert all(map(math.isfinite, numbers(svg)))


@given(
    st.lists(st.floats(-1e9, 1e9) | st.none() | st.just(math.nan), max_size=5),
    st.floats(-1e6, 1e6),
    st.integers(1, 9),
)
def test_scales_have_ticks_inside_and_never_leave_their_pixels(values, value, count):
    low, high = spanning(values)
    assert low < high
    scale = Scale(low, high, 10.0, 90.0)
    assert 10.0 <= scale(value) <= 90.0
    ticks = scale.ticks(count)
    slack = (high - low) * 1e-6
    assert all(low - slack <= tick <= high + slack for tick in ticks)
    assert len(ticks) <= 2 * count + 2
