"""Timelines made in a process of their own: what a video that hangs or crashes it costs, and that the others go on."""

from __future__ import annotations

import multiprocessing
from pathlib import Path

import numpy as np
import pytest

from eri.config import Runtime
from eri.prediction.loading import TimelineWorker
from eri.prediction.timeline import TimelineEvent
from eri.reports.predictions import predict_videos
from eri.utils.errors import MediaError, WorkerError
from tests.factories.media import write_clip
from tests.factories.predicting import paint

BRIEF = Runtime(device="cpu", workers=1, timeout=4.0)


def write_film(folder: Path, name: str, seconds: float) -> Path:
    return write_clip(folder / name, seconds, fps=10, size=(64, 48), frames=paint, audio=False)


@pytest.mark.faults
def test_a_video_that_takes_too_long_or_kills_its_process_costs_itself_only(visual, tmp_path):
    endless, short = write_film(tmp_path, "endless.mp4", 30.0), write_film(tmp_path, "short.mp4", 1.0)
    events: list[TimelineEvent] = []
    with TimelineWorker(visual.path, BRIEF, window=1.0, hop=0.0005) as worker:
        with pytest.raises(WorkerError, match=r"endless\.mp4: making its timeline took longer than 4 s") as caught:
            worker.make(endless, events.append)
        assert caught.value.reason == "timeout"
        alone = worker.make(short)
        np.testing.assert_allclose(alone.values, visual.timeline(short, window=1.0, hop=0.0005).values, atol=1e-5)

        def kill(event: TimelineEvent) -> None:
            for process in multiprocessing.active_children():
                process.kill()

        with pytest.raises(WorkerError, match=r"endless\.mp4: its worker process ended") as caught:
            worker.make(endless, kill)
        assert caught.value.reason == "crashed"
        assert len(worker.make(short).times) == len(alone.times)
        with pytest.raises(MediaError, match="no such file"):
            worker.make(tmp_path / "absent.mp4")
    assert events
    assert events[-1].total > 50_000
    assert multiprocessing.active_children() == []


@pytest.mark.slow
def test_videos_without_a_timeline_are_named_and_told_by_the_exit_code(visual, tmp_path):
    # A hundred and twenty thousand windows against four hundred: one alone takes too long, however busy the machine.
    endless, short = write_film(tmp_path, "endless.mp4", 120.0), write_film(tmp_path, "short.mp4", 0.4)
    runtime = Runtime(device="cpu", workers=1, timeout=6.0)
    report = predict_videos(
        visual.path, [endless, short], tmp_path / "out", timeline=True, window=1.1, hop=0.001, runtime=runtime
    )
    assert report.failed == 0
    assert list(report.problems) == [str(endless)]
    assert "took longer than 6 s" in report.problems[str(endless)]
    assert list(report.timelines) == [str(short)]
    assert report.exit_code == 3
