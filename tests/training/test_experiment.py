"""Training from a config to a run folder, on features with a known signal."""

from __future__ import annotations

import csv
import json
import logging
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml
from safetensors.torch import load_file
from torch import Tensor

from eri.config import Runtime, parse_config
from eri.data.clips import ClipTable
from eri.training import TrainingEvent, read_run, train
from eri.utils.errors import ConfigError, DataError, RunError, StoreError
from tests.factories.features import TASK, DataSet, Recipe, make_data_set

CPU = Runtime(device="cpu")


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> DataSet:
    return make_data_set(tmp_path_factory.mktemp("data"))


def history(run: Path) -> list[dict[str, str]]:
    with (run / "history.csv").open(newline="") as stream:
        return list(csv.DictReader(stream))


def weights(run: Path) -> dict[str, Tensor]:
    return load_file(run / "best.safetensors")


def same(first: dict[str, Tensor], second: dict[str, Tensor]) -> bool:
    return first.keys() == second.keys() and all(torch.equal(first[name], second[name]) for name in first)


def trained(data: DataSet, runs: Path, name: str | None = None, **training: Any) -> Path:
    return train(data.configured(**training), data.table, data.features, runs, CPU, name=name)


def relabelled(table: ClipTable, labels: Mapping[str, tuple[float, ...] | None]) -> ClipTable:
    clips = tuple(replace(clip, labels=labels.get(clip.id, clip.labels)) for clip in table)
    return replace(table, clips=clips)


class TestLearning:
    @pytest.mark.slow
    @pytest.mark.parametrize("modalities", [("visual",), ("audio",), ("visual", "audio")])
    def test_finds_the_signal(self, tmp_path, modalities):
        data = make_data_set(tmp_path, Recipe(modalities=modalities))
        best = max(float(row["val_pearson"]) for row in history(trained(data, tmp_path / "runs")))
        assert best > 0.85

    @pytest.mark.slow
    def test_baseline_head_with_its_schedule(self, tmp_path, data):
        values = data.config.model_dump(mode="json")
        values["model"] = {"name": "baseline-lstm", "hidden_size": 16, "layers": 2, "rnn_dropout": 0.1, "dropout": 0.1}
        values["training"].update(reduce_on_plateau=True, epochs=25)
        run = train(parse_config(values), data.table, data.features, tmp_path, CPU)
        assert max(float(row["val_pearson"]) for row in history(run)) > 0.8

    @pytest.mark.slow
    @pytest.mark.parametrize(
        "settings",
        [
            {"loss": {"mse": 0.3, "ccc": 0.7}},
            {"loss": {"mse": 0, "pearson": 1}, "batch_size": 4, "accumulate": 4},
            {"loss": {"mse": 1, "cross_entropy": 0.01}},
            {"regularization": {"mixup": 0.3}},
            {"regularization": {"feature_noise": 0.2}},
            {"regularization": {"ema_decay": 0.9}},
        ],
    )
    def test_finds_the_signal_with_other_losses_and_regularisers(self, tmp_path, data, settings):
        assert max(float(row["val_pearson"]) for row in history(trained(data, tmp_path, **settings))) > 0.8

    @pytest.mark.slow
    def test_with_dropped_modalities_each_alone_still_predicts(self, tmp_path):
        alone = {f"{number:05d}" for number in range(60, 100)}  # every val clip has lost its sound
        recipe = Recipe(modalities=("visual", "audio"), masked={"audio": alone})
        data = make_data_set(tmp_path, recipe)
        run = trained(data, tmp_path / "runs", regularization={"modality_dropout": 0.5})
        assert max(float(row["val_pearson"]) for row in history(run)) > 0.8

    @pytest.mark.slow
    def test_shuffled_labels_find_nothing(self, tmp_path):
        data = make_data_set(tmp_path, Recipe(sizes={"train": 80, "val": 120}, dimension=40, noise=4.0))
        control = trained(data, tmp_path / "runs", shuffle_labels=True)
        assert control.name == "tiny-seed3-shuffled"
        assert abs(float(history(control)[-1]["val_pearson"])) < 0.25
        assert float(history(trained(data, tmp_path / "runs"))[-1]["val_pearson"]) > 0.5

    def test_constant_labels_in_val_do_not_stop_the_rest(self, tmp_path, data):
        fixed = {clip.id: (*clip.labels[:2], 0.5) for clip in data.table.split("val") if clip.labels}
        run = train(data.configured(epochs=3), relabelled(data.table, fixed), data.features, tmp_path, CPU)
        rows = history(run)
        assert [row["val_pearson"] for row in rows] == [row["Empathic-Pain"] for row in rows] == ["", "", ""]
        assert all(float(row["Disgust"]) for row in rows)
        assert (run / "best.safetensors").is_file()


