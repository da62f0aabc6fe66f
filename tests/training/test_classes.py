"""Training on classes: every head learns them, the epoch is chosen by WAR, and contradictions are refused."""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from eri.config import LossConfig, head_names, parse_config
from eri.evaluation.evaluate import predict
from eri.metrics.recognition import cross_entropy, recognize
from eri.training import read_run, train
from eri.training.losses import Objective, class_weights, create_objective, cross_entropy_loss
from eri.utils.errors import ConfigError
from tests.factories.features import DataSet, Recipe, make_config, make_data_set
from tests.training.test_experiment import CPU, history, same, weights
from tests.training.test_resume import interrupt_at

CLASSES = ("calm", "angry", "sad")
RECIPE = Recipe(classes=CLASSES, sizes={"train": 60, "val": 40, "test": 12})
BOTH = ("visual", "audio")


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> DataSet:
    return make_data_set(tmp_path_factory.mktemp("data"), RECIPE)


@pytest.fixture(scope="module")
def both(tmp_path_factory: pytest.TempPathFactory) -> DataSet:
    return make_data_set(tmp_path_factory.mktemp("both"), replace(RECIPE, modalities=BOTH))


def trained(data: DataSet, runs: Path, **training: Any) -> Path:
    return train(data.configured(**training), data.table, data.features, runs, CPU)


def chance(data: DataSet) -> float:
    """Share of the commonest class in val."""
    return float(data.table.label_matrix([clip.id for clip in data.table.split("val")]).mean(axis=0).max())


def best_war(run: Path) -> float:
    return max(float(row["val_war"]) for row in history(run))


def small_head(name: str) -> dict[str, Any]:
    """Return the smallest model of a name that learns in a few epochs."""
    fields: Mapping[str, Any] = {"hidden_size": 16, "dense": 16, "joint": 16, "dropout": 0.0, "layers": 1}
    own = {"name": name, **fields}
    for _ in range(len(fields)):
        try:
            make_config(Recipe(modalities=BOTH if name in head_names(fuses=True) else ("visual",), model=own))
        except ConfigError as error:
            own = {key: value for key, value in own.items() if key == "name" or f"model.{key}" not in str(error)}
    return own


