"""Run folders by path or name, and what they were made from, so that later commands need a run's name alone."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from eri.data import load_clips
from eri.data.clips import ClipTable
from eri.storage import describe
from eri.utils.errors import RunError
from eri.utils.files import write_json

PathLike = str | Path

RUN = ("config.yaml",)
"""What makes a folder a run."""

_INPUTS = "inputs.json"


def note_inputs(folder: Path, data: PathLike, adapter: str | None, features: PathLike) -> None:
    """Leave in a run's folder what it was made from, so that later commands need its name alone."""
    inputs = {"data": describe(data), "adapter": adapter, "features": describe(features)}
    write_json(folder / _INPUTS, inputs)


def find_run(run: PathLike | None, runs: Path, *, marks: Sequence[str] = RUN) -> Path:
    """Return a run folder by path, by name, or the newest.

    Args:
        run: A path, a name in ``runs``, or None for the newest run there.
        runs: Folder that run folders stand in.
        marks: A folder that is asked for by name counts when it holds one of these files; by default only runs do, not
            cross-validations and ensembles.

    Raises:
        RunError: There is none.
    """
    if run is None:
        folders = [path.parent for path in runs.glob("[!.]*/config.yaml")]
        if not folders:
            raise RunError(f"{runs}: no run is there", hint="Train one first: eri train --modality visual")
        return max(folders, key=lambda folder: (folder / "config.yaml").stat().st_mtime_ns)
    for folder in (Path(run), runs / run):
        if any((folder / mark).is_file() for mark in marks):
            return folder
    names = sorted(path.parent.name for path in runs.glob("[!.]*/config.yaml"))
    raise RunError(
        f"{run}: not a run folder, nor the name of one in {runs}",
        hint=f"There: {', '.join(names)}" if names else "Train one first: eri train --modality visual",
    )


def find_inputs(
    run: Path, data: PathLike | None, adapter: str | None, features: PathLike | None
) -> tuple[ClipTable, Path]:
    """Return the clips and the feature cache that a run was trained on, or those that are named instead.

    Args:
        run: Run folder.
        data: None is what the run remembers.
        adapter: Reader of ``data``.
        features: None is what the run remembers.

    Raises:
        RunError: No data are named, and the run does not remember any.
        DataError: They cannot be read.
    """
    from eri.features.store import local_features

    recorded: dict[str, str | None] = {}
    if (run / _INPUTS).is_file():
        recorded = json.loads((run / _INPUTS).read_text(encoding="utf-8"))
    source = data or recorded.get("data")
    cache = features or recorded.get("features") or "features"
    if source is None:
        raise RunError(f"{run}: does not say what data it was trained on", hint="Name it: --data DIR")
    table = load_clips(Path(source), adapter or (None if data else recorded.get("adapter")))
    return table, local_features(cache)
