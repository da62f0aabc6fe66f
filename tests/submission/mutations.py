"""Every way in which the tests spoil a valid ERI submission, with the finding that must come of it.

A mutation takes the cells of a valid file (row 0 is the header) and the number of a row, counted from 1, and returns
the bytes of the spoilt file and the line on which it must be found (None: the file as a whole).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from eri.submission import Code, Severity

Rows = list[list[str]]
Spoilt = tuple[bytes, int | None]

TRAIN_ID = "[99998]"
"""A clip of the train split; the tests' tables hold it, and no clip with the id 99999."""


@dataclass(frozen=True)
class Mutation:
    """One way to spoil a file.

    Attributes:
        name: For the test's id.
        code: The finding that must come of it.
        spoil: Makes the bytes and names the line.
        elsewhere: Other lines may have findings, too.
        severity: Of the finding.
    """

    name: str
    code: Code
    spoil: Callable[[Rows, int], Spoilt]
    elsewhere: bool = False
    severity: Severity = "error"


def join(rows: Rows, separator: str = ",", end: str = "\n") -> bytes:
    """Return the bytes of a file with these cells."""
    return "".join(separator.join(row) + end for row in rows).encode()


def header(change: Callable[[list[str]], object]) -> Callable[[Rows, int], Spoilt]:
    def spoil(rows: Rows, row: int) -> Spoilt:
        change(rows[0])
        return join(rows), 1

    return spoil


def every_row(change: Callable[[list[str], int], object]) -> Callable[[Rows, int], Spoilt]:
    def spoil(rows: Rows, row: int) -> Spoilt:
        for number, cells in enumerate(rows):
            change(cells, number)
        return join(rows), 1

    return spoil


def identity(change: Callable[[str], str]) -> Callable[[Rows, int], Spoilt]:
    def spoil(rows: Rows, row: int) -> Spoilt:
        rows[row][0] = change(rows[row][0])
        return join(rows), row + 1

    return spoil


def value(text: str, column: int = 3) -> Callable[[Rows, int], Spoilt]:
    def spoil(rows: Rows, row: int) -> Spoilt:
        rows[row][column] = text
        return join(rows), row + 1

    return spoil


def whole(change: Callable[[bytes], bytes], line: int | None) -> Callable[[Rows, int], Spoilt]:
    return lambda rows, row: (change(join(rows)), line)


def swap_columns(rows: Rows, row: int) -> Spoilt:
    for cells in rows:
        cells[2], cells[5] = cells[5], cells[2]
    return join(rows), 1


def drop_column(rows: Rows, row: int) -> Spoilt:
    for cells in rows:
        del cells[7]
    return join(rows), 1


def no_header(rows: Rows, row: int) -> Spoilt:
    return join(rows[1:]), 1


def twice(rows: Rows, row: int) -> Spoilt:
    rows.insert(row, list(rows[row]))
    return join(rows), row + 2


def lose_row(rows: Rows, row: int) -> Spoilt:
    del rows[row]
    return join(rows), None


def append_id(clip_id: str) -> Callable[[Rows, int], Spoilt]:
    def spoil(rows: Rows, row: int) -> Spoilt:
        rows.append([clip_id, *rows[-1][1:]])
        return join(rows), len(rows)

    return spoil


def last_first(rows: Rows, row: int) -> Spoilt:
    rows[1:] = [rows[-1], *rows[1:-1]]
    return join(rows), 3


def constant(rows: Rows, row: int) -> Spoilt:
    for cells in rows[1:]:
        cells[4] = "0.500000000"
    return join(rows), None


def ragged(change: Callable[[list[str]], object]) -> Callable[[Rows, int], Spoilt]:
    def spoil(rows: Rows, row: int) -> Spoilt:
        change(rows[row])
        return join(rows), row + 1

    return spoil


def foreign_byte(rows: Rows, row: int) -> Spoilt:
    lines = join(rows).splitlines(keepends=True)
    lines[row] = lines[row].replace(b"]", b"]\xa0", 1)
    return b"".join(lines), row + 1


def blank_inside(rows: Rows, row: int) -> Spoilt:
    lines = join(rows).splitlines(keepends=True)
    lines.insert(row, b" \n")
    return b"".join(lines), row + 1


def blank_at_end(rows: Rows, row: int) -> Spoilt:
    return join(rows) + b"\n\n", len(rows) + 1


def one_row_by(separator: str) -> Callable[[Rows, int], Spoilt]:
    def spoil(rows: Rows, row: int) -> Spoilt:
        rows[row] = [separator.join(rows[row])]
        return join(rows), row + 1

    return spoil


def commas_for_points(rows: Rows, row: int) -> Spoilt:
    rows[row][1:] = [cell.replace(".", ",") for cell in rows[row][1:]]
    return join(rows), row + 1


def commas_in_semicolon_file(rows: Rows, row: int) -> Spoilt:
    for cells in rows[1:]:
        cells[1:] = [cell.replace(".", ",") for cell in cells[1:]]
    return join(rows, ";"), row + 1


