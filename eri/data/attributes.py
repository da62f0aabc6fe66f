"""What a data set says about its clips beside their labels, such as the country and age of whom they show."""

from __future__ import annotations

from typing import TYPE_CHECKING

from eri.data.clips import ClipTable
from eri.data.tables import read_table
from eri.utils.errors import DataError

if TYPE_CHECKING:
    import pandas as pd

_TABLE = "data_info.csv"
_COUNTRY, _AGE = "Country", "Age"
_BANDS = ((20.0, "under 20"), (30.0, "20 to 29"), (40.0, "30 to 39"), (50.0, "40 to 49"), (float("inf"), "50 and over"))


def read_attributes(table: ClipTable) -> pd.DataFrame:
    """Read the country and the age band of every clip, where the data set gives them.

    Only the layout of ABAW5 does. A cell that says nothing is the empty string.

    Args:
        table: The clips.

    Returns:
        Index ``clip_id`` in the table's order; columns ``country`` and ``age``, or none.
    """
    import pandas as pd

    ids = [clip.id for clip in table]
    frame = pd.DataFrame(index=pd.Index(ids, name="clip_id", dtype=object))
    try:
        source = read_table(table.root / _TABLE)
        id_position, age, country = source.positions((table.id_column, _AGE, _COUNTRY))
    except DataError:
        return frame
    cells = {row[id_position].strip('"[]').zfill(table.task.id_digits or 0): row for row in source.rows}
    told = [cells.get(clip_id) for clip_id in ids]
    frame["country"] = ["" if row is None else row[country] for row in told]
    frame["age"] = ["" if row is None else age_band(row[age]) for row in told]
    return frame


def age_band(cell: str) -> str:
    """Return the band of an age in years; the empty string where it is none.

    Examples:
        >>> age_band("22.5"), age_band("50"), age_band("")
        ('20 to 29', '50 and over', '')
    """
    try:
        years = float(cell)
    except ValueError:
        return ""
    return next((name for limit, name in _BANDS if years < limit), "")
