"""`eri extract --shard` and `eri plan` as a user meets them."""

from __future__ import annotations

import json
from functools import partial
from pathlib import Path

import pytest

from tests.factories import commands
from tests.factories.challenge_clips import write_challenge, write_system


@pytest.fixture(scope="module")
def workplace(tmp_path_factory) -> Path:
    """A folder with a challenge of 13 clips and a small system."""
    root: Path = tmp_path_factory.mktemp("scaling")
    write_challenge(root / "data")
    write_system(root / "small.yaml", modality="audio")
    return root


@pytest.fixture
def run_eri(capsys, workplace, monkeypatch):
    """Run `eri` with arguments in that folder; returns exit code, standard output, standard error."""
    monkeypatch.chdir(workplace)
    return partial(commands.run_eri, capsys)


@pytest.mark.slow
def test_shards_say_which_they_are_and_together_are_everything(run_eri, workplace):
    totals = []
    for number in (2, 1):
        code, output, _ = run_eri(
            "extract", "-c", "small.yaml", "--shard", f"{number}/2", "--features", "sharded", "--workers", 1, "--json"
        )
        result = json.loads(output.splitlines()[-1])
        assert code == 0
        assert result["extraction"]["shard"] == {"number": number, "count": 2}
        totals.append(result["extraction"]["extractors"][0]["computed"])
    assert sum(totals) == 13
    assert min(totals) > 0
    code, output, _ = run_eri("extract", "-c", "small.yaml", "--shard", "1/2", "--features", "sharded")
    assert (code, "extraction of shard 1/2" in output) == (0, True)


@pytest.mark.parametrize(("shard", "said"), [("3/2", "there is no shard 3 of 2"), ("0/2", "no shard 0"), ("x", "3/8")])
def test_a_shard_that_is_none_is_refused_before_anything_is_opened(run_eri, workplace, shard, said):
    code, _, error = run_eri("extract", "-c", "small.yaml", "--shard", shard, "--features", "never")
    assert (code, said in error) == (2, True)
    assert not (workplace / "never").exists()


@pytest.mark.slow
def test_a_plan_from_what_an_extraction_took(run_eri, workplace):
    code, _, error = run_eri("plan", "--clips", 1000, "-c", "small.yaml", "--features", "planned")
    assert (code, "--measure DATA" in error) == (2, True)
    run_eri("extract", "-c", "small.yaml", "--features", "planned", "--workers", 1)
    code, output, _ = run_eri("plan", "--clips", 1000, "-c", "small.yaml", "--features", "planned", "--price", 2)
    assert code == 0
    said = ("1,000 clips", "in all", "per machine and hour", "estimated from 13 clips", "faster:")
    assert all(part in output for part in said)
    code, output, _ = run_eri("plan", "--clips", 1000, "-c", "small.yaml", "--features", "planned", "--json")
    plan = json.loads(output)
    (rates,) = (workplace / "planned").glob("*/rates.json")
    seconds = json.loads(rates.read_text())["measured"][0]["seconds"]
    assert plan["hours"] * 3600 < 1000 / 13 * seconds
    code, _, error = run_eri("plan", "--clips", 1000, "-c", "small.yaml", "--rates", rates, "--device", "cuda")
    assert (code, "not measured on a GPU" in error) == (2, True)


def test_a_plan_from_a_sample_that_is_measured_now(run_eri, workplace):
    options = ("-c", "small.yaml", "--measure", "data", "--sample", 4, "--workers", 0, "--save", "rates.json")
    code, output, _ = run_eri("plan", "--clips", 1000, *options, "--features", "nowhere")
    assert (code, "estimated from 4 clips" in output) == (0, True)
    assert not (workplace / "nowhere").exists()
    code, output, _ = run_eri("plan", "--clips", 1000, "-c", "small.yaml", "--rates", "rates.json", "--machines", 4)
    assert (code, "4 machine(s)" in output) == (0, True)