class TestRepeatability:
    def test_same_seed_same_weights(self, tmp_path, data):
        first, second = (trained(data, tmp_path, name, epochs=3) for name in ("a", "b"))
        assert same(weights(first), weights(second))

    def test_other_seed_other_weights(self, tmp_path, data):
        assert not same(
            weights(trained(data, tmp_path, epochs=1, seed=1)), weights(trained(data, tmp_path, epochs=1, seed=2))
        )

    def test_clips_held_at_once_change_nothing(self, tmp_path, data):
        whole, pieces = trained(data, tmp_path, "a", epochs=3), trained(data, tmp_path, "b", epochs=3, chunk=20)
        assert same(weights(whole), weights(pieces))

    def test_repeated_from_its_own_config(self, tmp_path, data):
        first = trained(data, tmp_path / "a", epochs=2)
        again = train(read_run(first).config, data.table, data.features, tmp_path / "b", CPU)
        assert same(weights(first), weights(again))

    def test_masked_rows_and_other_splits_do_not_enter_the_standardization(self, tmp_path, data):
        stored = weights(trained(data, tmp_path, epochs=1))
        # Masked rows hold 1e6; valid features stay within a few units of 5.
        assert stored["standardizers.visual.mean"].sub(5).abs().max() < 3
        assert stored["standardizers.visual.scale"].max() < 10

    def test_standardization_can_be_left_out(self, tmp_path, data):
        stored = weights(trained(data, tmp_path, epochs=1, standardize=False))
        assert (stored["standardizers.visual.mean"] == 0).all()


class TestRunFolder:
    def test_holds_what_it_must(self, tmp_path, data):
        run = trained(data, tmp_path, epochs=2)
        assert run == tmp_path / "tiny-seed3"
        names = {"config.yaml", "environment.json", "history.csv", "best.safetensors", "last.pt"}
        assert {path.name for path in run.iterdir()} == names
        assert parse_config(yaml.safe_load((run / "config.yaml").read_text())) == data.configured(epochs=2)

    def test_environment_says_where_it_comes_from(self, tmp_path, data):
        environment = json.loads((trained(data, tmp_path, epochs=1) / "environment.json").read_text())
        assert environment["seed"] == 3
        assert environment["versions"]["torch"]
        assert environment["data"]["fingerprint"] == data.table.fingerprint
        assert tuple(environment["data"]["task"]["labels"]) == TASK.labels
        folder = environment["features"]["visual"]["folder"]
        assert (data.features / folder / "identity.json").is_file()
        assert str(tmp_path) not in json.dumps(environment)

    def test_history_has_a_row_an_epoch(self, tmp_path, data):
        rows = history(trained(data, tmp_path, epochs=3))
        labels = [*TASK.labels]
        assert list(rows[0]) == ["epoch", "loss", "val_loss", "val_pearson", *labels, "learning_rate", "seconds"]
        assert [row["epoch"] for row in rows] == ["1", "2", "3"]
        for row in rows:
            assert float(row["val_pearson"]) == pytest.approx(np.mean([float(row[label]) for label in labels]))

    @pytest.mark.slow
    def test_best_weights_are_of_the_best_epoch(self, tmp_path, data):
        rows = history(trained(data, tmp_path, "long", epochs=12))
        best = max(rows, key=lambda row: float(row["val_pearson"]))
        short = trained(data, tmp_path, "short", epochs=int(best["epoch"]))
        assert same(weights(tmp_path / "long"), weights(short))

    def test_an_existing_run_is_kept(self, tmp_path, data):
        run = trained(data, tmp_path, epochs=1)
        before = (run / "environment.json").read_bytes()
        with pytest.raises(RunError, match=r"exists already\n.*--resume.*--overwrite.*--name"):
            trained(data, tmp_path, epochs=1)
        assert (run / "environment.json").read_bytes() == before

    def test_overwrite_begins_anew(self, tmp_path, data):
        run = trained(data, tmp_path, epochs=2)
        (run / "metrics.json").write_text("{}")
        train(data.configured(epochs=1), data.table, data.features, tmp_path, CPU, overwrite=True)
        assert len(history(run)) == 1
        assert not (run / "metrics.json").exists()

    @pytest.mark.parametrize("how", [{}, {"overwrite": True}, {"resume": True}])
    def test_a_folder_that_is_no_run_is_never_touched(self, tmp_path, data, how):
        precious = tmp_path / "precious" / "thesis.txt"
        precious.parent.mkdir()
        precious.write_text("years of work")
        with pytest.raises(RunError, match="is not a run folder"):
            train(data.config, data.table, data.features, tmp_path, CPU, name="precious", **how)
        assert precious.read_text() == "years of work"

    def test_overwrite_keeps_the_old_run_when_the_new_one_cannot_begin(self, tmp_path, data):
        run = trained(data, tmp_path, epochs=1)
        with pytest.raises(StoreError):
            train(data.config, data.table, tmp_path / "nowhere", tmp_path, CPU, overwrite=True)
        assert (run / "best.safetensors").is_file()

    @pytest.mark.parametrize("name", ["../away", "", "a b", ".hidden"])
    def test_a_name_must_name_a_folder(self, tmp_path, data, name):
        with pytest.raises(ConfigError, match="cannot name a folder"):
            train(data.config, data.table, data.features, tmp_path, CPU, name=name)

    def test_a_runs_folder_that_cannot_be_made(self, tmp_path, data):
        (tmp_path / "file").write_text("")
        with pytest.raises(RunError, match="cannot be written"):
            trained(data, tmp_path / "file" / "runs", epochs=1)


