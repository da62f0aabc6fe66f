"""Cross-validation: every clip is scored by models that never met it, and the folder can be resumed and refused."""

from __future__ import annotations

import json
import multiprocessing
import os
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy.stats import pearsonr

from eri.config import Runtime
from eri.evaluation.cross_validation import CrossValidation, cv
from eri.evaluation.folds import FoldPlan
from eri.evaluation.jobs import ModelTrained
from eri.training import read_run
from eri.utils.errors import ConfigError, DataError, RunError
from tests.evaluation.conftest import CPU, PLAN
from tests.factories.features import TASK, DataSet, Recipe, make_data_set
from tests.factories.processes import ROOT

LABELS = list(TASK.labels)


def run_cv(data: DataSet, runs: Path, runtime: Runtime = CPU, **options) -> CrossValidation:
    return cv(data.configured(epochs=1), data.table, data.features, runs, runtime, plan=PLAN, **options)


class TestScores:
    def test_every_labelled_clip_once_a_seed(self, data, finished):
        frame = pd.read_parquet(finished.path / "out_of_fold.parquet")
        labelled = [clip.id for clip in data.table if clip.labels is not None]
        for _, rows in frame.groupby("seed"):
            assert sorted(rows["clip_id"]) == labelled
        assert finished.metrics.clips == len(labelled) == sum(fold.metrics.clips for fold in finished.folds)

    def test_no_model_met_the_subjects_it_scores(self, data, finished):
        frame = pd.read_parquet(finished.path / "out_of_fold.parquet")
        group_of = {clip.id: clip.group for clip in data.table}
        for (fold, seed), rows in frame.groupby(["fold", "seed"]):
            run = read_run(finished.path / "models" / f"repeat1-fold{fold}-seed{seed}")
            clips = run.environment["clips"]
            assert run.config.training.seed == seed
            assert clips["train"]["used"] + clips["val"]["used"] + len(rows) == 72
            others = frame[(frame["fold"] != fold) & (frame["seed"] == seed)]
            assert not set(rows["clip_id"].map(group_of)) & set(others["clip_id"].map(group_of))

    def test_figure_is_that_of_the_mean_over_seeds(self, data, finished):
        frame = pd.read_parquet(finished.path / "out_of_fold.parquet")
        mean = frame.groupby("clip_id")[LABELS].mean()
        truth = data.table.label_matrix(list(mean.index))
        expected = [pearsonr(mean[name], truth[:, i]).statistic for i, name in enumerate(LABELS)]
        assert finished.metrics.score == pytest.approx(np.mean(expected), abs=1e-12)
        assert finished.metrics.score > 0.4
        assert set(finished.single) == {"repeat1-seed1", "repeat1-seed2"}

    def test_written_down(self, finished):
        written = json.loads((finished.path / "cv.json").read_text())
        assert written["scores"]["mean"] == finished.metrics.score
        assert written["optimism"] == finished.optimism
        assert written["scores"]["interval"]["low"] < finished.metrics.score < written["scores"]["interval"]["high"]
        assert [fold["name"] for fold in written["folds"]] == ["1", "2", "3"]
        assert len(pd.read_csv(finished.path / "folds.csv")) == 72

    def test_features_are_packed_once_for_all_folds(self, tmp_path):
        data = make_data_set(tmp_path, Recipe(sizes={"train": 20, "val": 10}, rows=2))
        run_cv(data, tmp_path / "runs")
        assert len(list(data.features.glob("*/packed/*"))) == 1

    @pytest.mark.slow
    def test_noise_is_not_mistaken_for_signal(self, tmp_path):
        data = make_data_set(tmp_path, Recipe(sizes={"train": 60, "val": 30}, noise=1000.0, rows=2, seed=1))
        config = data.configured(epochs=12)
        result = cv(config, data.table, data.features, tmp_path, CPU, plan=PLAN, seeds=(1, 2, 3))
        # The epoch is the best of twelve on twelve clips: that figure is high by chance, and the reported one is not.
        assert result.metrics.score is not None
        assert result.optimism is not None
        assert result.metrics.score < 0.05 < result.optimism


