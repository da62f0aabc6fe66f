"""Charts of awkward values: none, one, a constant, undefined, thousands; every name escaped, nothing that collides."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from typing import Any
from xml.etree import ElementTree

import matplotlib as mpl
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from markupsafe import Markup

from eri.reports.charts import (
    Bar,
    Row,
    draw_histogram,
    draw_intervals,
    draw_lines,
    draw_matrix,
    draw_pairs,
    draw_panel,
    draw_waveform,
)
from eri.reports.sheet import spanning

NAME = "<script>&\"'😀 $x_1$ \x00\udc80\n" + "x" * 200
EDGES = np.linspace(0, 1, 5)
CHARTS: dict[str, Callable[[], Markup]] = {
    "intervals": lambda: draw_intervals([Row(NAME, (Bar(0.5, 0.4, 0.6),), strong=True)], NAME, NAME),
    "histogram": lambda: draw_histogram(EDGES, [np.zeros(4), np.array([0.5, 0.0, 0.0, 0.5])], NAME, NAME),
    "lines": lambda: draw_lines([1.0, 2.0], [[0.1, 0.2], [0.2, None]], NAME, (NAME, NAME), chosen=2.0),
    "panel": lambda: draw_panel(EDGES, EDGES, NAME, (NAME, NAME), (0.0, 1.0), names=[NAME] * 5, joined=True),
    "matrix": lambda: draw_matrix(np.eye(2), ["a", NAME], [["1", NAME]] * 2, NAME, (NAME, NAME)),
    "pairs": lambda: draw_pairs([NAME], [0.2], [0.4], (0.0, 1.0), NAME),
    "outline": lambda: draw_waveform(EDGES, NAME),
}


def parse(svg: Markup) -> ElementTree.Element:
    """Return a picture, which must be well-formed XML whose every coordinate is finite."""
    root = ElementTree.fromstring(svg)
    for one in root.iter():
        for key in {"x", "y", "d", "transform"} & set(one.attrib):
            assert "nan" not in one.attrib[key]
            assert "inf" not in one.attrib[key]
    return root


def styled(svg: Markup, **wanted: str) -> list[ElementTree.Element]:
    """Return the shapes whose style has these settings; an underscore stands for a hyphen."""
    settings = {f"{name.replace('_', '-')}:{value}" for name, value in wanted.items()}
    return [one for one in parse(svg).iter() if settings <= set(one.attrib.get("style", "").split(";"))]


@pytest.mark.parametrize("kind", CHARTS)
def test_a_picture_is_named_and_takes_its_colours_from_the_page(kind):
    svg = CHARTS[kind]()
    root = parse(svg)
    assert root.attrib["role"] == "img"
    assert root.attrib["aria-label"].startswith("<script>&\"'😀 $x_1$")
    assert "<script>" not in svg
    assert set(re.findall(r"(?:fill|stroke):([^;\"]+)", svg)) <= {"none", *re.findall(r"var\(--[a-z0-9-]+\)", svg)}
    assert "var(--" in svg


@pytest.mark.parametrize("kind", CHARTS)
def test_nothing_in_a_picture_can_collide_with_another_or_reach_the_page(kind):
    svg = CHARTS[kind]()
    assert not re.search(r"\bid=|href|url\(|<style|<defs|<metadata|<!--|font-family", svg)
    assert svg == CHARTS[kind](), "the same values give the same picture"


def test_names_are_shown_letter_by_letter():
    svg = draw_intervals([Row("$x_1$ & <b>", (Bar(0.5),))], "label", "$\\alpha$")
    texts = [one.text for one in parse(svg).iter("text")]
    assert "$x_1$ & <b>" in texts
    assert "$\\alpha$" in texts


def test_drawing_leaves_the_settings_of_matplotlib_alone():
    before = dict(mpl.rcParams)
    CHARTS["panel"]()
    assert dict(mpl.rcParams) == before


@pytest.mark.parametrize(
    "bars", [(Bar(None),), (Bar(math.nan),), (Bar(0.5, 0.4, 0.6),), (Bar(-0.5), Bar(None), Bar(0.2, 0.1, 0.3))]
)
def test_intervals(bars):
    rows = [Row(NAME, bars, strong=True), Row("published", (Bar(0.4),), hollow=True)]
    svg = draw_intervals(rows, NAME, "Pearson")
    assert ("undefined" in svg) == any(bar.value is None or math.isnan(bar.value) for bar in bars)
    assert len(styled(svg, fill="var(--paper)", stroke="var(--ink)")) == 1
    assert "published: 0.400" in svg


def test_a_lone_series_has_bars_and_several_have_marks():
    assert len(styled(draw_intervals([Row("a", (Bar(0.5),))], "", ""), fill="var(--series-0)")) == 1
    two = draw_intervals([Row("a", (Bar(0.5), Bar(0.2)))], "", "")
    for series in (0, 1):
        (mark,) = styled(two, fill=f"var(--series-{series})")
        assert mark.attrib["transform"].startswith("translate(")


def test_no_rows_at_all():
    parse(draw_intervals([], "nothing", "Pearson"))


@pytest.mark.parametrize("values", [np.full((3, 3), np.nan), np.full((3, 3), 0.5), -np.ones((3, 3))])
def test_matrix(values):
    svg = draw_matrix(values, ["a", NAME, "c"], [["1"] * 3] * 3, "matrix", ("y", "x"))
    squares = styled(svg, fill="var(--above)") + styled(svg, fill="var(--below)")
    assert len(squares) == np.isfinite(values).sum()


@pytest.mark.parametrize("line", [[None, None, None], [1.0, None, 3.0], [math.nan, 2.0, None], [5.0, 5.0, 5.0]])
def test_lines(line):
    svg = draw_lines([1.0, 2.0, 3.0], [line, [0.1, 0.2, 0.3]], "curves", ("epoch", "loss"), chosen=2.0)
    known = [value for value in line if value is not None and math.isfinite(value)]
    assert len(styled(svg, fill="var(--series-0)")) == (len(known) == 1), "a single value is a mark"
    assert "chosen" in svg


def test_a_panel_of_many_points_is_one_path():
    many = np.linspace(0, 1, 5000)
    (path,) = styled(draw_panel(many, many, "many", ("a", "b"), (0.0, 1.0)), stroke_linecap="round")
    assert path.attrib["d"].count("M") == 5000
    few = draw_panel(many[:3], many[:3], "few", ("a", "b"), (0.0, 1.0), names=[NAME, "b", "c"])
    (points,) = styled(few, stroke_linecap="round")
    assert [title.text for title in points.iter("title")][1:] == ["b", "c"]


def test_what_leaves_the_limits_of_a_panel_is_drawn_at_them():
    svg = draw_panel(np.array([0.5]), np.array([9.0]), "p", ("a", "b"), (0.0, 1.0), whiskers=[(-5.0, 9.0)], joined=True)
    heights = [float(one) for one in re.findall(r"M [\d.-]+ ([\d.-]+)", svg)]
    assert min(heights) >= 0
    assert max(heights) <= 198


def test_counts_have_whole_numbers_on_their_axis():
    rows = [Row("a", (Bar(1.0),)), Row("b", (Bar(2.0),))]
    texts = [one.text or "" for one in parse(draw_intervals(rows, "counts", "clips", whole=True)).iter("text")]
    assert [text for text in texts if text.replace(".", "").isdigit()] == ["0", "1", "2"]


@settings(max_examples=10, deadline=None)
@given(st.lists(st.floats(-1e9, 1e9) | st.none() | st.just(math.nan), max_size=5))
def test_any_values_can_be_drawn(values):
    low, high = spanning(values)
    assert low < high
    parse(draw_intervals([Row("a", tuple(Bar(value) for value in values))], "", ""))
    across: list[Any] = list(range(len(values)))
    parse(draw_lines(across, [values], "", ("", "")))
