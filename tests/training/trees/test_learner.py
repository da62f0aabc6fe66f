"""Boosted trees through train, evaluate and predict: they learn, repeat themselves, and refuse what does not fit."""

from __future__ import annotations

import csv
import json
import warnings
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from eri.config import ExperimentConfig, Runtime, parse_config
from eri.evaluation.evaluate import evaluate, predict
from eri.metrics.intensities import Metrics, pearson
from eri.runs.opening import TRAIN_MEAN
from eri.training import TrainingEvent, train
from eri.utils.errors import ConfigError, DataError, RunError
from tests.factories.features import TASK, DataSet, Recipe, make_data_set

CPU = Runtime(device="cpu")
LABELS = list(TASK.labels)
RECIPE = Recipe(
    sizes={"train": 120, "val": 60, "test": 12},
    modalities=("visual", "audio"),
    absent={"visual": ["00005", "00125", "00180", "00181"], "audio": ["00125", "00180", "00182"]},
    masked={"visual": ["00183"], "audio": ["00183"]},
)


def with_trees(data: DataSet, training: Mapping[str, Any] | None = None, **model: Any) -> ExperimentConfig:
    values = data.config.model_dump(mode="json")
    values["model"] = {"name": "lightgbm", "rounds": 60, "patience": 20, "learning_rate": 0.1, "leaf_clips": 5, **model}
    values["training"] = dict(training or {})
    return parse_config(values)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> DataSet:
    return make_data_set(tmp_path_factory.mktemp("data"), RECIPE)


