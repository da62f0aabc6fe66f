"""Groups of clips that a system may treat differently: by whom they show, and by what is missing from them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from eri.data.attributes import read_attributes
from eri.features.folder import FeatureFolder
from eri.features.index import Entry
from eri.media.state import State
from eri.reports.pages.systems import System

_NAMES = {"country": "Country", "age": "Age", "visual": "Face", "audio": "Sound"}
_MOST = 12
"""Groups of one kind that are shown: the largest ones."""


def group_clips(system: System) -> dict[str, pd.Series[str]]:
    """Return the group of each clip of a system by what parts them; a part that has one group only is left out."""
    parts = read_attributes(system.table).reindex(list(system.ids))
    for modality, folder in system.folders.items():
        parts[modality] = describe_clips(folder, modality, system.ids)
    found = {}
    for column, groups in parts.items():
        known = groups[groups.ne("")]
        kept = set(known.value_counts().index[:_MOST])
        if len(kept) > 1:
            found[_NAMES[str(column)]] = known[known.isin(kept)]
    return found


def describe_clips(folder: FeatureFolder, modality: str, ids: Sequence[str]) -> list[str]:
    """Say of each clip what its features tell of its face, or of its sound."""
    entries = folder.entries(ids)
    describe = _face if modality == "visual" else _sound
    return [describe(entries, clip_id) for clip_id in ids]


def _face(entries: Mapping[str, Entry], clip_id: str) -> str:
    entry = entries.get(clip_id)
    if entry is None:
        return "no features"
    if not entry.state_counts[State.VALID]:
        return "black" if entry.state_counts[State.BLACK_FRAME] else "no face"
    missing = entry.rows - entry.state_counts[State.VALID]
    return "face in some frames" if missing else "face in every frame"


def _sound(entries: Mapping[str, Entry], clip_id: str) -> str:
    entry = entries.get(clip_id)
    if entry is None:
        return "no features"
    if not entry.state_counts[State.VALID]:
        return "no audio" if entry.state_counts[State.NO_AUDIO] else "silence"
    return "sound"


def members(groups: pd.Series[str], ids: Sequence[str]) -> list[tuple[str, NDArray[np.bool_]]]:
    """Return the groups in the order of their names, with which of the clips are in each, bool (clips,)."""
    own = groups.reindex(list(ids)).to_numpy(dtype=object)
    return [(name, np.array([one == name for one in own])) for name in sorted(set(groups), key=_order)]


def _order(name: str) -> tuple[bool, str]:
    return name != "under 20", name