class TestLearning:
    @pytest.mark.slow
    @pytest.mark.parametrize("name", [*head_names(fuses=False), *head_names(fuses=True)])
    def test_every_head_finds_the_classes(self, tmp_path, data, both, name):
        chosen = both if name in head_names(fuses=True) else data
        values = chosen.config.model_dump(mode="json")
        values["model"] = small_head(name)
        run = train(parse_config(values), chosen.table, chosen.features, tmp_path, CPU)
        assert chance(chosen) < 0.6
        assert best_war(run) > 0.85

    def test_the_epoch_is_chosen_by_war_and_gives_the_figure(self, tmp_path, data):
        run = trained(data, tmp_path)
        rows = history(run)
        assert list(rows[0]) == [
            "epoch",
            "loss",
            "val_loss",
            "val_war",
            "val_uar",
            *CLASSES,
            "learning_rate",
            "seconds",
        ]
        ranks = [(float(r["val_war"]), float(r["val_uar"]), -float(r["val_loss"])) for r in rows]
        frame = predict(run, data.table, data.features, "val", CPU)
        truth = data.table.label_matrix(list(frame.index))
        result = recognize(frame[list(CLASSES)].to_numpy(), truth, CLASSES, resamples=0)
        assert (result.war, result.uar) == pytest.approx(max(ranks)[:2], abs=1e-12)
        assert result.cross_entropy == pytest.approx(-max(ranks)[2], abs=1e-6)
        row = rows[ranks.index(max(ranks))]
        assert [float(row[name]) for name in CLASSES] == [score.recall for score in result.classes.values()]

    def test_predictions_are_probabilities(self, tmp_path, data):
        frame = predict(trained(data, tmp_path, epochs=3), data.table, data.features, "test", CPU)
        values = frame[list(CLASSES)].to_numpy()
        np.testing.assert_allclose(values.sum(axis=1), 1.0, atol=1e-6)
        assert values.min() >= 0

    @pytest.mark.slow
    def test_shuffled_labels_find_nothing(self, tmp_path):
        recipe = replace(RECIPE, sizes={"train": 80, "val": 160}, dimension=40, noise=2.0)
        data = make_data_set(tmp_path, recipe)
        control = trained(data, tmp_path / "runs", shuffle_labels=True)
        uar = float(history(control)[-1]["val_uar"])
        assert abs(uar - 1 / 3) < 0.12
        assert float(history(trained(data, tmp_path / "runs"))[-1]["val_uar"]) > 0.7

    def test_plateau_and_patience(self, tmp_path, data):
        run = trained(data, tmp_path, epochs=40, patience=8, learning_rate=0.1, reduce_on_plateau=True)
        rows = history(run)
        ranks = [(float(r["val_war"]), float(r["val_uar"]), -float(r["val_loss"])) for r in rows]
        assert len(rows) < 40
        assert len(rows) - 1 - ranks.index(max(ranks)) == 8
        assert "0.05" in {row["learning_rate"] for row in rows}

    @pytest.mark.slow
    @pytest.mark.parametrize(
        "settings",
        [
            {"loss": {"mse": 1}},  # Brier's score
            {"loss": {"mse": 0.5, "cross_entropy": 0.5, "label_smoothing": 0.1}},
            {"loss": {"class_weights": {"sad": 2.5}}, "regularization": {"mixup": 0.3}},
        ],
    )
    def test_other_losses_find_the_classes(self, tmp_path, data, settings):
        assert best_war(trained(data, tmp_path, **settings)) > 0.8

    @pytest.mark.slow
    def test_balanced_weights_lift_the_rare_class(self, tmp_path):
        recipe = replace(RECIPE, classes=("common", "rare"), sizes={"train": 120, "val": 200}, noise=9.0)
        data = make_data_set(tmp_path, recipe)
        rare = [clip.id for clip in data.table.split("train") if clip.labels == (0.0, 1.0)]
        clips = tuple(replace(c, labels=None) if c.id in rare[12:] else c for c in data.table)
        table = replace(data.table, clips=clips)
        recalls = {}
        for kind in ("none", "balanced"):
            config = data.configured(epochs=4, loss={"class_weights": kind})
            run = train(config, table, data.features, tmp_path / "runs", CPU, name=kind)
            recalls[kind] = float(history(run)[-1]["rare"])
        assert recalls["balanced"] > recalls["none"] + 0.2

    def test_an_interrupted_run_ends_as_if_it_had_not_been(self, tmp_path, data):
        settings = {"epochs": 5, "loss": {"class_weights": "balanced"}, "reduce_on_plateau": True}
        whole = trained(data, tmp_path / "whole", **settings)
        config = data.configured(**settings)
        with pytest.raises(KeyboardInterrupt):
            train(config, data.table, data.features, tmp_path, CPU, on_event=interrupt_at(3, 2))
        resumed = train(config, data.table, data.features, tmp_path, CPU, resume=True)
        assert same(weights(whole), weights(resumed))

    def test_the_run_remembers_the_kind(self, tmp_path, data):
        assert read_run(trained(data, tmp_path, epochs=1)).task == data.table.task

    def test_clips_without_features_get_the_class_frequencies(self, tmp_path):
        data = make_data_set(tmp_path, replace(RECIPE, absent={"visual": ["00061", "00100"]}))
        run = trained(data, tmp_path / "runs", epochs=1)
        frame = predict(run, data.table, data.features, "test", CPU)
        shares = data.table.label_matrix([clip.id for clip in data.table.split("train")]).mean(axis=0)
        assert frame.loc["00100", list(CLASSES)].to_numpy(dtype=float).tolist() == pytest.approx(shares.tolist())
        assert json.loads((run / "environment.json").read_text())["clips"]["val"]["without_features"] == ["00061"]


