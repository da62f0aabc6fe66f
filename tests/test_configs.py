"""Every shipped system goes the whole way on a miniature of its data set."""

from __future__ import annotations

import pytest

from eri import commands
from eri.config import config_names, load_config
from tests.factories.challenge_clips import small_overrides, write_challenge


@pytest.fixture(scope="module")
def workplace(tmp_path_factory):
    folder = tmp_path_factory.mktemp("configs")
    write_challenge(folder / "data", train=9, val=3, test=2)
    return folder


@pytest.mark.parametrize("name", config_names())
def test_a_shipped_system_extracts_trains_evaluates_and_submits(name, workplace):
    overrides = small_overrides(load_config(name))
    features, runs = workplace / "features", workplace / "runs"
    report = commands.extract(workplace / "data", config=name, overrides=overrides, features=features)
    assert report.exit_code == 0
    run = commands.train(workplace / "data", config=name, overrides=overrides, features=features, runs=runs)
    result = commands.evaluate(run)
    assert result.metrics is not None
    assert result.metrics.clips == 3
    path, findings = commands.submit(run, submissions=workplace / "submissions")
    assert len(path.read_text(encoding="utf-8").splitlines()) == 3
    assert {finding.code for finding in findings if finding.severity == "error"} <= {"constant-column"}


@pytest.mark.parametrize("name", config_names())
def test_a_shipped_system_carries_its_file_name_and_says_what_it_is(name):
    config = load_config(name)
    assert config.name == name
    assert config.description


def test_the_defaults_of_the_modalities_are_shipped():
    for modality, name in commands.DEFAULT_CONFIGS.items():
        assert load_config(name).modality == modality