class TestStopping:
    def test_stops_when_no_better_epoch_comes(self, tmp_path, data):
        run = trained(data, tmp_path, epochs=60, patience=3, learning_rate=0.03)
        scores = [float(row["val_pearson"]) for row in history(run)]
        assert len(scores) < 60
        assert len(scores) - 1 - int(np.argmax(scores)) == 3

    @pytest.mark.slow
    def test_rate_is_halved_on_a_plateau(self, tmp_path, data):
        run = trained(data, tmp_path, epochs=40, patience=40, learning_rate=0.05, reduce_on_plateau=True)
        rates = [float(row["learning_rate"]) for row in history(run)]
        assert rates[0] == 0.05
        assert 0.025 in rates
        assert min(rates) >= 1e-5

    def test_divergence_is_an_error(self, tmp_path, data):
        with pytest.raises(RunError, match="training diverged in epoch"):
            trained(data, tmp_path, activation="linear", learning_rate=1e30, gradient_clip=None)

    @pytest.mark.parametrize("precision", ["float32", "bf16"])
    def test_precision(self, tmp_path, data, precision):
        run = trained(data, tmp_path, precision=precision)
        assert max(float(row["val_pearson"]) for row in history(run)) > 0.8
        assert all(tensor.dtype == torch.float32 for tensor in weights(run).values())


class TestEvents:
    def test_tell_where_training_is(self, tmp_path, data):
        events: list[TrainingEvent] = []
        run = train(data.configured(epochs=2), data.table, data.features, tmp_path, CPU, on_event=events.append)
        epoch = [*["batch"] * 4, *["validate"] * 3, "epoch"]
        expected = ["start", *epoch, *epoch, "end"]
        assert [event.kind for event in events] == expected
        assert {(event.run, event.epochs, event.batches) for event in events} == {
            ("tiny-seed3", 2, 4),
            ("tiny-seed3", 2, 3),
        }
        assert [(event.epoch, event.batch) for event in events[9:13]] == [(2, 1), (2, 2), (2, 3), (2, 4)]
        rows = history(run)
        assert events[8].figure == pytest.approx(float(rows[0]["val_pearson"]))
        assert events[8].loss == pytest.approx(float(rows[0]["loss"]))
        assert events[-1].best == max(float(row["val_pearson"]) for row in rows)

    def test_count_batches_also_where_several_make_a_step(self, tmp_path, data):
        events: list[TrainingEvent] = []
        config = data.configured(epochs=1, accumulate=3)
        train(config, data.table, data.features, tmp_path, CPU, on_event=events.append)
        assert [event.batch for event in events if event.kind == "batch"] == [3, 4]


