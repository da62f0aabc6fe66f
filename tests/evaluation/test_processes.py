"""A cross-validation whose models are each trained by two processes that torchrun started."""

from __future__ import annotations

import json

import pytest

from eri.config import Runtime
from eri.evaluation.cross_validation import cv
from eri.evaluation.folds import FoldPlan
from eri.utils.errors import ConfigError
from tests.factories.features import Recipe, make_data_set
from tests.factories.processes import run_together

CPU = Runtime(device="cpu")
RECIPE = Recipe(
    classes=("calm", "glad", "sad"),
    model={"name": "lstm", "hidden_size": 8, "dense": 8, "dropout": 0.0},
    sizes={"train": 31, "val": 11, "test": 2},
)
SETTINGS = {"epochs": 2, "batch_size": 7, "loss": {"cross_entropy": 1.0}}
TOGETHER = """
import json, os, sys
from pathlib import Path
from eri.config import Runtime
from eri.evaluation.cross_validation import cv
from eri.evaluation.jobs import ModelTrained
from eri.evaluation.folds import FoldPlan
from tests.factories.features import Recipe, read_data_set

root, recipe, settings = Path(sys.argv[1]), eval(sys.argv[2]), eval(sys.argv[3])
data = read_data_set(root, recipe)
events = []
result = cv(data.configured(**settings), data.table, data.features, root / "runs", Runtime(device="cpu"),
            plan=FoldPlan(folds=2), name="together", on_event=events.append)
models = sum(isinstance(event, ModelTrained) for event in events)
(root / f"scores-{os.environ['RANK']}.json").write_text(json.dumps([result.metrics.score, models]))
"""


@pytest.mark.slow
def test_two_processes_give_what_one_gives(tmp_path):
    data = make_data_set(tmp_path, RECIPE)
    alone = cv(data.configured(**SETTINGS), data.table, data.features, tmp_path / "alone", CPU, plan=FoldPlan(folds=2))
    script = tmp_path / "together.py"
    script.write_text(TOGETHER)
    done = run_together(script, str(tmp_path), repr(RECIPE), repr(SETTINGS))
    assert done.returncode == 0, done.stderr
    (first, models), (second, none) = (json.loads((tmp_path / f"scores-{rank}.json").read_text()) for rank in range(2))
    assert (models, none) == (2, 0)  # the first process reports both models, the other none
    assert first == second
    assert first == pytest.approx(alone.metrics.score, abs=0.03)
    written = json.loads((tmp_path / "runs" / "together" / "cv.json").read_text())
    assert written.keys() == json.loads((alone.path / "cv.json").read_text()).keys()


def test_two_ways_to_spread_models_are_refused(tmp_path, monkeypatch):
    data = make_data_set(tmp_path, RECIPE)
    for name, value in {"TORCHELASTIC_RUN_ID": "x", "RANK": "0", "WORLD_SIZE": "2"}.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(ConfigError, match="both spread the models"):
        cv(data.configured(**SETTINGS), data.table, data.features, tmp_path, CPU, engine="ray")
