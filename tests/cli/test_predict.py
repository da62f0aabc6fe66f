"""`eri predict` on files, folders and patterns, and what commands write for machines."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from typer.testing import CliRunner, Result

from eri.cli.app import app
from eri.utils.errors import ConfigError, DataError, RunError
from tests.factories.challenge_clips import write_challenge, write_system
from tests.factories.predicting import Workshop, write_videos


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Workshop:
    return Workshop(tmp_path_factory.mktemp("shop"))


@pytest.fixture(scope="module")
def run(shop: Workshop) -> Path:
    return shop.train()


@pytest.fixture(scope="module")
def videos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_videos(tmp_path_factory.mktemp("videos"))


def invoke(*arguments: object) -> Result:
    result = CliRunner().invoke(app, [*map(str, arguments)])
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result


def lines_of(result: Result) -> list[dict[str, Any]]:
    return [json.loads(line) for line in result.stdout.splitlines()]


class TestPredict:
    @pytest.mark.slow
    def test_a_folder_gives_a_table_and_an_exit_code_that_tells_of_gaps(self, shop, run, videos, tmp_path):
        result = invoke("predict", run, videos, "-o", tmp_path / "out", "--workers", 0, "--device", "cpu")
        assert result.exit_code == 3
        assert "3 of 6 predicted" in result.stdout
        assert "train-mean" in result.stdout
        table = pd.read_csv(tmp_path / "out" / "predictions.csv", index_col="file")
        assert len(table) == 6
        assert table["reason"].notna().sum() == 3

    def test_a_run_is_found_by_name_and_writes_under_its_name(self, shop, run, videos, tmp_path, monkeypatch):
        monkeypatch.chdir(tmp_path)
        options = ("--runs", shop.root / "runs", "--workers", 0, "--device", "cpu")
        assert invoke("predict", run.name, videos / "talks.mp4", *options).exit_code == 0
        assert (tmp_path / "predictions" / run.name / "predictions.csv").is_file()

    @pytest.mark.slow
    def test_a_timeline_is_written_beside_the_table(self, run, videos, tmp_path):
        options = ("--timeline", "--window", 0.5, "--hop", 0.25, "-o", tmp_path, "--workers", 0, "--device", "cpu")
        result = invoke("predict", run, f"{videos}/*a*.m*", *options)
        assert result.exit_code == 0
        written = sorted(path.suffix for path in (tmp_path / "timelines").iterdir())
        assert written == [".csv", ".csv", ".html", ".html", ".png", ".png"]
        course = pd.read_csv(next((tmp_path / "timelines").glob("talks-*.csv")))
        assert len(course) == 3
        assert course["missing"].isna().all()

    def test_machines_get_a_json_object_a_line(self, run, videos, tmp_path):
        result = invoke("predict", run, videos, "-o", tmp_path, "--workers", 0, "--device", "cpu", "--json")
        told = lines_of(result)
        assert {line["event"] for line in told} == {"extraction", "result"}
        by_name = {Path(row["file"]).name: row for row in told[-1]["videos"]}
        assert by_name["talks.mp4"]["Fear"] is not None
        assert by_name["broken.mp4"]["Fear"] is None
        assert by_name["broken.mp4"]["reason"]
        assert told[-1]["exit_code"] == result.exit_code == 3

    def test_quiet_says_nothing(self, run, videos, tmp_path):
        result = invoke(
            "predict", run, videos / "talks.mp4", "-o", tmp_path, "--workers", 0, "--device", "cpu", "--quiet"
        )
        assert result.stdout == ""

    @pytest.mark.slow
    def test_a_clip_that_gets_the_train_mean_is_told_in_the_table_only(self, run, videos, tmp_path, caplog):
        options = ("-o", tmp_path, "--workers", 0, "--device", "cpu", "--quiet", "--timeline")
        result = invoke("predict", run, videos / "black.mp4", *options)
        assert result.output == ""
        assert "train mean" not in caplog.text
        assert pd.read_csv(tmp_path / "predictions.csv")["rule"].tolist() == ["train-mean"]

    def test_what_cannot_be_done_is_refused(self, run, videos, tmp_path):
        options = ("-o", tmp_path, "--workers", 0, "--device", "cpu")
        (tmp_path / "bare").mkdir()
        with pytest.raises(DataError, match="holds no video"):
            invoke("predict", run, tmp_path / "bare", *options)
        with pytest.raises(RunError, match="not a run folder"):
            invoke("predict", tmp_path / "bare", videos, *options)
        with pytest.raises(ConfigError, match="positive number"):
            invoke("predict", run, videos / "talks.mp4", *options, "--timeline", "--hop", 0)
        assert invoke("predict", run, tmp_path / "absent.mp4", *options).exit_code == 1


@pytest.mark.slow
def test_extract_and_train_tell_machines_and_can_be_quiet(tmp_path):
    data, config = write_challenge(tmp_path / "data"), write_system(tmp_path / "small.yaml")
    places = ("-c", config, "-d", data, "--features", tmp_path / "features", "--device", "cpu")
    told = lines_of(invoke("extract", *places, "--workers", 0, "--json"))
    assert told[0]["event"] == "extraction"
    assert told[-1]["event"] == "result"
    assert told[-1]["extraction"]["extractors"][0]["computed"] == 13
    assert invoke("extract", *places, "--workers", 0, "--quiet").stdout == ""

    told = lines_of(invoke("train", *places, "--runs", tmp_path / "runs", "--name", "a", "--json"))
    epochs = [line for line in told if line.get("kind") == "epoch"]
    assert [line["epoch"] for line in epochs] == [1, 2]
    assert all(line["loss"] > 0 for line in epochs)
    assert told[-1] == {"event": "result", "run": str(tmp_path / "runs" / "a"), "exit_code": 0}
    assert invoke("train", *places, "--runs", tmp_path / "runs", "--name", "b", "--quiet").stdout == ""
