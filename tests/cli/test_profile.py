"""`eri profile` shows what a system costs beside what its paper states, and refuses what it cannot measure."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml
from typer.testing import CliRunner

from eri.cli.app import app
from eri.utils.errors import ConfigError

SHORT = ("--runs", "1", "--seconds", "0", "--device", "cpu")


def write_system(folder: Path, **model: object) -> str:
    frames, size = model.pop("cached", 105), model.get("input_size", 224)
    system = {
        "name": "system",
        "modality": "visual",
        "visual": {"extractor": "crops", "frames": frames, "input_size": size},
        "model": model,
    }
    (folder / "system.yaml").write_text(yaml.safe_dump(system), encoding="utf-8")
    return str(folder / "system.yaml")


def profile(*arguments: str) -> str:
    outcome = CliRunner().invoke(app, ["profile", *arguments])
    if outcome.exception is not None:
        raise outcome.exception
    return outcome.output


def read_row(output: str, what: str) -> tuple[float, float, float]:
    """Return what a row of the table holds: one's own figure, the published one, and the difference in percent."""
    (line,) = [line for line in output.splitlines() if line.startswith(f"│ {what} ")]
    here, published, difference = (float(re.sub(r"[^0-9.+-]", "", cell)) for cell in line.split("│")[2:5])
    return here, published, difference


@pytest.mark.slow
def test_ceflnet_is_within_two_percent_of_its_paper():
    output = profile("ceflnet", "--labels", "6", *SHORT)
    assert "one clip of 35 frames, 224 × 224, 6 labels" in output
    for what, stated in (("parameters", 12.83), ("MACs", 63.80)):
        here, published, difference = read_row(output, what)
        assert published == stated
        assert here == pytest.approx(stated, rel=0.02)
        assert difference == pytest.approx(100 * (here / stated - 1), abs=0.06)
    assert "differ by more than 2 %" not in output
    assert "latency (median of 3, cpu)" in output or "latency (median of 1, cpu)" in output


@pytest.mark.slow
def test_r2plus1d_stands_beside_its_paper_with_the_reason():
    output = profile("r2plus1d-scl", "--labels", "7", *SHORT)
    here, published, _ = read_row(output, "MACs")
    assert published == 38.66
    assert here == pytest.approx(38.66, rel=0.02)
    assert "note: the backbone ends after its third stage" in output


@pytest.mark.slow
def test_a_difference_of_more_than_two_percent_is_explained(tmp_path):
    system = write_system(tmp_path, name="r2plus1d-scl", input_size=32, stages=4)
    output = profile(system, *SHORT)
    assert read_row(output, "MACs")[2] < -2
    assert "MACs differ by more than 2 %: the whole backbone alone needs 40.52 GMACs" in output


def test_overrides_and_options_are_heeded(tmp_path):
    system = write_system(tmp_path, name="cnn3d", filters=[4, 8, 8, 8, 8], dense=[16], input_size=32, cached=10)
    output = profile(system, "model.frames=8", "--labels", "4", "--runs", "2", "--device", "cpu")
    assert "one clip of 8 frames, 32 × 32, 4 labels" in output
    assert "median of 2" in output
    assert "published:" not in output


def test_a_system_on_cached_features_is_refused():
    with pytest.raises(ConfigError, match="reads cached features"):
        profile("yap-csm-v4")
