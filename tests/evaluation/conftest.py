"""Data sets that tests of selection share; training them is most of their time."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

import pytest

from eri.config import Runtime
from eri.evaluation.cross_validation import CrossValidation, cv
from eri.evaluation.folds import FoldPlan
from tests.factories.features import DataSet, Recipe, make_data_set

CPU = Runtime(device="cpu")
PLAN = FoldPlan(folds=3)


T = TypeVar("T")


class Events(list[Any]):
    """Events that were reported; appended to by what reports them."""

    def of(self, kind: type[T]) -> list[T]:
        """Return those of one kind."""
        return [event for event in self if isinstance(event, kind)]


def known(value: T | None) -> T:
    """Return a value that must be there."""
    assert value is not None
    return value


def make_grouped(root: Path, recipe: Recipe, subjects: int) -> DataSet:
    """Make a data set whose clips are of some subjects in turn."""
    data = make_data_set(root, recipe)
    clips = tuple(replace(clip, group=f"s{index % subjects}") for index, clip in enumerate(data.table))
    return replace(data, table=replace(data.table, clips=clips))


@pytest.fixture(scope="session")
def data(tmp_path_factory: pytest.TempPathFactory) -> DataSet:
    return make_grouped(
        tmp_path_factory.mktemp("data"), Recipe(sizes={"train": 48, "val": 24, "test": 6}, noise=2.0), subjects=9
    )


@pytest.fixture(scope="session")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("runs")


@pytest.fixture(scope="session")
def finished(data: DataSet, runs: Path) -> CrossValidation:
    """A cross-validation of two seeds in three folds."""
    return cv(data.configured(epochs=4), data.table, data.features, runs, CPU, plan=PLAN, seeds=(1, 2), name="good")
