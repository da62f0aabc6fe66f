"""How well apexes are located: by hand."""

from __future__ import annotations

import numpy as np
import pytest

from eri.reports.activation import ActivationMap
from eri.reports.localization import Localization, score_localization

SPANS = np.array([[0.0, 1.0], [0.5, 1.5], [1.0, 2.0]])


def peak(at: int) -> ActivationMap:
    return ActivationMap(SPANS, np.where(np.arange(3) == at, 0.8, 0.1)[None])


def test_by_hand():
    maps = [peak(0), peak(1), peak(2), peak(0)]
    # The second sub-video shows all of the first apex, the first two show all of the second; the third is hit; the
    # last lies outside.
    found = score_localization(maps, [(0.4, 1.2), (0.6, 0.9), (1.8, 1.8), (3.0, 4.0)])
    assert (found.located, found.annotated, found.outside) == (2, 3, 1)
    assert found.accuracy == pytest.approx(2 / 3)
    assert found.chance == pytest.approx((1 / 3 + 2 / 3 + 1 / 3) / 3)


def test_pieces_within_a_long_apex_show_as_much_of_it_whatever_the_rounding():
    rounded = SPANS + np.array([[0.0, 1e-6], [1e-6, 0.0], [0.0, -1e-6]])
    maps = [ActivationMap(rounded, np.where(np.arange(3) == at, 0.8, 0.1)[None]) for at in range(3)]
    found = score_localization(maps, [(-1.0, 5.0)] * 3)
    assert (found.accuracy, found.chance) == (1.0, 1.0)


def test_an_annotated_piece_is_found_only_by_itself():
    for index, span in enumerate(SPANS):
        apex = (float(span[0]), float(span[1]))
        assert [score_localization([peak(at)], [apex]).located for at in range(3)] == [
            int(at == index) for at in range(3)
        ]


def test_without_annotations_there_is_no_figure():
    assert score_localization([peak(0)], [None]) == Localization(None, None, 0, 0, 0)


def test_a_map_for_each_label():
    shown = ActivationMap(SPANS, np.array([[0.8, 0.1, 0.1], [0.1, 0.1, 0.8]]), ("Joy", "Fear"))
    apex = (1.6, 1.9)
    assert score_localization([shown], [apex], labels=[1]).accuracy == 1.0
    assert score_localization([shown], [apex], labels=[0]).accuracy == 0.0


def test_numbers_must_agree():
    with pytest.raises(ValueError, match="as many apexes"):
        score_localization([peak(0)], [])
