"""The doctor's report."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, version

import pytest

from eri.api import diagnosis
from eri.weights import WEIGHTS


def test_every_section_is_looked_at_and_nothing_required_is_missing(tmp_path):
    checks = diagnosis.doctor(tmp_path / "features")
    assert {check.section for check in checks} == {"machine", "packages", "extractors", "weights", "folders"}
    assert [check.name for check in checks if check.status == "missing"] == []


def test_every_registered_set_of_weights_is_reported(tmp_path):
    names = {check.name for check in diagnosis.doctor(tmp_path) if check.section == "weights"}
    assert names == set(WEIGHTS)


def test_every_gap_comes_with_what_to_do(tmp_path):
    assert all(check.advice for check in diagnosis.doctor(tmp_path) if check.status != "ready")


def test_a_package_that_is_not_installed_is_missing(monkeypatch, tmp_path):
    def find(name: str) -> str:
        if name == "timm":
            raise PackageNotFoundError(name)
        return version(name)

    monkeypatch.setattr("eri.api.diagnosis.version", find)
    (found,) = [check for check in diagnosis.doctor(tmp_path) if check.name == "timm"]
    assert (found.status, found.advice) == ("missing", "pip install timm")


def test_a_folder_that_cannot_be_written_is_missing(monkeypatch, tmp_path):
    monkeypatch.setattr("os.access", lambda path, mode: False)
    (found,) = [check for check in diagnosis.doctor(tmp_path / "features") if check.section == "folders"]
    assert found.status == "missing"
    assert "--features" in found.advice


@pytest.mark.parametrize("name", ["dlib-bin", "torch", "lightning-fabric"])
def test_required_packages_are_read_from_the_package_itself(name, tmp_path):
    assert name in {check.name for check in diagnosis.doctor(tmp_path) if check.section == "packages"}