MUTATIONS = [
    Mutation("near miss", Code.COLUMN_NAME, header(lambda cells: cells.__setitem__(5, "Empathic Pain"))),
    Mutation("case", Code.COLUMN_NAME, header(lambda cells: cells.__setitem__(0, "file_id"))),
    Mutation("typing error", Code.COLUMN_NAME, header(lambda cells: cells.__setitem__(2, "Amusment"))),
    Mutation("other name in place", Code.COLUMN_NAME, header(lambda cells: cells.__setitem__(0, "Filename"))),
    Mutation("space in header", Code.SPACES, header(lambda cells: cells.__setitem__(1, " Adoration"))),
    Mutation("no header", Code.HEADER_MISSING, no_header),
    Mutation("columns swapped", Code.COLUMN_ORDER, swap_columns),
    Mutation("column lost", Code.COLUMN_MISSING, drop_column),
    Mutation("header cell lost", Code.COLUMN_MISSING, header(lambda cells: cells.pop())),
    Mutation("column too many", Code.COLUMN_EXTRA, every_row(lambda cells, row: cells.append("22" if row else "Age"))),
    Mutation("column twice", Code.COLUMN_EXTRA, every_row(lambda cells, row: cells.append(cells[1]))),
    Mutation("header cell too many", Code.COLUMN_EXTRA, header(lambda cells: cells.append("Age"))),
    Mutation("index", Code.INDEX_COLUMN, every_row(lambda cells, row: cells.insert(0, str(row - 1) if row else ""))),
    Mutation(
        "named index", Code.INDEX_COLUMN, every_row(lambda cells, row: cells.insert(0, str(row) if row else "index"))
    ),
    Mutation("no brackets", Code.ID_BRACKETS, identity(lambda cell: cell.strip("[]"))),
    Mutation("half a bracket", Code.ID_FORM, identity(lambda cell: cell.strip("]"))),
    Mutation("not five digits", Code.ID_FORM, identity(lambda cell: "[" + cell[2:])),
    Mutation("six digits", Code.ID_FORM, identity(lambda cell: "[0" + cell[1:])),
    Mutation("float id", Code.ID_FORM, identity(lambda cell: cell.replace("]", ".0]"))),
    Mutation("empty id", Code.ID_FORM, identity(lambda cell: "")),
    Mutation("space in id", Code.SPACES, identity(lambda cell: cell + " ")),
    Mutation("row twice", Code.ID_DUPLICATE, twice),
    Mutation("row lost", Code.ID_MISSING, lose_row),
    Mutation("clip of train", Code.ID_SPLIT, append_id(TRAIN_ID)),
    Mutation("unknown clip", Code.ID_UNKNOWN, append_id("[99999]")),
    Mutation("unsorted", Code.UNSORTED, last_first),
    Mutation("empty value", Code.VALUE_EMPTY, value("")),
    Mutation("text value", Code.VALUE_TEXT, value("high")),
    Mutation("word for nothing", Code.VALUE_TEXT, value("NA")),
    Mutation("underscore", Code.VALUE_TEXT, value("0_1")),
    Mutation("nan", Code.VALUE_NOT_FINITE, value("nan")),
    Mutation("infinity", Code.VALUE_NOT_FINITE, value("-inf")),
    Mutation("above", Code.VALUE_RANGE, value("1.000000001")),
    Mutation("below", Code.VALUE_RANGE, value("-1e-9")),
    Mutation("space before value", Code.SPACES, value(" 0.5"), severity="warning"),
    Mutation("quoted value", Code.QUOTED, value('"0.5"'), severity="warning"),
    Mutation("quoted decimal comma", Code.DECIMAL_COMMA, value('"0,5"')),
    Mutation("decimal commas", Code.DECIMAL_COMMA, commas_for_points),
    Mutation("decimal commas and semicolons", Code.DECIMAL_COMMA, commas_in_semicolon_file, elsewhere=True),
    Mutation("constant", Code.CONSTANT_COLUMN, constant),
    Mutation("cell lost", Code.RAGGED_ROW, ragged(lambda cells: cells.pop())),
    Mutation("cell too many", Code.RAGGED_ROW, ragged(lambda cells: cells.append("x"))),
    Mutation("trailing comma", Code.RAGGED_ROW, ragged(lambda cells: cells.append(""))),
    Mutation("semicolons", Code.SEPARATOR, lambda rows, row: (join(rows, ";"), 1)),
    Mutation("tabs", Code.SEPARATOR, lambda rows, row: (join(rows, "\t"), 1)),
    Mutation("semicolons in a row", Code.SEPARATOR, one_row_by(";")),
    Mutation("windows line ends", Code.LINE_ENDS, lambda rows, row: (join(rows, end="\r\n"), 1), severity="warning"),
    Mutation("blank inside", Code.BLANK_LINE, blank_inside, severity="warning"),
    Mutation("blank at the end", Code.BLANK_LINE, blank_at_end, severity="warning"),
    Mutation("byte-order mark", Code.BYTE_ORDER_MARK, whole(lambda data: b"\xef\xbb\xbf" + data, 1)),
    Mutation("utf-16", Code.ENCODING, whole(lambda data: data.decode().encode("utf-16"), None)),
    Mutation("utf-16 without mark", Code.ENCODING, whole(lambda data: data.decode().encode("utf-16-be"), None)),
    Mutation("latin-1", Code.ENCODING, foreign_byte),
    Mutation("empty file", Code.EMPTY, whole(lambda _: b"", None)),
    Mutation("nothing but space", Code.EMPTY, whole(lambda _: b"\n \n", None)),
    Mutation("binary", Code.BINARY, whole(lambda data: data + bytes(7), None)),
    Mutation("many bytes", Code.TOO_LARGE, whole(lambda data: data + b"0" * 100_000, None)),
    Mutation("many lines", Code.TOO_LARGE, whole(lambda data: data + b"\n" * 10_000, None)),
]
