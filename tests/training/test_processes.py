"""Several processes that train one model: how steps are shared out, and what two that torchrun starts learn."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import load_file

from eri.config import Runtime, parse_config
from eri.evaluation.evaluate import evaluate
from eri.training import train
from eri.training.processes import ProcessRank, current_rank, plan_steps
from eri.utils.errors import ConfigError
from tests.factories.crops import make_expression_crops, video_config
from tests.factories.features import Recipe, make_data_set
from tests.factories.processes import run_together
from tests.training.test_experiment import history

CPU = Runtime(device="cpu", workers=0)
CLASSES: dict[str, Any] = {
    "epochs": 3,
    "save_every": 0,
    "batch_size": 7,
    "accumulate": 2,
    "loss": {"cross_entropy": 1.0, "mse": 0.5, "class_weights": "balanced"},
    "regularization": {"ema_decay": 0.9},
}
HEAD = {"name": "lstm", "hidden_size": 8, "dense": 8, "dropout": 0.0}

TOGETHER = """
import os, sys
from pathlib import Path
import numpy as np
from eri.config import Runtime
from eri.training import train
from tests.factories.crops import make_expression_crops, video_config
from tests.factories.features import DataSet, Recipe, make_config, make_table

root, kind, settings, moment = Path(sys.argv[1]), sys.argv[2], eval(sys.argv[3]), sys.argv[4]
if kind == "video":
    config = video_config("r2plus1d-scl", training=settings)
    made = make_expression_crops(root / ("data" + os.environ["RANK"]), config)
else:
    recipe = eval(kind)
    table = make_table(root, recipe, np.random.default_rng(recipe.seed))
    config = DataSet(table, root, make_config(recipe)).configured(**settings)
    made = DataSet(table, root / "features", config)

def on_event(event):
    if moment == "stopped" and (event.kind, event.epoch, event.batch) == ("batch", 2, 4):
        os._exit(7)

folder, cpu = root / "runs", Runtime(device="cpu")
run = train(config, made.table, made.features, folder, cpu, resume=moment == "resumed", on_event=on_event)
print("ended", run.name)
"""


def train_together(root: Path, kind: str, settings: dict[str, Any], moment: str) -> subprocess.CompletedProcess[str]:
    """Train in two processes, the first of which may be ``stopped`` within the second epoch."""
    script = root / "together.py"
    script.write_text(TOGETHER)
    return run_together(script, str(root), kind, repr(settings), moment)


@pytest.mark.slow
@pytest.mark.parametrize("stopped", [False, True])
def test_two_processes_learn_what_one_does_also_when_they_are_stopped_within_an_epoch(tmp_path, stopped):
    recipe = Recipe(classes=("calm", "glad", "sad"), model=HEAD, sizes={"train": 31, "val": 11, "test": 2})
    data = make_data_set(tmp_path, recipe)
    alone = train(data.configured(**CLASSES), data.table, data.features, tmp_path / "alone", CPU)
    run = tmp_path / "runs" / alone.name
    if stopped:
        assert train_together(tmp_path, repr(recipe), CLASSES, "stopped").returncode != 0
        assert len(history(run)) == 1
    outcome = train_together(tmp_path, repr(recipe), CLASSES, "resumed" if stopped else "whole")
    assert outcome.returncode == 0, outcome.stderr
    assert outcome.stdout.count("ended") == 2
    ours, theirs = (load_file(folder / "best.safetensors") for folder in (alone, run))
    for name, values in ours.items():
        np.testing.assert_allclose(values.numpy(), theirs[name].numpy(), atol=2e-5, err_msg=name)
    losses = [[float(row["loss"]) for row in history(folder)] for folder in (alone, run)]
    np.testing.assert_allclose(losses[0], losses[1], rtol=1e-4)


@pytest.mark.slow
def test_two_processes_train_a_video_model(tmp_path):
    settings = {"epochs": 1, "batch_size": 4, "augmentation": {"flip": 0.5}}
    outcome = train_together(tmp_path, "video", settings, "whole")
    assert outcome.returncode == 0, outcome.stderr
    data = make_expression_crops(tmp_path / "data", video_config("r2plus1d-scl", training=settings))
    [run] = (tmp_path / "runs").glob("[!.]*")
    metrics = evaluate(run, data.table, data.features, bootstrap=0).metrics
    assert metrics is not None
    assert metrics.clips == 6
    assert not list((tmp_path / "runs").glob(".*made"))


@pytest.mark.parametrize(
    ("model", "settings", "message"),
    [
        (HEAD, {"batch_size": 8, "loss": {"ccc": 1.0}}, "each process has only some of them"),
        ({"name": "lightgbm"}, {}, "lightgbm trains in one process"),
    ],
)
def test_what_cannot_be_shared_is_refused(tmp_path, monkeypatch, model, settings, message):
    data = make_data_set(tmp_path)
    values = {**data.config.model_dump(mode="json"), "model": model, "training": settings}
    for name, value in {"TORCHELASTIC_RUN_ID": "x", "RANK": "0", "WORLD_SIZE": "2"}.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(ConfigError, match=message):
        train(parse_config(values), data.table, data.features, tmp_path / "runs", CPU)
    assert not (tmp_path / "runs").exists()


@settings(deadline=None)
@given(st.integers(1, 40), st.integers(1, 9), st.integers(1, 4), st.integers(1, 12))
def test_steps_keep_every_clip_in_order_and_are_large_enough(clips, batch_size, size, least):
    least = min(least, batch_size * size, clips)
    found = plan_steps(np.arange(clips), batch_size, size, least)
    assert [clip for step in found for batch in step for clip in batch] == list(range(clips))
    assert all(len(step) == size for step in found[:-1])
    assert sum(len(batch) for batch in found[-1]) >= least


@given(st.integers(0, 20), st.integers(1, 5))
def test_processes_share_a_batch_without_overlap(clips, world):
    batch = np.random.default_rng(clips).permutation(clips)
    own = [ProcessRank(rank, world).own(batch).tolist() for rank in range(world)]
    assert sorted(clip for part in own for clip in part) == list(range(clips))
    assert max(map(len, own)) - min(map(len, own)) <= 1


def test_a_process_that_was_not_started_with_others_is_the_only_one(monkeypatch):
    monkeypatch.setenv("RANK", "3")
    monkeypatch.delenv("TORCHELASTIC_RUN_ID", raising=False)
    assert current_rank() == ProcessRank(0, 1)
    monkeypatch.setenv("TORCHELASTIC_RUN_ID", "some")
    monkeypatch.setenv("WORLD_SIZE", "4")
    assert current_rank() == ProcessRank(3, 4)
    assert not current_rank().writes
