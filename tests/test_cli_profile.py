"""`eri profile` refuses what it cannot measure, and takes its options to the measurement."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
import typer
from typer.testing import CliRunner

from eri.cli_profile import profile
from eri.errors import ConfigError
from tests.factories.videos import small_config


@pytest.fixture
def app() -> typer.Typer:
    result = typer.Typer()
    result.command()(profile)
    return result


def test_a_system_on_cached_features_is_refused(app):
    result = CliRunner().invoke(app, ["yap-csm-v4"])
    assert isinstance(result.exception, ConfigError)
    assert "reads cached features" in str(result.exception)


def test_options_reach_the_measurement(app, monkeypatch):
    system = SimpleNamespace(name="small", model=small_config("r2plus1d-scl"))
    monkeypatch.setattr("eri.config.load_config", lambda *_: system)
    result = CliRunner().invoke(app, ["small", "--labels", "4", "--runs", "2", "--device", "cpu"])
    assert result.exit_code == 0, result.output
    assert "4 labels" in result.output
    assert "median of 2" in result.output