class TestBadInput:
    def test_too_few_clips_for_a_correlation(self, tmp_path):
        data = make_data_set(tmp_path, Recipe(sizes={"train": 7, "val": 5}))
        with pytest.raises(DataError, match=r"needs 8 train clips with features or more, there are 7"):
            trained(data, tmp_path / "runs", loss={"ccc": 1})
        assert not (tmp_path / "runs").exists()

    def test_cross_entropy_with_one_label(self, tmp_path, data):
        clips = tuple(replace(clip, labels=clip.labels and clip.labels[:1]) for clip in data.table)
        table = replace(data.table, task=replace(TASK, labels=("Joy",)), clips=clips)
        config = data.configured(loss={"cross_entropy": 1})
        with pytest.raises(ConfigError, match="does not fit the task 'three': it needs two labels"):
            train(config, table, data.features, tmp_path, CPU)

    def test_clips_without_features_are_named(self, tmp_path, caplog):
        recipe = Recipe(absent={"visual": ["00003", "00065"]}, masked={"visual": ["00004"]})
        data = make_data_set(tmp_path, recipe)
        with caplog.at_level(logging.WARNING):
            run = trained(data, tmp_path / "runs", epochs=1)
        clips = json.loads((run / "environment.json").read_text())["clips"]
        assert clips["train"]["without_features"] == ["00003", "00004"]
        assert clips["train"]["used"] == 58
        assert clips["val"]["without_features"] == ["00065"]
        assert "2 clip(s) without features: 00003, 00004" in caplog.text

    def test_a_missing_modality_is_normal(self, tmp_path):
        recipe = Recipe(modalities=("visual", "audio"), absent={"audio": ["00001"]}, masked={"visual": ["00002"]})
        run = trained(make_data_set(tmp_path, recipe), tmp_path / "runs", epochs=1)
        assert json.loads((run / "environment.json").read_text())["clips"]["train"]["used"] == 60

    def test_features_that_were_never_extracted(self, tmp_path, data):
        with pytest.raises(StoreError, match="no visual features"):
            train(data.config, data.table, tmp_path / "nowhere", tmp_path / "runs", CPU)
        assert not (tmp_path / "runs").exists()

    @pytest.mark.parametrize(("split", "labelled"), [("train", ["val"]), ("val", ["train"])])
    def test_a_split_without_labels(self, tmp_path, split, labelled):
        data = make_data_set(tmp_path, Recipe(labelled=labelled))
        with pytest.raises(DataError, match=f"no clip of split '{split}' has labels"):
            trained(data, tmp_path / "runs")

    def test_a_label_that_is_no_number(self, tmp_path, data):
        table = relabelled(data.table, {"00007": (0.1, float("nan"), 0.2)})
        with pytest.raises(DataError, match="clip '00007' has no number for label 'Disgust'"):
            train(data.config, table, data.features, tmp_path, CPU)

    def test_unlabelled_train_clips_are_left_out_and_named(self, tmp_path, data):
        run = train(data.configured(epochs=1), relabelled(data.table, {"00007": None}), data.features, tmp_path, CPU)
        assert json.loads((run / "environment.json").read_text())["clips"]["train"]["unlabelled"] == ["00007"]

    def test_a_modality_of_which_nothing_is_valid(self, tmp_path):
        everything = [f"{number:05d}" for number in range(110)]
        data = make_data_set(tmp_path, Recipe(modalities=("visual", "audio"), masked={"audio": everything}))
        with pytest.raises(DataError, match="no clip of split 'train' has a valid row of audio features"):
            trained(data, tmp_path / "runs")

    def test_a_label_called_as_a_column_of_ours(self, tmp_path, data):
        table = replace(data.table, task=replace(TASK, labels=("Joy", "loss", "rule")))
        with pytest.raises(DataError, match="a label cannot be called 'loss' or 'rule'"):
            train(data.config, table, data.features, tmp_path, CPU)

    def test_a_device_that_is_not_there(self, tmp_path, data):
        with pytest.raises(ConfigError, match="device 'cuda:99'"):
            train(data.config, data.table, data.features, tmp_path, Runtime(device="cuda:99"))


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_cuda_trains_in_bf16_and_agrees_with_the_cpu(tmp_path, data):
    run = train(data.config, data.table, data.features, tmp_path / "cuda", Runtime(device="cuda"))
    assert read_run(run).environment["precision"] == "bf16"
    assert max(float(row["val_pearson"]) for row in history(run)) > 0.8