@pytest.fixture(scope="module")
def run(data: DataSet, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return train(with_trees(data), data.table, data.features, tmp_path_factory.mktemp("runs"), CPU)


def rows_of(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as stream:
        return list(csv.DictReader(stream))


def boosters(run: Path) -> list[str]:
    return [path.read_text() for path in sorted((run / "boosters").iterdir())]


class TestLearning:
    @pytest.mark.slow
    def test_finds_the_signal(self, run, data):
        result = evaluate(run, data.table, data.features, bootstrap=0, runtime=CPU)
        assert result.metrics is not None
        assert result.metrics.score is not None
        assert result.metrics.score > 0.8

    def test_the_figure_is_the_one_that_trees_were_chosen_by(self, run, data):
        result = evaluate(run, data.table, data.features, bootstrap=0, runtime=CPU)
        assert isinstance(result.metrics, Metrics)
        manifest = json.loads((run / "boosters.json").read_text())
        assert result.metrics.score == pytest.approx(manifest["val_pearson"], abs=1e-12)
        history = rows_of(run / "history.csv")
        for label in LABELS:
            kept = history[manifest["boosters"][label]["trees"] - 1]
            assert result.metrics.labels[label].pearson == pytest.approx(float(kept[label]), abs=1e-12)

    def test_shuffled_labels_find_nothing(self, tmp_path, data):
        config = with_trees(data, {"shuffle_labels": True})
        control = train(config, data.table, data.features, tmp_path, CPU)
        assert control.name == "tiny-seed101-shuffled"
        frame = predict(control, data.table, data.features, "train", CPU)
        truth = data.table.label_matrix(list(frame.index))
        assert np.abs(pearson(frame[LABELS].to_numpy(), truth).mean()) < 0.35

    def test_a_booster_stops_when_no_better_tree_comes(self, tmp_path, data):
        run = train(with_trees(data, rounds=500, patience=3), data.table, data.features, tmp_path, CPU)
        assert len(rows_of(run / "history.csv")) < 300

    def test_without_patience_every_round_is_grown_and_kept(self, tmp_path, data):
        run = train(with_trees(data, rounds=30, patience=None), data.table, data.features, tmp_path, CPU)
        manifest = json.loads((run / "boosters.json").read_text())
        assert {booster["trees"] for booster in manifest["boosters"].values()} == {30}

    def test_trees_are_kept_up_to_the_smallest_error(self, tmp_path, data):
        clips = tuple(replace(clip, labels=clip.labels and clip.labels[1:2]) for clip in data.table)
        table = replace(data.table, task=replace(TASK, labels=("Disgust",)), clips=clips)
        run = train(with_trees(data), table, data.features, tmp_path, CPU)
        errors = [float(row["val_loss"]) for row in rows_of(run / "history.csv")]
        kept = json.loads((run / "boosters.json").read_text())["boosters"]["Disgust"]["trees"]
        assert errors[kept - 1] == min(errors)

    def test_two_clips_are_enough_for_a_constant(self, tmp_path, data):
        few = [clip for clip in data.table if clip.id in ("00000", "00001", "00120", "00121", "00122")]
        table = replace(data.table, clips=tuple(few))
        run = train(with_trees(data), table, data.features, tmp_path, CPU)
        values = predict(run, table, data.features, "val", CPU)[LABELS].to_numpy()
        np.testing.assert_allclose(values, np.tile(table.label_matrix(["00000", "00001"]).mean(axis=0), (3, 1)))


class TestRepeatability:
    def test_same_seed_same_boosters(self, tmp_path, run, data):
        again = train(with_trees(data), data.table, data.features, tmp_path, CPU)
        assert boosters(again) == boosters(run)

    def test_other_seed_other_boosters(self, tmp_path, run, data):
        other = train(with_trees(data, {"seed": 7}), data.table, data.features, tmp_path, CPU)
        assert boosters(other) != boosters(run)

    def test_a_clip_is_predicted_alone_as_beside_others(self, run, data):
        together = predict(run, data.table, data.features, "val", CPU)[LABELS]
        ids = ["00150", "00130"]
        table = replace(data.table, clips=tuple(clip for clip in data.table if clip.id in ids))
        alone = predict(run, table, data.features, "val", CPU)[LABELS]
        np.testing.assert_array_equal(alone.to_numpy(), together.loc[alone.index].to_numpy())


class TestFiles:
    def test_the_folder_holds_what_a_run_holds(self, run):
        names = {path.name for path in run.iterdir()} - {"metrics.json", "predictions.parquet", ".evaluation.lock"}
        assert names == {
            "config.yaml",
            "environment.json",
            "history.csv",
            "boosters",
            "boosters.json",
            "importance.csv",
        }
        assert [path.name for path in sorted((run / "boosters").iterdir())] == [
            "00-Adoration.txt",
            "01-Disgust.txt",
            "02-Empathic-Pain.txt",
        ]
        assert boosters(run)[0].startswith("tree\n")
        assert "lightgbm" in json.loads((run / "environment.json").read_text())["versions"]

    def test_importance_names_features_and_shares_the_gain(self, run):
        rows = rows_of(run / "importance.csv")
        assert {row["label"] for row in rows} == set(LABELS)
        for label in LABELS:
            gains = [float(row["gain"]) for row in rows if row["label"] == label]
            assert gains == sorted(gains, reverse=True)
            assert sum(gains) == pytest.approx(1.0, abs=1e-3)
        assert all(row["feature"].split(".")[0] in ("visual", "audio") for row in rows)
        assert {row["feature"].split(".")[-1] for row in rows} >= {"mean", "p50"}

    def test_metrics_tell_the_trees_of_each_label(self, run, data):
        evaluate(run, data.table, data.features, bootstrap=0, runtime=CPU)
        epoch = json.loads((run / "metrics.json").read_text())["splits"]["val"]["epoch"]
        assert set(epoch) == set(LABELS)
        assert all(1 <= trees <= 60 for trees in epoch.values())

    def test_nothing_is_warned_of(self, run, data, capfd):
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            predict(run, data.table, data.features, "val", CPU)
        assert capfd.readouterr() == ("", "")


class TestPredictions:
    def test_a_missing_modality_is_missing_and_no_modality_is_the_train_mean(self, run, data):
        frame = predict(run, data.table, data.features, "test", CPU)
        assert list(frame.index[frame["rule"] == TRAIN_MEAN]) == ["00180", "00183"]
        assert np.isfinite(frame[LABELS].to_numpy()).all()

    def test_stay_within_the_range_of_the_task(self, tmp_path, data):
        table = replace(data.table, task=replace(TASK, low=0.48, high=0.52))
        run = train(with_trees(data), table, data.features, tmp_path, CPU)
        frame = predict(run, table, data.features, "val", CPU)
        values = frame.loc[frame["rule"] == "", LABELS].to_numpy()
        assert (values.min(), values.max()) == (0.48, 0.52)  # to the last bit


class TestProgress:
    def test_events_count_labels_and_trees(self, tmp_path, data):
        events: list[TrainingEvent] = []
        train(with_trees(data, rounds=5), data.table, data.features, tmp_path, CPU, on_event=events.append)
        kinds = [event.kind for event in events if event.kind != "prepare"]
        assert [event.batch for event in events if event.kind == "prepare"][-1] == len(data.table.split("val")) - 1
        assert kinds == ["start", *(["batch"] * 5 + ["epoch"]) * 3, "end"]
        assert {event.epochs for event in events} == {3}
        assert events[-1].best is not None

    def test_an_interrupted_run_is_grown_anew_and_a_whole_one_is_kept(self, tmp_path, data, run):
        def interrupt(event: TrainingEvent) -> None:
            if event.kind == "epoch" and event.epoch == 2:
                raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            train(with_trees(data), data.table, data.features, tmp_path, CPU, on_event=interrupt)
        folder = tmp_path / "tiny-seed101"
        with pytest.raises(RunError, match=r"the run has no boosters.*\n.*--resume"):
            predict(folder, data.table, data.features, "val", CPU)
        train(with_trees(data), data.table, data.features, tmp_path, CPU, resume=True)
        assert boosters(folder) == boosters(run)
        before = (folder / "boosters.json").stat().st_mtime_ns
        events: list[TrainingEvent] = []
        train(with_trees(data), data.table, data.features, tmp_path, CPU, resume=True, on_event=events.append)
        assert [event.kind for event in events] == ["start", "end"]
        assert (folder / "boosters.json").stat().st_mtime_ns == before


class TestBadInput:
    @pytest.mark.parametrize("damage", ["altered", "truncated", "absent"])
    def test_a_damaged_booster_is_named(self, tmp_path, data, damage):
        run = train(with_trees(data, rounds=2), data.table, data.features, tmp_path, CPU)
        path = run / "boosters/01-Disgust.txt"
        text = path.read_text()
        if damage == "absent":
            path.unlink()
        else:
            path.write_text(text.replace("leaf_value=", "leaf_value=9") if damage == "altered" else text[:300])
        with pytest.raises(RunError, match=r"01-Disgust\.txt"):
            predict(run, data.table, data.features, "val", CPU)

    def test_a_damaged_manifest_is_named(self, tmp_path, data):
        run = train(with_trees(data, rounds=2), data.table, data.features, tmp_path, CPU)
        (run / "boosters.json").write_text("{")
        with pytest.raises(RunError, match=r"boosters\.json: not the boosters of a run"):
            predict(run, data.table, data.features, "val", CPU)

    def test_an_empty_modality_is_refused(self, tmp_path, data):
        everything = [clip.id for clip in data.table]
        mute = make_data_set(tmp_path / "data", replace(RECIPE, masked={"audio": everything}))
        with pytest.raises(DataError, match="no clip of split 'train' has a valid row of audio features"):
            train(with_trees(mute), mute.table, mute.features, tmp_path / "runs", CPU)
        assert not (tmp_path / "runs").exists()

    def test_settings_that_trees_do_not_read_are_refused(self, data):
        with pytest.raises(ConfigError, match=r"\.epochs: no setting of lightgbm.*\n.*\.learning_rate: no setting of"):
            with_trees(data, {"epochs": 3, "learning_rate": 0.5})

    def test_a_functional_that_stands_twice_is_refused(self, data):
        with pytest.raises(ConfigError, match="a functional is duplicated"):
            with_trees(data, functionals=["mean", "mean"])
