"""Runs that the tests of this folder share: training them is most of their time."""

from __future__ import annotations

import pytest

import eri
from eri.prediction import LoadedRun
from tests.factories.predicting import CPU, Workshop


@pytest.fixture(scope="package")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Workshop:
    return Workshop(tmp_path_factory.mktemp("shop"))


@pytest.fixture(scope="package")
def visual(shop: Workshop) -> LoadedRun:
    return eri.load(shop.train(), CPU)
