"""Tables fit the screen, and no word of a cell is split over lines."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as some

import eri
from eri.cli.app import main
from eri.cli.tables import fit_widths, show_table

WORDS = some.text("abcdefghij[]é", min_size=1, max_size=30)
CELLS = some.lists(WORDS, max_size=6).map(" ".join)


@given(some.integers(2, 7).flatmap(lambda n: some.lists(some.lists(CELLS, min_size=n, max_size=n), max_size=4)))
@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
def test_every_word_is_whole_at_80_columns(capsys, monkeypatch, rows):
    monkeypatch.setenv("COLUMNS", "80")
    show_table("title", [f"h{number}" for number in range(len(rows[0]) if rows else 2)], rows)
    words = set(capsys.readouterr().out.split())
    assert {word for row in rows for cell in row for word in cell.split()} <= words


@given(some.lists(some.lists(CELLS, min_size=2, max_size=2), min_size=1, max_size=6), some.integers(20, 120))
def test_widths_fit(columns, width):
    widths = fit_widths(columns, width)
    least = [max([len(word) for cell in column for word in cell.split()] or [0]) for column in columns]
    if widths is None:
        assert sum(least) + 3 * len(columns) + 1 > width
    else:
        assert sum(widths) + 3 * len(columns) + 1 <= width
        assert all(given >= needed for given, needed in zip(widths, least, strict=True))


@pytest.mark.parametrize("width", [60, 80, 120])
def test_the_configs_are_shown_whole(capsys, monkeypatch, width):
    monkeypatch.setenv("COLUMNS", str(width))
    with pytest.raises(SystemExit):
        main(["configs"])
    words = set(capsys.readouterr().out.replace("│", " ").split())
    for name, row in eri.configs().iterrows():
        assert {str(name), *row["description"].split()} <= words
