"""What a run folder holds of its boosters: text model files, what they are, and what they found important.

``boosters/<number>-<label>.txt`` are LightGBM's own text files with the trees that were kept. ``boosters.json`` names
them with their SHA-256; it is written last, so a run that has it is whole. ``importance.csv`` has one row for each
label and functional that a tree splits on, the most important first.
"""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import lightgbm
import numpy as np
from lightgbm.basic import LightGBMError

from eri.training.run_folder import Run
from eri.utils.errors import RunError
from eri.utils.files import sha256_file, write_json, write_text

MANIFEST, FOLDER, IMPORTANCE = "boosters.json", "boosters", "importance.csv"
_FORMAT = "eri-trees-1"


def write_booster(folder: Path, number: int, label: str, booster: lightgbm.Booster, trees: int) -> dict[str, Any]:
    """Write the text file of one booster, and return what the manifest says of it."""
    readable = re.sub(r"[^A-Za-z0-9]+", "-", label).strip("-")
    name = f"{FOLDER}/{number:02d}-{readable}.txt"
    write_text(folder / name, booster.model_to_string(num_iteration=trees))
    return {"file": name, "sha256": sha256_file(folder / name), "trees": trees}


def write_manifest(folder: Path, boosters: Mapping[str, dict[str, Any]], inputs: int, mean: float | None) -> None:
    """Write ``boosters.json``, the last file of a run.

    Args:
        folder: The run folder.
        boosters: What :func:`write_booster` returned, by label.
        inputs: Functionals that the boosters read.
        mean: Mean validation Pearson; None where undefined.
    """
    write_json(
        folder / MANIFEST, {"format": _FORMAT, "inputs": inputs, "val_pearson": mean, "boosters": dict(boosters)}
    )


def read_manifest(run: Run) -> dict[str, Any]:
    """Read ``boosters.json``.

    Raises:
        RunError: It is absent, because the run did not end, or damaged.
    """
    path = run.path / MANIFEST
    try:
        manifest: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        if manifest["format"] != _FORMAT or set(manifest["boosters"]) != set(run.task.labels):
            raise ValueError("it is of another format or task")
    except FileNotFoundError:
        raise RunError(
            f"{path}: the run has no boosters, its training did not end", hint="Train it: eri train with --resume."
        ) from None
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise RunError(f"{path}: not the boosters of a run: {error}", hint="Train again with --overwrite.") from error
    return manifest


def read_booster(run: Run, described: Mapping[str, Any]) -> lightgbm.Booster:
    """Read a booster whose file is as it was written.

    Raises:
        RunError: The file is absent, altered or damaged.
    """
    path = run.path / str(described["file"])
    hint = "Train again with --overwrite."
    try:
        if sha256_file(path) != described["sha256"]:  # LightGBM trusts what it reads
            raise RunError(f"{path}: is not as it was written", hint=hint)
        return lightgbm.Booster(model_str=path.read_text(encoding="utf-8"))
    except (OSError, ValueError, LightGBMError) as error:
        raise RunError(f"{path}: not a booster of this run: {error}", hint=hint) from error


def importance_rows(
    label: str, booster: lightgbm.Booster, trees: int, names: Sequence[str]
) -> list[tuple[str, str, float, int]]:
    """Return (label, functional, share of the total gain, splits) of what a booster splits on, largest gain first."""
    gains = np.asarray(booster.feature_importance("gain", iteration=trees), dtype=np.float64)
    splits = booster.feature_importance("split", iteration=trees)
    order = [int(index) for index in np.argsort(-gains, kind="stable") if splits[index]]
    total = gains.sum() or 1.0
    return [(label, names[index], float(gains[index] / total), int(splits[index])) for index in order]


def write_importance(folder: Path, rows: Sequence[tuple[str, str, float, int]]) -> None:
    """Write ``importance.csv``."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(("label", "feature", "gain", "splits"))
    writer.writerows((label, name, f"{gain:.6g}", splits) for label, name, gain, splits in rows)
    write_text(folder / IMPORTANCE, text.getvalue())