class TestFolder:
    def test_refuses_to_overwrite(self, data, runs, finished):
        with pytest.raises(RunError, match="exists already"):
            run_cv(data, runs, name="good")
        with pytest.raises(ConfigError, match="contradict"):
            run_cv(data, runs, name="good", resume=True, overwrite=True)

    def test_refuses_a_folder_of_something_else(self, data, tmp_path):
        (tmp_path / "thesis").mkdir()
        (tmp_path / "thesis" / "chapter.tex").touch()
        with pytest.raises(RunError, match="is no cross-validation"):
            run_cv(data, tmp_path, name="thesis", overwrite=True)
        assert (tmp_path / "thesis" / "chapter.tex").exists()

    @pytest.mark.slow
    def test_goes_on_where_it_was_interrupted(self, data, tmp_path):
        def interrupt(event: object) -> None:
            if isinstance(event, ModelTrained) and event.done == 2:
                raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            run_cv(data, tmp_path, name="x", on_event=interrupt)
        weights = {path: path.stat().st_mtime_ns for path in (tmp_path / "x").glob("models/*/best.safetensors")}
        assert len(weights) == 2
        assert not (tmp_path / "x" / "cv.json").exists()
        resumed = run_cv(data, tmp_path, name="x", resume=True)
        assert all(path.stat().st_mtime_ns == time for path, time in weights.items())
        assert resumed.metrics == run_cv(data, tmp_path, name="y").metrics

    def test_refuses_to_resume_with_anything_else(self, data, runs, finished):
        config = data.configured(epochs=4)
        moved = replace(data.table, clips=data.table.clips[1:])
        with pytest.raises(RunError, match="its folds changed"):
            cv(config, data.table, data.features, runs, plan=FoldPlan(folds=4), seeds=(1, 2), name="good", resume=True)
        with pytest.raises(RunError, match="its seeds changed"):
            cv(config, data.table, data.features, runs, plan=PLAN, seeds=(1, 3), name="good", resume=True)
        with pytest.raises(RunError, match="its folds and data changed"):
            cv(config, moved, data.features, runs, plan=PLAN, seeds=(1, 2), name="good", resume=True)


class TestRefusals:
    def test_a_seed_that_stands_twice(self, data, tmp_path):
        with pytest.raises(ConfigError, match="a seed is repeated"):
            run_cv(data, tmp_path, seeds=(1, 1))

    def test_no_labels(self, data, tmp_path):
        with pytest.raises(DataError, match="no clip of test has labels"):
            run_cv(data, tmp_path, splits=("test",))
        assert not list(tmp_path.iterdir())

    def test_labels_called_as_columns(self, data, tmp_path):
        task = replace(data.table.task, labels=("fold", *LABELS[1:]))
        with pytest.raises(DataError, match="cannot be called 'fold'"):
            cv(data.config, replace(data.table, task=task), data.features, tmp_path, plan=PLAN)


SCRIPT = """
import sys
from pathlib import Path
from eri.config import Runtime
from eri.evaluation.cross_validation import cv
from eri.evaluation.jobs import ModelTrained
from eri.evaluation.folds import FoldPlan
from eri.training import TrainingEvent
from tests.factories.features import Recipe, read_data_set

folder, name = Path(sys.argv[1]), sys.argv[2]
data = read_data_set(folder, Recipe(sizes={"train": 20, "val": 10}, rows=2))
events = []
cv(data.configured(epochs=1), data.table, data.features, folder / "runs", Runtime("cpu", workers=2),
   plan=FoldPlan(folds=2), name=name, on_event=events.append)
print(*sorted({type(event).__name__ for event in events}))
"""


class TestProcesses:
    """Two worker processes of a program that has no main guard."""

    @pytest.mark.slow
    @pytest.mark.parametrize("way", ["script", "standard input"])
    def test_give_the_predictions_of_one_process(self, tmp_path, way):
        data = make_data_set(tmp_path, Recipe(sizes={"train": 20, "val": 10}, rows=2))
        alone = cv(data.configured(epochs=1), data.table, data.features, tmp_path / "runs", CPU, plan=FoldPlan(folds=2))
        (tmp_path / "script.py").write_text(SCRIPT)
        program = str(tmp_path / "script.py") if way == "script" else "-"
        done = subprocess.run(
            [sys.executable, program, str(tmp_path), "two"],
            input=SCRIPT,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        assert done.stdout.split() == ["ModelTrained", "TrainingEvent"]
        paths = [path / "out_of_fold.parquet" for path in (alone.path, tmp_path / "runs" / "two")]
        first, second = map(pd.read_parquet, paths)
        pd.testing.assert_frame_equal(first, second, check_exact=False, atol=1e-6)

    @pytest.mark.slow
    def test_a_killed_process_is_an_error_and_loses_no_trained_model(self, data, tmp_path):
        killed: list[str] = []

        def kill_one(event: object) -> None:
            if isinstance(event, ModelTrained) and not killed:
                killed.append(event.name)
                for process in multiprocessing.active_children():
                    os.kill(process.pid or 0, signal.SIGKILL)

        two = Runtime("cpu", workers=2)
        with pytest.raises(RunError, match=r"models: repeat1-fold\d-seed\d: its worker process ended.*SIGKILL"):
            run_cv(data, tmp_path, name="x", runtime=two, on_event=kill_one)
        weights = tmp_path / "x" / "models" / killed[0] / "best.safetensors"
        before = weights.stat().st_mtime_ns
        assert len(run_cv(data, tmp_path, name="x", resume=True).folds) == 3
        assert weights.stat().st_mtime_ns == before
