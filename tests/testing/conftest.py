"""Settings for every test of this folder."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from eri.config import EXTRACTORS, MODELS
from eri.submission.formats import FORMATS
from tests.training.conftest import one_thread

__all__ = ["one_thread"]


@pytest.fixture(autouse=True)
def forgotten() -> Iterator[None]:
    """Forget afterwards what a test registers."""
    with ExitStack() as stack:
        for registry in (EXTRACTORS, MODELS, FORMATS):
            stack.enter_context(registry.temporarily())
        yield
