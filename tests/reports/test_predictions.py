"""The page of a timeline in a browser: playback moves the cursor, names stay text, gaps and missing videos are said."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from eri.prediction import FaceFrame, Timeline
from eri.reports.predictions import write_timeline_page
from eri.utils.errors import RunError
from tests.factories.browser import DESKTOP, PHONE, chromium, visit
from tests.factories.media import write_clip

__all__ = ["chromium"]

SCRIPT = "<script>document.title='gone'<"  # a file's name holds no slash
CURSOR = "parseFloat(getComputedStyle(document.getElementById('tracks')).getPropertyValue('--at'))"


def make_timeline(video: Path, *, windows: int = 21, duration: float = 2.0, gap: bool = True) -> Timeline:
    """A label that rises from 0 to 1, and one that falls; a gap of three windows in the middle."""
    times = np.linspace(0, duration, windows)
    rising = np.linspace(0, 1, windows)
    values = np.stack([rising, 1 - rising], axis=1)
    missing = [""] * windows
    for place in range(9, 12) if gap else ():
        values[place] = np.nan
        missing[place] = "no face <b>here</b>"
    picture = cv2.imencode(".jpg", np.full((60, 80, 3), 90, dtype=np.uint8))[1].tobytes()
    faces = (
        FaceFrame(0.5, picture, 80, 60, (20.0, 15.0, 60.0, 45.0)),
        FaceFrame(1.5, picture, 80, 60, None),
    )
    notes = ("The video has no sound track.",)
    return Timeline(
        video,
        ("Joy</script>", "\"Fear\" & '😀'"),
        0.0,
        1.0,
        times,
        values,
        0.4,
        0.1,
        duration,
        tuple(missing),
        faces,
        notes,
    )


@pytest.fixture(scope="module")
def video(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("videos") / f"{SCRIPT}{'é' * 100}.mp4"
    write_clip(path, 2.0, fps=10, size=(160, 120), audio=False)
    return path


@pytest.fixture(scope="module")
def page(video: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("pages") / "timeline.html"
    write_timeline_page(make_timeline(video), path)
    return path


@pytest.mark.slow
def test_the_cursor_follows_playback(chromium, page):
    with visit(chromium, page) as visited:
        assert visited.page.evaluate(CURSOR) == 0
        visited.page.evaluate("document.getElementById('video').play()")
        visited.wait_until(f"{CURSOR} > 30")
        assert visited.page.evaluate("document.getElementById('video').currentTime") > 0.5
        visited.page.evaluate("document.getElementById('video').pause()")
        first = float(visited.page.locator("output.now").first.inner_text())
        assert first > 0.2
    assert visited.console == []
    assert visited.requests == []


@pytest.mark.slow
def test_the_keyboard_moves_cursor_and_video(chromium, page):
    with visit(chromium, page) as visited:
        visited.wait_until("document.getElementById('video').readyState > 1")
        visited.page.locator("#cursor").focus()
        visited.page.keyboard.press("End")
        visited.wait_until("document.getElementById('video').currentTime > 1.9")
        assert visited.page.evaluate(CURSOR) == pytest.approx(100, abs=1)
        assert visited.page.locator("output.now").all_inner_texts() == ["1.00", "0.00"]


@pytest.mark.slow
def test_a_click_goes_there_and_a_gap_has_no_value(chromium, page):
    with visit(chromium, page) as visited:
        plot = visited.page.locator(".track .plot").first
        box = plot.bounding_box()
        assert box is not None
        plot.click(position={"x": box["width"] / 2, "y": 10})
        assert visited.page.evaluate(CURSOR) == pytest.approx(50, abs=2)
        assert visited.page.locator("output.now").all_inner_texts() == ["–", "–"]
        visited.page.get_by_role("button", name="Frame at 0:01.5").click()
        assert visited.page.evaluate(CURSOR) == pytest.approx(75, abs=2)
        assert visited.page.locator(".course").count() == 4  # two labels, in two pieces each


@pytest.mark.slow
@pytest.mark.parametrize("width", [PHONE, pytest.param(DESKTOP, marks=pytest.mark.slow)])
def test_names_stay_text_and_everything_is_said(chromium, page, video, width):
    with visit(chromium, page, width=width, scheme="dark") as visited:
        assert visited.page.title() == video.name
        assert visited.page.locator("h1").inner_text() == video.name
        assert visited.page.locator(".label").all_inner_texts()[:2] == ["Joy</script>", "\"Fear\" & '😀'"]
        notes = visited.page.locator(".note").all_inner_texts()
        assert notes == ["The video has no sound track.", "3 of 21 windows have no values: no face <b>here</b>."]
        assert visited.page.locator(".box").count() == 1
        assert "no face" in visited.page.locator(".faces li").nth(1).inner_text()
        assert visited.page.locator("table.sortable tbody tr").count() == 21
        assert not visited.is_too_wide
    assert visited.console == []


def test_a_video_too_large_for_the_page_is_named(chromium, video, tmp_path):
    write_timeline_page(make_timeline(video), tmp_path / "page.html", embed=10)
    with visit(chromium, tmp_path / "page.html") as visited:
        assert visited.page.locator("video").count() == 0
        assert "is not embedded in this page" in visited.page.locator("main").inner_text()
        visited.page.locator("#cursor").focus()
        visited.page.keyboard.press("End")
        assert visited.page.evaluate(CURSOR) == 100
    assert visited.console == []


@pytest.mark.parametrize(
    ("name", "said"), [("clip.avi", "do not play files like clip.avi"), ("gone.mp4", "cannot be read")]
)
def test_a_video_that_cannot_be_shown_is_said(tmp_path, name, said):
    write_timeline_page(make_timeline(tmp_path / name), tmp_path / "page.html")
    assert said in (tmp_path / "page.html").read_text(encoding="utf-8")


@pytest.mark.slow
def test_an_hour_stays_small(tmp_path):
    timeline = make_timeline(tmp_path / "hour.avi", windows=36_000, duration=3600.0)
    write_timeline_page(timeline, tmp_path / "page.html")
    text = (tmp_path / "page.html").read_text(encoding="utf-8")
    assert len(text) < 5_000_000
    assert text.count("<tr>") == 1 + 2000
    assert "Every 18th window" in text


def test_no_window_at_all(chromium, tmp_path):
    write_timeline_page(make_timeline(tmp_path / "none.avi", windows=0, gap=False), tmp_path / "page.html")
    with visit(chromium, tmp_path / "page.html") as visited:
        assert visited.page.locator("output.now").all_inner_texts() == ["–", "–"]
    assert visited.console == []


def test_a_page_that_cannot_be_written(tmp_path, video):
    with pytest.raises(RunError, match="cannot be written"):
        write_timeline_page(make_timeline(video), tmp_path)
