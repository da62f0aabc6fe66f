"""Search spaces: read from YAML, and refused by the name of the setting that does not fit."""

from __future__ import annotations

from pathlib import Path

import optuna
import pytest

from eri.config.training import GradientTraining
from eri.evaluation.search_space import Parameter, configured, read_space, refuse_misfits
from eri.utils.errors import ConfigError
from tests.factories.features import make_config

GOOD = """
training.learning_rate: {low: 1e-4, high: 1e-2, log: true}
model.hidden_size: {type: int, low: 4, high: 16, step: 4}
training.optimizer: {choices: [adam, adamw]}
"""


def write(folder: Path, text: str) -> Path:
    (folder / "space.yaml").write_text(text)
    return folder / "space.yaml"


def test_reads_and_suggests_within(tmp_path):
    space = read_space(write(tmp_path, GOOD))
    config = make_config()
    refuse_misfits(config, space)
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=0))
    for _ in range(20):
        trial = study.ask()
        values = {key: parameter.suggest(trial, key) for key, parameter in space.items()}
        found = configured(config, values)
        assert 1e-4 <= found.training_of(GradientTraining).learning_rate <= 1e-2
        assert values["model.hidden_size"] in (4, 8, 12, 16)
        assert found.training_of(GradientTraining).optimizer in ("adam", "adamw")
    assert config == make_config()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a: {low: 1}", r"a: Value error, an interval has 'low'"),
        ("a: {low: 2, high: 1}", "larger 'high'"),
        ("a: {low: 0, high: 1, log: true}", "with log, low is above zero"),
        ("a: {type: int, low: 0.5, high: 3}", "whole numbers"),
        ("a: {choices: []}", "a choice has 'choices'"),
        ("a: {choices: [1], low: 1}", "a choice has 'choices'"),
        ("a: {choices: [[1, 2]]}", r"a\.choices"),
        ("a: {low: 0, high: 1, step: -1}", "step is above zero"),
        ("a: {low: 0, hihg: 1}", "hihg"),
        ("a: {low: 0, high: 1}\na: {low: 0, high: 2}", "is duplicated"),
        ("{}", "names no setting"),
        ("- a", "space.yaml"),
        ("a: [", "cannot be read as YAML"),
    ],
)
def test_bad_files(tmp_path, text, message):
    with pytest.raises(ConfigError, match=message):
        read_space(write(tmp_path, text))


def test_no_file(tmp_path):
    with pytest.raises(ConfigError, match="cannot be read"):
        read_space(tmp_path / "space.yaml")


@pytest.mark.parametrize(
    ("key", "parameter", "message"),
    [
        ("training.learning_rate", Parameter(low=-1, high=1), r"'training.learning_rate' cannot be -1.0"),
        ("training.learnign_rate", Parameter(low=0.1, high=1), "'training.learnign_rate' cannot be 0.1"),
        ("trianing.learning_rate", Parameter(low=0.1, high=1), "no section 'trianing'"),
        ("training.optimizer", Parameter(choices=("adam", "sgd")), "'training.optimizer' cannot be 'sgd'"),
    ],
)
def test_misfits(key, parameter, message):
    with pytest.raises(ConfigError, match=message):
        refuse_misfits(make_config(), {key: parameter})
