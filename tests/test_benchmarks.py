"""Every benchmark runs at small sizes and gives rows; how fast it is, no test asks."""

import math

import pytest

from benchmarks.__main__ import BENCHMARKS, run
from benchmarks.harness import Bar, Row, alternate, report

CLUSTERED = "ray-overhead"
"""Starts a cluster for each round: runs with the tests that do so too."""


@pytest.mark.slow
@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=pytest.mark.faults) if name == CLUSTERED else name for name in BENCHMARKS]
)
def test_runs_at_small_sizes(name):
    rows = run(name, quick=True)
    assert rows
    for row in rows:
        assert row.ours
        assert all(math.isfinite(value) and value >= 0 for value in (*row.ours, *row.reference, *row.ratios))
        assert row.name in report(rows, [f"{name} 0.0"])


def test_work_and_reference_take_turns():
    calls = []
    ours, reference = alternate(lambda: calls.append("ours"), lambda: calls.append("reference"), rounds=2, warm_up=1)
    assert calls == ["ours", "reference"] * 3
    assert len(ours) == len(reference) == 2


@pytest.mark.parametrize(
    ("bar", "met"),
    [
        (Bar("at_least", 2.0), True),
        (Bar("at_least", 2.1), False),
        (Bar("at_most", 0.5, of="growth"), True),
        (Bar("at_most", 0.4, of="growth"), False),
        (Bar("at_most", 2.0, of="ours"), True),
        (Bar("at_most", 1.9, of="ours"), False),
    ],
)
def test_bars(bar, met):
    row = Row("work", (1.0, 2.0, 3.0), (2.0, 4.0, 9.0), "s", bar)
    assert row.ratio == 2.0
    assert row.met is met
    assert ("**no**" in report([row], ["work 0.0"])) is not met


def test_a_row_without_a_bar_only_informs():
    assert Row("work", (1.0,), (), "s").met is None
