"""Brightened versions from video to run: cached beside the plain features, drawn in training, never predicted from."""

from __future__ import annotations

import json

import pytest
from safetensors.torch import load_file

from eri.api import commands
from eri.utils.errors import RunError, StoreError
from tests.factories.challenge_clips import write_challenge, write_system

VERSIONS = ["training.augmentation={brightness: 1.5, versions: 2}"]


@pytest.fixture(scope="module")
def workplace(tmp_path_factory):
    folder = tmp_path_factory.mktemp("versions")
    write_challenge(folder / "data", train=6, val=3, test=2)
    return folder


@pytest.fixture(scope="module")
def system(workplace):
    return write_system(workplace / "small.yaml")


@pytest.fixture(scope="module")
def run(workplace, system):
    options = {"config": system, "overrides": VERSIONS, "features": workplace / "features"}
    report = commands.extract(workplace / "data", **options)
    assert len(report.extractors) == 3
    assert len({part.folder for part in report.extractors}) == 3
    return commands.train(workplace / "data", **options, runs=workplace / "runs", name="drawn")


@pytest.mark.slow
def test_a_run_says_which_versions_it_learnt_from(run):
    environment = json.loads((run / "environment.json").read_text())
    drawn = environment["drawn"]["visual"]
    assert [source["identity"]["brightening"]["draw"] for source in drawn] == [1, 2]
    assert "brightening" not in environment["features"]["visual"]["identity"]


def test_the_versions_change_what_is_learnt_and_not_what_is_predicted_from(run, workplace, system):
    options = {"config": system, "features": workplace / "features", "runs": workplace / "runs"}
    plain = commands.train(workplace / "data", **options, name="plain")
    first, second = (load_file(path / "best.safetensors") for path in (run, plain))
    standard = "standardizers.visual.mean"
    assert (first[standard] == second[standard]).all()
    assert any((first[name] != second[name]).any() for name in first)
    assert commands.evaluate(run).metrics is not None


def test_a_run_is_not_resumed_with_other_versions(run, workplace, system):
    environment = json.loads((run / "environment.json").read_text())
    environment["drawn"]["visual"][0]["digest"] = "00"
    (run / "environment.json").write_text(json.dumps(environment))
    with pytest.raises(RunError, match="versions of the features changed"):
        commands.train(
            workplace / "data",
            config=system,
            overrides=VERSIONS,
            features=workplace / "features",
            runs=workplace / "runs",
            name="drawn",
            resume=True,
        )


def test_versions_that_were_not_extracted_are_asked_for(workplace, system):
    with pytest.raises(StoreError, match="eri extract"):
        commands.train(
            workplace / "data",
            config=system,
            overrides=["training.augmentation.versions=3"],
            features=workplace / "features",
            runs=workplace / "runs",
            name="more",
        )
