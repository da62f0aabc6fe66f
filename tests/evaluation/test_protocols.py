"""Each data set of recorded expressions, in miniature, goes the whole way: extracted, cross-validated, scored."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from typer.testing import CliRunner

from eri.api import commands
from eri.cli.app import app
from eri.config import Runtime
from eri.data import ClipTable, load_clips
from eri.evaluation.cross_validation import cv
from eri.evaluation.folds import FoldPlan
from eri.metrics.recognition import Recognition
from tests.factories.challenge_clips import write_system
from tests.factories.expressions import WRITERS, Miniature

SIZE = Miniature(subjects=3, classes=2, frames=4, side=48)
CPU = Runtime(device="cpu", workers=0)
OFFICIAL = FoldPlan(official=True, inner=2)
THREE_FOLDS = FoldPlan(folds=3, inner=2)
ONE_SUBJECT_OUT = FoldPlan(leave_one_group_out=True, inner=2)
PROTOCOLS = [
    ("dfew", OFFICIAL, ["1", "2", "3", "4", "5"]),
    ("afew", THREE_FOLDS, ["1", "2", "3"]),
    ("daisee", THREE_FOLDS, ["1", "2", "3"]),
    ("ck-plus", ONE_SUBJECT_OUT, ["S005", "S006", "S007"]),
    ("ck-plus", THREE_FOLDS, ["1", "2", "3"]),
    ("oulu-casia", THREE_FOLDS, ["1", "2", "3"]),
    ("bu-3dfe", THREE_FOLDS, ["1", "2", "3"]),
    ("mmi", THREE_FOLDS, ["1", "2", "3"]),
]


def prepare(root: Path, name: str) -> tuple[ClipTable, Path]:
    """Write a data set, extract its features with a tiny backbone, and return it with its system."""
    WRITERS[name](root / "data", SIZE)
    system = write_system(root / "small.yaml")
    report = commands.extract(root / "data", config=str(system), features=root / "features", device="cpu", workers=0)
    assert report.exit_code == 0
    return load_clips(root / "data"), system


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "plan", "folds"), PROTOCOLS, ids=[f"{row[0]}-{len(row[2])}-folds" for row in PROTOCOLS]
)
def test_a_miniature_is_cross_validated_by_the_protocol_of_its_paper(tmp_path, name, plan, folds):
    table, system = prepare(tmp_path, name)
    config = commands.choose_config(str(system), None, ())
    result = cv(config, table, tmp_path / "features", tmp_path / "runs", CPU, plan=plan, bootstrap=0)
    labelled = [clip for clip in table if clip.split != "test" and clip.labels is not None]
    assert isinstance(result.metrics, Recognition)
    assert [fold.name for fold in result.folds] == folds
    assert sum(map(sum, result.metrics.confusion)) == result.metrics.clips == len(labelled)
    predictions = pd.read_parquet(result.path / "predictions.parquet").set_index("clip_id")
    decided = predictions[list(table.task.labels)].to_numpy().argmax(axis=1)
    truth = table.label_matrix(list(predictions.index)).argmax(axis=1)
    assert result.metrics.war == pytest.approx((decided == truth).mean())
    recalls = [(decided[truth == place] == place).mean() for place in sorted(set(truth))]
    assert result.metrics.uar == pytest.approx(np.mean(recalls))
    held_out = pd.read_parquet(result.path / "out_of_fold.parquet").merge(
        pd.DataFrame({"clip_id": [clip.id for clip in labelled], "group": [clip.group for clip in labelled]})
    )
    if held_out["group"].notna().all():
        assert held_out.groupby("group")["fold"].agg(lambda names: len(set(names))).eq(1).all()


@pytest.mark.slow
def test_the_official_folds_are_taken_on_the_command_line(tmp_path):
    _, system = prepare(tmp_path, "dfew")
    places = ["--features", str(tmp_path / "features"), "--runs", str(tmp_path / "runs"), "--device", "cpu"]
    arguments = ["cv", "-c", str(system), "--data", str(tmp_path / "data"), "--protocol", "official", *places]
    outcome = CliRunner().invoke(app, [*arguments, "--inner", "2", "--workers", "1", "--name", "folds"])
    assert outcome.exit_code == 0, outcome.output
    folds = pd.read_csv(tmp_path / "runs" / "folds" / "folds.csv", dtype=str)
    table = load_clips(tmp_path / "data")
    assert dict(zip(folds["clip_id"], folds["fold"], strict=True)) == table.folds
    scores = json.loads((tmp_path / "runs" / "folds" / "cv.json").read_text())["scores"]
    assert {"war", "uar", "confusion"} <= set(scores)
