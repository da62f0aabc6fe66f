"""What Python writes is what the command line writes: the same files with the same content."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from safetensors.numpy import load_file

import eri
from eri.cli.app import main
from tests.cli.test_selection import write_data

NOT_THE_SAME = {"checksums", "seconds", "time", "created", "date", "when", "started", "command", "argv"}
SYSTEM: dict[str, Any] = {"config": "system.yaml", "overrides": ["training.epochs=1"], "device": "cpu"}
OPTIONS = ["training.epochs=1", "-c", "system.yaml", "--device", "cpu", "-q"]


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    folder = tmp_path_factory.mktemp("same")
    write_data(folder)
    return folder


@pytest.fixture
def both(place, monkeypatch):
    """Return a function that runs a command and its function, and compares the folders they write."""
    monkeypatch.chdir(place)

    def compare(arguments: list[str], **call: Any) -> None:
        type_in([*arguments, "-d", "data.yaml", "--runs", "typed"])
        result = getattr(eri, arguments[0])(data="data.yaml", runs="called", progress=False, **call)
        if not isinstance(result, Path):
            assert len(repr(result).splitlines()) < 20
            assert "<table>" in result._repr_html_()
        assert content(place / "typed") == content(place / "called")

    return compare


def content(folder: Path) -> dict[str, object]:
    found = sorted(path for path in folder.rglob("*") if path.is_file())
    return {re.sub(r"tfevents.*", "tfevents", str(path.relative_to(folder))): read(path) for path in found}


def read(path: Path) -> object:
    if path.suffix == ".json":
        return strip(json.loads(path.read_text(encoding="utf-8")))
    if path.suffix == ".parquet":
        return pd.read_parquet(path).to_csv()
    if path.suffix == ".csv":
        return pd.read_csv(path).drop(columns=["seconds"], errors="ignore").to_csv()
    if path.suffix == ".html":  # without its numbers: it tells the seconds of each epoch, and when it was made
        return re.sub(r"[\d.:-]+", "", path.read_text(encoding="utf-8").replace("typed", "called"))
    if path.suffix == ".safetensors":
        return {name: values.tolist() for name, values in load_file(path).items()}
    if path.suffix == ".yaml":
        return path.read_text(encoding="utf-8")
    return None


def strip(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: strip(item) for key, item in value.items() if key not in NOT_THE_SAME}
    if isinstance(value, list):
        return [strip(item) for item in value]
    return value.replace("typed", "called") if isinstance(value, str) else value


@pytest.mark.slow
def test_training_evaluating_and_reporting(both):
    both(["train", *OPTIONS, "--name", "a"], name="a", **SYSTEM)
    both(["evaluate", "a", "--bootstrap", "100", "-q"], run="a", bootstrap=100)
    type_in(["report", "a", "--bootstrap", "100", "-q", "--runs", "typed"])
    eri.report("a", bootstrap=100, runs="called", progress=False)
    assert read(Path("typed/a/report.html")) == read(Path("called/a/report.html"))
    options = ["-d", "data.yaml", "--submissions", "typed/files", "--device", "cpu"]
    type_in(["submit", "a", "--runs", "typed", *options])
    eri.submit("a", data="data.yaml", runs="called", submissions="called/files", device="cpu", progress=False)
    assert len(content(Path("typed/files"))) == 2
    assert content(Path("typed/files")) == content(Path("called/files"))


def type_in(command: list[str]) -> None:
    with pytest.raises(SystemExit) as ending:
        main(command)
    assert ending.value.code == 0


@pytest.mark.slow
def test_cross_validations_and_ensembles(both, place):
    options = [*OPTIONS, "--folds", "2", "--workers", "1"]
    for name in ("x", "y"):
        both(["cv", *options, "--name", name], folds=2, workers=1, name=name, **SYSTEM)
    both(["ensemble", "x", "y", "--device", "cpu", "-q"], members=["x", "y"], device="cpu")
    for name in ("x", "ensemble-weighted"):
        inputs = json.loads((place / "called" / name / "inputs.json").read_text(encoding="utf-8"))
        assert inputs["data"] == str(place / "data.yaml")
