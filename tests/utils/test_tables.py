"""Results show themselves in a few lines, however large they are."""

from __future__ import annotations

from eri.utils.tables import Shown, ShownList, Summary


class Rows(Shown):
    def __init__(self, *rows: tuple[object, ...], total: int | None = None) -> None:
        self.rows, self.total = rows, total

    def as_table(self) -> Summary:
        return Summary("Rows <1>", ("a", "b"), self.rows, self.total, ("a note & more",))


def test_text_is_a_table_with_what_is_left_out():
    text = repr(Rows(*[(number, 0.5) for number in range(10)], total=15_806))
    lines = text.splitlines()
    assert lines[:3] == ["Rows <1>", "a  b", "0  0.500"]
    assert lines[-2:] == ["… 15,796 more", "a note & more"]


def test_html_is_escaped():
    html = Rows(("<script>", None))._repr_html_()
    assert "<script>" not in html
    assert "&lt;script&gt;" in html
    assert "a note &amp; more" in html
    assert "<td></td>" in html


def test_long_cells_and_line_ends_are_cut():
    text = repr(Rows(("x" * 500 + "\nsecond", 1)))
    assert max(map(len, text.splitlines())) < 80
    assert "second" not in text


def test_without_rows_there_is_no_table():
    assert repr(Rows()) == "Rows <1>\na note & more"
    assert "<table" not in Rows()._repr_html_()


def test_a_list_of_records_stays_a_list():
    class Record:
        def __init__(self, line: int) -> None:
            self.line = line

    found = ShownList("findings", ("line",), [Record(number) for number in range(12)])
    assert "findings: 12" in repr(found)
    assert "… 2 more" in repr(found)
    assert len(found) == 12
    assert ShownList("findings", ("line",)) == []
    assert repr(ShownList("findings", ("line",))) == "findings: none"
