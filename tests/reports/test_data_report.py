"""`eri report --data DIR`: what stands on the page of a data set before any training."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from typer.testing import CliRunner

from eri.cli.app import app
from eri.reports.data_report import report_data
from eri.utils.errors import DataError, RunError
from tests.factories.browser import DESKTOP, PHONE, chromium, visit
from tests.factories.challenge import Entry, make_entries, write_abaw5
from tests.factories.challenge_clips import write_media
from tests.factories.media import write_clip
from tests.factories.reporting import CLASSES, SCRIPT, write_place

__all__ = ["chromium"]


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    root = tmp_path_factory.mktemp("data")
    entries = make_entries(8, 6, 5)
    told = [
        Entry(one.id, one.split, one.labels, 18.0 + 7 * place % 30, "Utopia" if place % 3 else SCRIPT)
        for place, one in enumerate(entries)
    ]
    write_abaw5(root, told, video=write_media, audio=lambda path, entry: None)
    odd = [one for one in told if one.split == "test"]
    (root / "test" / "mp4" / f"{odd[0].id}.mp4").write_bytes(b"no video")
    (root / "test" / "mp4" / f"{odd[1].id}.mp4").unlink()
    write_clip(root / "test" / "mp4" / f"{odd[2].id}.mp4", 1.2, fps=15, size=(64, 64), vfr=True)
    return report_data(root, output=root / "page.html", workers=0)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("width", "scheme"),
    [
        (PHONE, "light"),
        pytest.param(PHONE, "dark", marks=pytest.mark.slow),
        pytest.param(DESKTOP, "light", marks=pytest.mark.slow),
        pytest.param(DESKTOP, "dark", marks=pytest.mark.slow),
    ],
)
def test_opens_without_complaint_or_request_and_fits(chromium, page, width, scheme):
    with visit(chromium, page, width=width, scheme=scheme) as visited:
        visited.page.evaluate("document.querySelectorAll('details').forEach((one) => { one.open = true; })")
        assert not visited.is_too_wide
        assert visited.page.title() == "Data set hume-reaction"
        assert visited.page.get_by_role("rowheader", name=SCRIPT).count() == 1
    assert visited.console == []
    assert visited.requests == []


@pytest.mark.slow
def test_says_what_is_there_and_what_is_missing(chromium, page):
    with visit(chromium, page) as visited:
        figures = dict(
            zip(
                visited.page.locator(".headlines dt").all_inner_texts(),
                visited.page.locator(".headlines strong").all_inner_texts(),
                strict=True,
            )
        )
        assert figures["Clips"] == "19"
        assert figures["With a problem"] == "2"
        assert figures["Without video"] == "2"
        assert figures["Without audio"] == "18"  # one of the clips has a track of its own
        assert figures["Changing frame rate"] == "1"
        headings = visited.page.locator("h2").all_inner_texts()
        assert headings == [
            "Splits",
            "Media",
            "Missing media and clips with issues",
            "Labels",
            "Correlations of labels",
            "Shifts between splits",
            "People",
        ]
        odd = visited.page.locator("table", has_text="Clips with issues").inner_text()
        assert "video: missing" in odd
        assert "video: not-media" in odd
        assert "changing frame rate" in odd


@pytest.mark.slow
def test_a_shift_between_splits_is_found(tmp_path):
    low, high = [0.1, 0.2, 0.3, 0.15, 0.25, 0.1, 1.0], [0.8, 0.2, 0.3, 0.15, 0.25, 0.1, 1.0]
    generator = np.random.default_rng(0)
    entries = []
    for number in range(60):
        base = np.array(low if number < 30 else high) + generator.uniform(-0.05, 0.0, 7)
        entries.append(Entry(f"{number:05d}", "train" if number < 30 else "val", tuple(base.round(3).tolist())))
    write_abaw5(tmp_path, entries)
    write_clip(tmp_path / "train" / "mp4" / "00000.mp4", 0.5, fps=10, size=(64, 64))
    text = report_data(tmp_path, output=tmp_path / "page.html", workers=0).read_text(encoding="utf-8")
    assert "1 of 7 comparisons is below 0.05" in text


@pytest.mark.slow
def test_classes_are_counted(tmp_path, chromium):
    place = write_place(tmp_path, classes=True, clips=12, played=2)
    page = report_data(place.folder / "data.yaml", output=tmp_path / "page.html", workers=0)
    with visit(chromium, page) as visited:
        visited.page.locator("#section-4 summary").click()
        rows = visited.page.locator("#section-4 tbody tr").all_inner_texts()
        assert [row.split("\t")[0] for row in rows] == list(CLASSES)
    assert visited.console == []


def test_no_labels_at_all_is_said(tmp_path):
    write_abaw5(tmp_path, make_entries(0, 0, 3), video=write_media)
    assert "No clip has labels." in report_data(tmp_path, output=tmp_path / "page.html", workers=0).read_text()


def test_labels_that_are_all_missing_are_said(tmp_path, chromium):
    place = write_place(tmp_path, clips=6, played=2)
    table = pd.read_csv(tmp_path / "labels.csv", dtype={"id": str})
    table.loc[:, [name for name in table.columns if name not in ("id", "split")]] = np.nan
    table.assign(split="test").to_csv(tmp_path / "labels.csv", index=False)
    page = report_data(place.folder / "data.yaml", output=tmp_path / "page.html", workers=0)
    with visit(chromium, page) as visited:
        assert "No clip has labels." in visited.page.locator("main").inner_text()
        assert "0 with labels" in visited.page.locator(".headlines").inner_text()
    assert visited.console == []


@pytest.mark.slow
def test_one_clip_is_enough(tmp_path, chromium):
    write_abaw5(tmp_path, make_entries(1, 0, 0), video=write_media)
    page = report_data(tmp_path, output=tmp_path / "page.html", workers=0)
    with visit(chromium, page, width=PHONE) as visited:
        assert not visited.is_too_wide
        assert visited.page.locator(".headlines strong").first.inner_text() == "1"
        assert "No two splits have enough clips" in visited.page.locator("main").inner_text()
        assert visited.page.locator("svg[role=img]").count() > 8
    assert visited.console == []
    assert visited.requests == []


def test_a_folder_without_media_is_refused(tmp_path):
    write_abaw5(tmp_path)
    with pytest.raises(DataError, match="none of the 10 clips has media that can be read, the first"):
        report_data(tmp_path, output=tmp_path / "page.html", workers=0)


def test_a_page_that_cannot_be_written(tmp_path):
    write_abaw5(tmp_path, make_entries(1, 1, 1), video=write_media)
    with pytest.raises(RunError, match="cannot be written"):
        report_data(tmp_path, output=tmp_path, workers=0)


@pytest.mark.slow
def test_the_command(tmp_path):
    write_abaw5(tmp_path, make_entries(1, 1, 1), video=write_media)
    page = tmp_path / "page.html"
    outcome = CliRunner().invoke(app, ["report", "--data", str(tmp_path), "-o", str(page), "--workers", "0"])
    assert outcome.exit_code == 0, outcome.output
    assert page.is_file()
    assert "probing: 3/3 clips" in outcome.output
    page.unlink()
    outcome = CliRunner().invoke(app, ["report", "-d", str(tmp_path), "-o", str(page), "--workers", "0", "--quiet"])
    assert outcome.output == ""
    assert page.is_file()
