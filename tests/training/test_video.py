"""Video models learn from cached crops: classes and intensities, resumed within an epoch, predicted by themselves."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from eri.config import Runtime
from eri.config.tasks import Task
from eri.evaluation.evaluate import evaluate, predict
from eri.training import Listener, TrainingEvent, read_run, train
from eri.training.neural import create_video_regressor, load_video_model
from eri.utils.errors import ConfigError, StoreError
from tests.factories.crops import EXPRESSIONS, make_expression_crops, video_config
from tests.factories.features import DataSet, make_data_set
from tests.factories.videos import NAMES
from tests.training.test_experiment import history, same

CPU = Runtime(device="cpu", workers=0)
ROOT = Path(__file__).parents[2]
EVERYTHING: dict[str, Any] = {
    "epochs": 3,
    "batch_size": 3,
    "accumulate": 2,
    "optimizer": "adamw",
    "lookahead": True,
    "schedule": "cosine",
    "warmup": 1,
    "save_every": 0,
    "loss": {"cross_entropy": 1.0, "class_weights": {"up": 2.0}, "label_smoothing": 0.1},
    "regularization": {"ema_decay": 0.9},
    "augmentation": {"flip": 0.5, "crop": 0.8, "rotation": 10, "brightness": [0.8, 1.2]},
    "balancing": {"copies": {"up": {"flip": 1, "rotation": 1}}},
}

VICTIM = """
import os, signal, sys
from pathlib import Path
from eri.config import Runtime
from eri.training import train
from tests.factories.crops import make_expression_crops, video_config

def on_event(event):
    if (event.kind, event.epoch, event.batch) == ("batch", 2, 4):
        os.kill(os.getpid(), signal.SIGKILL)

