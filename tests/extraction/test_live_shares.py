"""While an extraction runs, its events tell how busy each stage has been, about once a second."""

from __future__ import annotations

import pytest

from eri.config import Runtime
from eri.extraction.run import ExtractionEvent, extract
from tests.factories.extractors import fake_config, fake_extractors, fake_table

CLIPS = {f"{number:03d}": f"ok {number}" for number in range(30)}


@pytest.mark.parametrize("workers", [0, 1])
def test_events_tell_how_busy_the_stages_are(tmp_path, workers):
    events: list[ExtractionEvent] = []
    table, create = fake_table(tmp_path / "data", CLIPS), fake_extractors(delay=0.05)
    extract(
        table,
        [fake_config()],
        tmp_path / "features",
        Runtime(workers=workers),
        on_event=events.append,
        create=create,
    )
    told = [event for event in events if event.shares is not None]
    assert told
    assert len(told) < len([event for event in events if event.stage == "extract"])
    shares = told[-1].shares
    assert shares is not None
    assert shares.bound == "decode"
    assert 0 < shares.decode <= 1.05
