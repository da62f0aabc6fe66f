"""What `eri export` writes is what `eri.load` takes, with a card that says what it is."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
import pytest
import yaml
from typer.testing import CliRunner

import eri
from eri.api import commands
from eri.cli.app import app
from eri.exports import export_run
from eri.utils.errors import ConfigError, MissingDependencyError, RunError
from tests.factories.predicting import CPU, Workshop, write_videos

onnxruntime = pytest.importorskip("onnxruntime")


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Workshop:
    return Workshop(tmp_path_factory.mktemp("shop"))


@pytest.fixture(scope="module")
def run(shop: Workshop) -> Path:
    folder = shop.train()
    commands.evaluate(folder, bootstrap=100, device="cpu")
    return folder


@pytest.mark.slow
def test_an_exported_folder_predicts_what_the_run_predicts(run, tmp_path):
    report = export_run(run, tmp_path / "deep" / "export")
    assert report.difference is not None
    assert report.difference <= 1e-4
    assert {path.name for path in report.path.iterdir()} == set(report.files)
    clip = write_videos(tmp_path / "videos") / "talks.mp4"
    mine, theirs = (eri.load(folder, CPU).predict(clip) for folder in (run, report.path))
    np.testing.assert_array_equal(mine.iloc[:, :7].to_numpy(dtype=float), theirs.iloc[:, :7].to_numpy(dtype=float))
    assert str(tmp_path.parent) not in "".join(
        path.read_text() for path in report.path.iterdir() if path.suffix in (".md", ".json", ".yaml")
    )


def test_the_signature_says_how_the_graph_is_called(run, tmp_path):
    path = export_run(run, tmp_path / "export").path
    signature = json.loads((path / "model.json").read_text())
    assert signature["inputs"]["visual"]["shape"][:2] == ["clips", "visual_rows"]
    size = signature["inputs"]["visual"]["shape"][2]
    session = onnxruntime.InferenceSession((path / "model.onnx").read_bytes(), providers=["CPUExecutionProvider"])
    (values,) = session.run(None, {"visual": np.zeros((2, 4, size), dtype=np.float32)})
    assert values.shape == (2, len(signature["labels"]))


def test_the_card_states_data_figures_licences_and_use(run, tmp_path):
    card = (export_run(run, tmp_path / "export", onnx=False).path / "README.md").read_text()
    front = yaml.safe_load(card.split("---")[1])
    assert front["library_name"] == "eri"
    for words in (
        "## Data",
        "Trained on 6 clips",
        "| val |",
        "no pretrained weights",
        "do not say what a person feels",
    ):
        assert words in card
    assert "[-" in card or "[0." in card or "–" in card
    assert "model.onnx" not in card


def test_a_run_that_was_not_evaluated_claims_no_figure(shop, tmp_path):
    card = (export_run(shop.train("audio"), tmp_path / "export", onnx=False).path / "README.md").read_text()
    assert "no scores are reported" in card


def test_a_damaged_score_is_refused_and_leaves_nothing(shop, tmp_path):
    folder = shop.train("multimodal")
    (folder / "metrics.json").write_text("{")
    with pytest.raises(RunError, match="cannot be read"):
        export_run(folder, tmp_path / "export", onnx=False)
    assert list(tmp_path.iterdir()) == []
    (folder / "metrics.json").unlink()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("system", "words"), [("mfcc-lightgbm", "boosted trees"), ("yap-csm-v4-finetuned", "backbone")]
)
def test_what_is_no_graph_is_exported_without_one(shop, tmp_path, system, words):
    report = export_run(shop.train_shipped(system), tmp_path / "export")
    assert words in report.notes[0]
    assert report.difference is None
    eri.load(report.path, CPU)


def test_the_command(run, shop, tmp_path):
    words = ["export", run.name, "--runs", str(shop.root / "runs"), "-o", str(tmp_path / "out")]
    outcome = CliRunner().invoke(app, words)
    assert outcome.exit_code == 0, outcome.exception
    assert "model.onnx: the model as ONNX, equal to PyTorch's to" in outcome.stdout
    again = CliRunner().invoke(app, words)
    assert isinstance(again.exception, RunError)
    assert CliRunner().invoke(app, [*words, "--overwrite"]).exit_code == 0


def test_what_is_made_of_several_runs_names_its_members_as_the_way_out(run, tmp_path):
    folds = tmp_path / "folds"
    (folds / "models" / "fold-1-seed-101").mkdir(parents=True)
    (folds / "cv.yaml").write_text("{}")
    (folds / "models" / "fold-1-seed-101" / "config.yaml").write_text("{}")
    with pytest.raises(
        ConfigError, match=rf"a cross-validation of several\n.*eri export {folds}/models/fold-1-seed-101"
    ):
        export_run(folds, tmp_path / "out")
    both = tmp_path / "both"
    both.mkdir()
    data = {"data": {"task": json.loads((run / "environment.json").read_text())["data"]["task"]}}
    (both / "ensemble.json").write_text(json.dumps({"members": [{"path": str(run)}, {"path": "../folds"}], **data}))
    with pytest.raises(ConfigError, match=rf"an? ensemble of several\n.*eri export {run}; .*fold-1.*eri\.load take it"):
        export_run(both, tmp_path / "out")
    (both / "ensemble.json").write_text("{}")
    with pytest.raises(ConfigError, match="Export its members one by one"):
        export_run(both, tmp_path / "out")


def test_what_cannot_be_exported(run, tmp_path, monkeypatch):
    with pytest.raises(RunError, match="not a run folder"):
        export_run(tmp_path, tmp_path / "out")
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("years of work")
    with pytest.raises(RunError, match="is no export"):
        export_run(run, tmp_path / "mine", overwrite=True)
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(MissingDependencyError, match="not installed"):
        export_run(run, tmp_path / "out")
    assert not (tmp_path / "out").exists()
