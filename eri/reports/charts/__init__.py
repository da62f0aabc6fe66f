"""Charts by matplotlib as SVG: colours and letters come from the page, so that they follow its light and dark."""

from eri.reports.charts.bars import Bar, Row, draw_bars, draw_histogram, draw_intervals
from eri.reports.charts.glimpses import draw_outline, draw_pairs
from eri.reports.charts.matrix import draw_matrix
from eri.reports.charts.plots import draw_lines, draw_panel

__all__ = [
    "Bar",
    "Row",
    "draw_bars",
    "draw_histogram",
    "draw_intervals",
    "draw_lines",
    "draw_matrix",
    "draw_outline",
    "draw_pairs",
    "draw_panel",
]
