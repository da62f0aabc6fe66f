"""What :func:`eri.extract_file` needs: extractors by name, media files as clips, features as a table."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from pydantic import ValidationError

from eri.config import ExtractorConfig, describe_misfits
from eri.config import parse_extractor as parse_section
from eri.config.loading import apply_override
from eri.config.tasks import TASKS
from eri.data.clips import Clip, ClipTable
from eri.features.store import find_folder
from eri.prediction.loading import clip_id_of
from eri.prediction.videos import find_videos
from eri.utils.errors import ConfigError

if TYPE_CHECKING:
    from eri.api.choices import PathLike


def parse_extractor(extractor: str | ExtractorConfig, overrides: Sequence[str] = ()) -> ExtractorConfig:
    """Return the config of an extractor, by its name or given, changed by dotted ``key=value`` strings.

    Examples:
        >>> parse_extractor("mfcc", ["hop=0.5"]).hop
        0.5
    """
    values: dict[str, Any] = {"extractor": extractor} if isinstance(extractor, str) else extractor.model_dump()
    for override in overrides:
        apply_override(values, override)
    try:
        return parse_section(values)
    except ValidationError as error:
        raise ConfigError(f"extractor '{values['extractor']}': {describe_misfits(error)}") from error


def clips_of(named: Sequence[PathLike]) -> tuple[ClipTable, Mapping[str, Path]]:
    """Return media files as a table of clips, and the file of each clip id in the order named."""
    files = {clip_id_of(path): path for path in find_videos(named)}
    clips = tuple(Clip(clip_id, "test", video=files[clip_id]) for clip_id in sorted(files))
    return ClipTable("files", Path.cwd(), next(iter(TASKS.values())), clips), files


def features_frame(features: Path, config: ExtractorConfig, files: Mapping[str, Path]) -> pd.DataFrame:
    """Return the features in a store as one table, see :func:`eri.extract_file`; not of face crops."""
    opened = find_folder(features, config)
    found = opened.entries(files)
    values, index = [], list[tuple[str, float, float]]()
    for clip_id, path in files.items():
        if clip_id in found:
            rows = opened.read(clip_id)
            edges = _edges(rows.times)
            values.append(np.where(rows.mask[:, None], rows.embeddings, np.nan).astype(np.float32))
            index.extend((str(path), start, end) for start, end in pairwise(edges))
    names = pd.MultiIndex.from_tuples(index, names=("file", "start", "end"))
    return pd.DataFrame(np.concatenate(values), index=names)


def _edges(times: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return where rows begin and end whose times are their middles, one more than there are times."""
    inner = (times[:-1] + times[1:]) / 2
    first, last = (inner[0], inner[-1]) if len(inner) else (2 * times[0], 0.0)
    return np.concatenate([[max(0.0, 2 * times[0] - first)], inner, [2 * times[-1] - last]])