root = Path(sys.argv[1])
made = make_expression_crops(root, video_config(sys.argv[2], training=eval(sys.argv[3])))
train(made.config, made.table, made.features, root / "runs", Runtime(device="cpu"), on_event=on_event)
"""


def run_of(data: DataSet, folder: Path, **options: Any) -> Path:
    return train(data.config, data.table, data.features, folder, CPU, **options)


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_every_model_is_trained_and_predicts_classes(tmp_path, name):
    config = video_config(name, training={"epochs": 1})
    data = make_expression_crops(tmp_path, config, train=6, val=3)
    run = run_of(data, tmp_path / "runs")
    evaluation = evaluate(run, data.table, data.features, bootstrap=0)
    assert evaluation.metrics is not None
    assert evaluation.metrics.clips == 3
    predictions = predict(run, data.table, data.features, "test", CPU)
    values = predictions[list(EXPRESSIONS.labels)].to_numpy()
    np.testing.assert_allclose(values.sum(axis=1), 1, atol=1e-6)
    trained = load_video_model(read_run(run))
    untrained = create_video_regressor(config, EXPRESSIONS)
    assert not same(trained.state_dict(), untrained.state_dict())


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_every_model_regresses_where_the_task_asks_for_intensities(tmp_path, name):
    task = Task("ways", ("up", "down", "left"))
    config = video_config(name, training={"epochs": 1, "learning_rate": 1e-4})
    data = make_expression_crops(tmp_path, config, task=task, train=6, val=3)
    run = run_of(data, tmp_path / "runs")
    values = predict(run, data.table, data.features, "val", CPU)[list(task.labels)].to_numpy()
    assert values.min() >= 0
    assert values.max() <= 1
    assert not np.allclose(values.sum(axis=1), 1)
    assert "val_pearson" in history(run)[0]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("task", "bar"), [(EXPRESSIONS, 0.7), (Task("ways", ("up", "down", "left")), 0.6)], ids=["classes", "intensities"]
)
def test_a_model_learns_the_way_that_something_moves(tmp_path, task, bar):
    config = video_config("cnn3d", model={"dropout": 0.0}, training={"epochs": 12, "batch_size": 8})
    data = make_expression_crops(tmp_path, config, task=task, train=48, val=18)
    metrics = evaluate(run_of(data, tmp_path / "runs"), data.table, data.features, bootstrap=0).metrics
    assert metrics is not None
    assert metrics.score is not None
    assert metrics.score > bar


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize(("name", "model"), [("r2plus1d-scl", {"frames": 16}), ("ceflnet", {})])
def test_mixed_precision_keeps_weights_and_predictions_in_float32(tmp_path, name, model):
    # With 16 frames: oneDNN 3.12 computes wrong bf16 gradients of temporal convolutions over two moments.
    settings = {"epochs": 1, "augmentation": {"flip": 0.5}}
    sections = {"model": model, "visual": {"frames": 16}}
    data = make_expression_crops(tmp_path, video_config(name, training=settings, **sections), train=6, val=3)
    whole = run_of(data, tmp_path / "whole")
    mixed_config = video_config(name, training={**settings, "precision": "bf16"}, **sections)
    mixed = run_of(DataSet(data.table, data.features, mixed_config), tmp_path / "mixed")
    weights = [load_file(run / "best.safetensors") for run in (whole, mixed)]
    assert {tensor.dtype for tensor in weights[1].values()} <= {torch.float32, torch.int64}
    assert not same(*weights)
    losses = [float(history(run)[0]["loss"]) for run in (whole, mixed)]
    assert losses[1] == pytest.approx(losses[0], rel=0.1)


@pytest.mark.slow
def test_a_clip_is_predicted_alike_whichever_clips_are_beside_it(tmp_path):
    data = make_expression_crops(tmp_path, video_config("ceflnet", training={"epochs": 1}))
    run = run_of(data, tmp_path / "runs")
    together = predict(run, data.table, data.features, "val", CPU)
    settings = run / "config.yaml"
    settings.write_text(settings.read_text().replace("batch_size: 4", "batch_size: 2"))
    apart = predict(run, data.table, data.features, "val", CPU)
    labels = list(EXPRESSIONS.labels)
    np.testing.assert_allclose(together[labels], apart[labels], atol=1e-6)


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory: pytest.TempPathFactory) -> tuple[DataSet, Path]:
    root = tmp_path_factory.mktemp("whole")
    data = make_expression_crops(root, video_config("r2plus1d-scl", training=EVERYTHING))
    return data, run_of(data, root / "runs")


def assert_same_run(run: Path, expected: Path) -> None:
    assert same(load_file(run / "best.safetensors"), load_file(expected / "best.safetensors"))
    last, wanted = (torch.load(folder / "last.pt", weights_only=True) for folder in (run, expected))
    assert same(last["model"], wanted["model"])
    timeless = [[{**row, "seconds": ""} for row in history(folder)] for folder in (run, expected)]
    assert timeless[0] == timeless[1]


def interrupt_at(epoch: int, batch: int) -> Listener:
    def listener(event: TrainingEvent) -> None:
        if (event.kind, event.epoch, event.batch) == ("batch", epoch, batch):
            raise KeyboardInterrupt

    return listener


@pytest.mark.slow
def test_an_epoch_goes_on_where_it_was_left(tmp_path, uninterrupted):
    data, expected = uninterrupted
    with pytest.raises(KeyboardInterrupt):
        run_of(data, tmp_path, on_event=interrupt_at(2, 4))
    batches: list[tuple[int, int]] = []

    def note(event: TrainingEvent) -> None:
        if event.kind == "batch":
            batches.append((event.epoch, event.batch))

    run = run_of(data, tmp_path, resume=True, on_event=note)
    assert batches[0] == (2, 4)  # the state was saved after the step before
    assert_same_run(run, expected)


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="needs POSIX signals")
def test_a_run_that_was_killed_within_an_epoch_ends_as_if_it_had_not_been(tmp_path, uninterrupted):
    _, expected = uninterrupted
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": str(torch.get_num_threads())}
    command = [sys.executable, "-c", VICTIM, str(tmp_path), "r2plus1d-scl", repr(EVERYTHING)]
    victim = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    assert victim.returncode == -signal.SIGKILL, victim.stderr
    data = make_expression_crops(tmp_path, video_config("r2plus1d-scl", training=EVERYTHING))
    run = run_of(data, tmp_path / "runs", resume=True)
    assert_same_run(run, expected)
    scores = [evaluate(each, data.table, data.features, bootstrap=0).metrics for each in (run, expected)]
    assert scores[0] == scores[1]


@pytest.mark.slow
def test_balanced_classes_are_learnt_from_their_copies(tmp_path):
    plain = make_expression_crops(tmp_path, video_config("ceflnet", training={"epochs": 1}))
    seen: list[int] = []
    copies = {"copies": {"up": {"flip": 1, "rotation": 2}, "down": {"contrast": 1}}}
    balanced = DataSet(
        plain.table, plain.features, video_config("ceflnet", training={"epochs": 1, "balancing": copies})
    )
    run_of(balanced, tmp_path / "runs", on_event=lambda event: seen.append(event.batches))
    assert seen[0] == -(-(4 * 4 + 4 * 2 + 4) // 4)


def test_copies_by_class_are_refused_of_intensities(tmp_path):
    config = video_config("c3d", training={"balancing": {}})
    data = make_expression_crops(tmp_path, config, task=Task("ways", ("up", "down", "left")))
    with pytest.raises(ConfigError, match="makes copies by class"):
        run_of(data, tmp_path / "runs")


def test_a_cache_that_is_damaged_meanwhile_is_named(tmp_path):
    data = make_expression_crops(tmp_path, video_config("ceflnet"))
    [folder] = data.features.iterdir()

    def damage(event: TrainingEvent) -> None:
        path = folder / "00001.safetensors"
        path.write_bytes(path.read_bytes()[:-20])

    with pytest.raises(StoreError, match=r"00001\.safetensors"):
        run_of(data, tmp_path / "runs", on_event=damage)


def test_a_run_of_embeddings_has_no_video_model(tmp_path):
    data = make_data_set(tmp_path)
    run = train(data.configured(epochs=1), data.table, data.features, tmp_path / "runs", CPU)
    with pytest.raises(ConfigError, match="has no video model"):
        load_video_model(read_run(run))