class TestLoss:
    def logits(self, clips: int = 12, classes: int = 4) -> tuple[torch.Tensor, torch.Tensor]:
        generator = torch.Generator().manual_seed(0)
        raw = torch.randn(clips, classes, generator=generator)
        return raw, torch.eye(classes)[torch.randint(classes, (clips,), generator=generator)]

    @pytest.mark.parametrize("smoothing", [0.0, 0.2])
    def test_is_that_of_torch(self, smoothing):
        raw, targets = self.logits()
        expected = torch.nn.functional.cross_entropy(raw, targets.argmax(dim=1), label_smoothing=smoothing)
        assert cross_entropy_loss(raw, targets, None, smoothing).item() == pytest.approx(expected.item(), rel=1e-6)

    def test_weights_are_those_of_torch(self):
        raw, targets = self.logits()
        own = torch.tensor([1.0, 2.0, 0.5, 4.0])
        expected = torch.nn.functional.cross_entropy(raw, targets.argmax(dim=1), weight=own)
        assert cross_entropy_loss(raw, targets, own).item() == pytest.approx(expected.item(), rel=1e-6)

    def test_default_is_cross_entropy_for_classes_and_mse_for_intensities(self, data):
        raw, targets = self.logits(classes=3)
        shares, labels = torch.softmax(raw, dim=1), targets.numpy().astype(np.float64)
        objective = create_objective(LossConfig(), data.table.task, labels)
        expected = cross_entropy(shares.double().numpy(), labels)
        assert objective(shares, raw, targets, targets).item() == pytest.approx(expected, rel=1e-5)
        squared = Objective(LossConfig().resolved("regression"))(shares, raw, targets, targets)
        assert squared.item() == pytest.approx(torch.nn.functional.mse_loss(shares, targets).item())

    def test_balanced_weights_make_every_class_count_as_much(self, data):
        labels = np.eye(3)[[0] * 6 + [1] * 3]
        found = class_weights(LossConfig(class_weights="balanced"), data.table.task, labels)
        assert (found * labels.sum(axis=0))[:2] == pytest.approx([4.5, 4.5])
        assert found[2] == 1.0
        assert (labels @ found).mean() == pytest.approx(1.0)


class TestRefusals:
    @pytest.mark.parametrize(
        ("settings", "message"),
        [
            ({"activation": "sigmoid"}, r"activation sigmoid does not fit the task 'moods'.*\n.*Leave"),
            ({"loss": {"ccc": 1}}, "correlates intensities, but the task 'moods' asks for classes"),
            ({"loss": {"pearson": 1}}, "correlates intensities"),
            ({"loss": {"class_weights": {"happy": 2}}}, r"'happy', which is no class of 'moods'\n.*calm, angry, sad"),
            ({"loss": {"mse": 1, "class_weights": "balanced"}}, "class_weights act on the cross-entropy"),
            ({"loss": {"mse": 1, "label_smoothing": 0.1}}, "label_smoothing acts on the cross-entropy"),
        ],
    )
    def test_of_classes(self, tmp_path, data, settings, message):
        with pytest.raises(ConfigError, match=message):
            trained(data, tmp_path / "runs", **settings)
        assert not (tmp_path / "runs").exists()

    def test_of_intensities(self, tmp_path):
        data = make_data_set(tmp_path)
        with pytest.raises(ConfigError, match="class_weights are for classes, but the task 'three'"):
            trained(data, tmp_path / "runs", loss={"class_weights": "balanced"})
        with pytest.raises(ConfigError, match="label_smoothing acts on the cross-entropy"):
            trained(data, tmp_path / "runs", loss={"label_smoothing": 0.1})

    def test_of_boosted_trees(self, tmp_path, data):
        values = {**data.config.model_dump(mode="json"), "model": {"name": "lightgbm"}, "training": {}}
        with pytest.raises(ConfigError, match=r"lightgbm grows trees for intensities.*\n.*model.name=lstm"):
            train(parse_config(values), data.table, data.features, tmp_path / "runs", CPU)

    def test_a_class_without_train_clips_is_named(self, tmp_path, data, caplog):
        clips = tuple(
            replace(c, labels=None) if c.split == "train" and c.labels == (0.0, 0.0, 1.0) else c for c in data.table
        )
        with caplog.at_level(logging.WARNING):
            train(data.configured(epochs=1), replace(data.table, clips=clips), data.features, tmp_path, CPU)
        assert "split 'train': no clip of class sad" in caplog.text
