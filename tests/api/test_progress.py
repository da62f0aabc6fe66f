"""Progress on a terminal and in a log."""

from __future__ import annotations

import io
import time

import pytest
from rich.console import Console

from eri.api.progress import CountEvent, ProgressDisplay
from eri.extraction.rates import StageShares
from eri.extraction.report import ExtractionEvent, Failure
from eri.training.events import TrainingEvent


@pytest.fixture
def show():
    """Return a function that shows events and gives back what stood on the screen."""

    def run(*events: object, terminal: bool = False) -> str:
        stream = io.StringIO()
        with ProgressDisplay(Console(file=stream, force_terminal=terminal, width=160)) as display:
            for event in events:
                display.on_event(event)
        return stream.getvalue()

    return run


def test_a_failed_clip_is_named_at_once(show):
    failure = Failure("00007", "resnet50", "train/mp4/00007.mp4", "truncated", "the file ends early")
    text = show(ExtractionEvent("resnet50", "extract", 1, 9, failed=1, seconds=1.0, failure=failure))
    assert "clip 00007 failed (truncated): the file ends early" in text


def test_the_end_of_training_says_what_was_reached_and_why_it_ended(show):
    text = show(
        TrainingEvent("end", "yap-csm-v4-seed101", 7, 30, 5, 5, 0.12, 0.381, 0.401, best_epoch=5, stopped_early=True)
    )
    assert "best 0.401 at epoch 5 (stopped early)" in text


def test_what_is_measured_and_validated_is_told_without_moving_the_epoch(show):
    text = show(TrainingEvent("prepare", "run", 0, 30, 8, 64))
    assert text == "run: epoch 0/30, measuring features, 8/64 clips\n"
    text = show(TrainingEvent("validate", "run", 3, 30, 2, 5, 0.2, 0.123, 0.2, best_epoch=2))
    assert text == "run: epoch 3/30, validating, batch 2/5, loss 0.2000, Pearson 0.123, best 0.200\n"


def test_a_log_gets_plain_lines_without_control_characters(show):
    text = show(ExtractionEvent("vgg16", "end", 3, 3, computed=3, seconds=2.0))
    assert text == "vgg16: 3/3 clips, 3 new, 1.5 clips/s\n"


def test_the_stage_that_bounds_an_extraction_is_named_until_it_ends(show):
    shares = StageShares(decode=0.5, faces=0.4, model=0.2, write=0.0)
    busy = ExtractionEvent("vgg16", "extract", 1, 9, computed=1, seconds=2.0, shares=shares)
    assert show(busy) == "vgg16: 1/9 clips, 1 new, 0.5 clips/s, bottleneck: decoding\n"
    later = ExtractionEvent("vgg16", "extract", 2, 9, computed=2, seconds=2.0)
    assert show(busy, later, terminal=True).count("bottleneck: decoding") >= 1
    assert "bottleneck" not in show(ExtractionEvent("vgg16", "end", 9, 9, computed=9, seconds=2.0, shares=shares))


def test_a_look_at_a_data_set_is_counted(show):
    assert show(CountEvent("probing", 7, 7)) == "probing: 7/7 clips\n"


def test_a_terminal_gets_a_bar_with_the_current_pearson(show):
    text = show(TrainingEvent("epoch", "run", 3, 30, 5, 5, 0.2, 0.123, 0.2, best_epoch=2), terminal=True)
    assert "Pearson 0.123" in text
    assert "\x1b[" in text


def test_markup_in_a_name_is_text(show):
    assert "[red]x[/red]" in show("[red]x[/red]")


def test_a_log_says_that_silent_work_goes_on():
    stream = io.StringIO()
    with ProgressDisplay(Console(file=stream, width=100), "scoring a run", silence=0.2):
        time.sleep(0.7)
    assert stream.getvalue().startswith("scoring a run: 0 s so far\n")


def test_a_terminal_shows_what_it_waits_for():
    stream = io.StringIO()
    with ProgressDisplay(Console(file=stream, force_terminal=True, width=100), "scoring a run", silence=0.2) as display:
        time.sleep(0.5)
        display.on_event(CountEvent("probing", 1, 2))
        display.on_event(CountEvent("probing", 2, 2))
    assert "scoring a run: 0 s" in stream.getvalue()
    assert "probing: 2/2 clips" in stream.getvalue()
