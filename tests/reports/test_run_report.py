"""`eri report RUN…`: what stands on the page, in a browser and in the file."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pandas as pd
import pytest
from typer.testing import CliRunner

from eri.api import commands
from eri.cli.app import app
from eri.reports.run_report import report
from eri.utils.errors import ConfigError, DataError, RunError
from tests.factories.browser import DESKTOP, PHONE, chromium, visit
from tests.factories.media import write_clip
from tests.factories.predicting import Workshop
from tests.factories.reporting import CLASSES, LONG, SCRIPT, Place, write_place

__all__ = ["chromium"]

ROWS = "table.sortable tbody tr"


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Place:
    place = write_place(tmp_path_factory.mktemp("intensities"))
    place.train("first", "training.epochs=4")
    place.train("second", "training.epochs=2", "training.seed=5")
    sources = ["-d", str(place.folder / "data.yaml"), "--features", str(place.folder / "features")]
    members = [str(place.runs / name) for name in ("first", "second")]
    options = ["--runs", str(place.runs), "--method", "mean", "--name", "both"]
    outcome = CliRunner().invoke(app, ["ensemble", *members, *sources, *options])
    assert outcome.exit_code == 0, outcome.output
    # Only now: features made from other files than these would have been refused.
    write_clip(place.folder / "002.mp4", 0.6, fps=10, size=(96, 64), audio=True)
    write_clip(place.folder / "005.mp4", 0.6, fps=10, size=(96, 64), audio=False)
    failures = "clip_id,extractor,file,reason,message\n"
    (place.store / "failures.csv").write_text(f"{failures}002,resnet18,002.mp4,truncated,{SCRIPT}\n")
    return place


@pytest.fixture(scope="module")
def page(place: Place) -> Path:
    return report("first", folder=place.runs)


@pytest.fixture(scope="module")
def classes(tmp_path_factory: pytest.TempPathFactory) -> Place:
    place = write_place(tmp_path_factory.mktemp("classes"), classes=True)
    place.train("moods", "training.epochs=4")
    return place


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
        assert visited.page.locator("svg[role=img]").count() > 10
        background = visited.page.evaluate("getComputedStyle(document.body).backgroundColor")
        assert (background == "rgb(255, 255, 255)") == (scheme == "light")
    assert visited.console == []
    assert visited.requests == []


@pytest.mark.slow
def test_hostile_names_stay_text(chromium, page):
    with visit(chromium, page) as visited:
        assert visited.page.title() == "first"
        assert visited.page.locator("script").count() == 1
        visited.page.evaluate("document.querySelectorAll('details').forEach((one) => { one.open = true; })")
        assert visited.page.get_by_role("cell", name=SCRIPT).count() >= 1
        assert visited.page.get_by_role("rowheader", name=LONG, exact=True).count() >= 1
    assert visited.console == []


@pytest.mark.slow
def test_tables_are_sorted_by_number_with_the_keyboard(chromium, page):
    with visit(chromium, page) as visited:
        visited.page.evaluate("document.querySelectorAll('details').forEach((one) => { one.open = true; })")
        table = visited.page.locator("table.sortable", has_text="Scores with 95 % bootstrap intervals")
        column = table.locator("thead th", has_text="Pearson")
        column.locator("button").focus()
        seen = {}
        for order in ("ascending", "descending"):
            visited.page.keyboard.press("Enter")
            assert column.get_attribute("aria-sort") == order
            seen[order] = [float(text) for text in table.locator("tbody td:nth-child(2)").all_inner_texts()]
        assert seen["ascending"] == sorted(seen["ascending"])
        assert seen["descending"] == seen["ascending"][::-1]
        assert len(set(seen["ascending"])) > 2


@pytest.mark.slow
def test_the_theme_can_be_chosen(chromium, page):
    with visit(chromium, page, scheme="light") as visited:
        button = visited.page.get_by_role("button", name="Theme")
        button.click()
        button.click()
        assert visited.page.evaluate("getComputedStyle(document.body).backgroundColor") != "rgb(255, 255, 255)"


def test_every_part_is_there(page, place):
    text = page.read_text(encoding="utf-8")
    scores = json.loads((place.runs / "first" / "metrics.json").read_text())["splits"]["val"]["scores"]
    assert f"<strong>{scores['mean']:.3f}</strong>" in text
    for heading in ("Scores", "Predicted against true", "Calibration", "Groups", "Learning curves", "Clips", "Origin"):
        assert f"<h2>{heading}</h2>" in text
    assert "face in some frames" in text
    assert "truncated" in text
    environment = json.loads((place.runs / "first" / "environment.json").read_text())
    assert environment["data"]["fingerprint"] in text
    assert "No images: " in text
    assert text.count('class="card"') == 20


@pytest.mark.slow
def test_runs_are_compared(chromium, place, tmp_path):
    page = report("first", "second", folder=place.runs, output=tmp_path / "both.html")
    with visit(chromium, page) as visited:
        assert visited.page.title() == "2 runs compared"
        pair = visited.page.locator("#section-2")
        assert "Paired bootstrap, 2000 resamples" in (pair.text_content() or "")
        assert visited.page.locator("details.folded").count() == 2
        assert visited.page.locator("details.folded[open]").count() == 0
        visited.page.get_by_role("link", name="second").click()
        assert visited.page.locator("details.folded[open] h2").inner_text() == "second"
        assert visited.page.locator(".legend li").all_inner_texts()[:2] == ["first", "second"]
    assert visited.console == []


@pytest.mark.slow
def test_classes_get_a_confusion_matrix_and_recalls(chromium, classes):
    page = report("moods", folder=classes.runs)
    scores = json.loads((classes.runs / "moods" / "metrics.json").read_text())["splits"]["val"]["scores"]
    with visit(chromium, page, width=PHONE) as visited:
        assert not visited.is_too_wide
        texts = visited.page.locator("svg[aria-label='confusion matrix'] text").all_text_contents()
        assert [int(text) for text in texts if text.isdigit()] == [
            count for row in scores["confusion"] for count in row
        ]
        headings = visited.page.locator("h2").all_inner_texts()
        assert "Confusion matrix" in headings
        assert "Predicted against true" not in headings
        visited.page.locator("summary", has_text="Numbers").first.click()
        names = visited.page.locator("table.sortable").first.locator("tbody th").all_inner_texts()
        assert names == [*CLASSES, "UAR", "WAR"]
    assert visited.console == []


@pytest.mark.slow
def test_the_command_writes_beside_the_run(place):
    outcome = CliRunner().invoke(app, ["report", "second", "--runs", str(place.runs), "--bootstrap", "100"])
    assert outcome.exit_code == 0, outcome.output
    assert (place.runs / "second" / "report.html").is_file()
    assert "report.html" in outcome.output


class TestRefusals:
    def test_a_run_that_was_not_evaluated(self, place, tmp_path):
        shutil.copytree(place.runs / "first", tmp_path / "bare")
        (tmp_path / "bare" / "predictions.parquet").unlink()
        with pytest.raises(RunError, match=r"has no predictions\n.*eri evaluate"):
            report(tmp_path / "bare")

    def test_no_label_at_all(self, place, tmp_path):
        run = shutil.copytree(place.runs / "first", tmp_path / "unlabelled")
        frame = pd.read_parquet(run / "predictions.parquet")
        frame.assign(clip_id="x" + frame["clip_id"]).to_parquet(run / "predictions.parquet")
        with pytest.raises(DataError, match=r"none of the clips .* has labels"):
            report(run)

    def test_other_data(self, place, tmp_path):
        run = shutil.copytree(place.runs / "first", tmp_path / "other")
        metrics = json.loads((run / "metrics.json").read_text())
        metrics["splits"]["val"]["data"]["fingerprint"] = "0" * 64
        (run / "metrics.json").write_text(json.dumps(metrics))
        with pytest.raises(RunError, match="was evaluated on other data"):
            report(run)

    @pytest.mark.parametrize("name", ["metrics.json", "predictions.parquet"])
    def test_damaged_files(self, place, tmp_path, name):
        run = shutil.copytree(place.runs / "first", tmp_path / "damaged")
        (run / name).write_text("{broken")
        with pytest.raises(RunError, match=f"{name}: cannot be read"):
            report(run)

    def test_a_run_named_twice(self, place):
        with pytest.raises(ConfigError, match="named twice"):
            report("first", place.runs / "first", folder=place.runs)

    def test_a_split_without_predictions(self, place):
        with pytest.raises(RunError, match="no predictions of split 'test'"):
            report("first", folder=place.runs, split="test")

    def test_runs_of_other_tasks(self, place, classes):
        with pytest.raises(RunError, match="predicts"):
            report(place.runs / "first", classes.runs / "moods", output=place.folder / "x.html")

    @pytest.mark.slow
    def test_a_page_that_cannot_be_written(self, place):
        with pytest.raises(RunError, match="cannot be written"):
            report("first", folder=place.runs, output=place.runs)


@pytest.mark.slow
def test_one_clip_is_enough(tmp_path, chromium):
    place = write_place(tmp_path, clips=13, splits="train " * 12 + "val")
    place.train("lonely", "training.epochs=1")
    with visit(chromium, report("lonely", folder=place.runs)) as visited:
        assert visited.page.locator(".card").count() == 1
        assert "–" in visited.page.locator(".headlines").inner_text()
    assert visited.console == []
    assert visited.requests == []


@pytest.mark.slow
def test_a_cross_validation_has_a_page(tmp_path):
    place = write_place(tmp_path, clips=24)
    sources = ["-d", str(tmp_path / "data.yaml"), "--features", str(tmp_path / "features"), "--runs", str(place.runs)]
    settings = ["-c", str(tmp_path / "system.yaml"), "training.epochs=1", "--folds", "2", "--seeds", "1"]
    outcome = CliRunner().invoke(app, ["cv", *settings, *sources, "--name", "folds", "--device", "cpu"])
    assert outcome.exit_code == 0, outcome.output
    text = report("folds", folder=place.runs, data=tmp_path / "data.yaml").read_text(encoding="utf-8")
    assert "split held out" in text
    assert "<td>cross-validation</td>" in text
    assert "Learning curves" not in text


@pytest.mark.slow
def test_an_ensemble_has_a_page(place, chromium, tmp_path):
    data, features = place.folder / "data.yaml", place.folder / "features"
    page = report("both", folder=place.runs, data=data, features=features, output=tmp_path / "page.html")
    with visit(chromium, page) as visited:
        assert visited.page.title() == "both"
        text = visited.page.locator("main").inner_text()
        assert "split held out" in visited.page.locator(".subtitle").inner_text()
        assert "Learning curves" not in text
        assert "ensemble" in visited.page.locator("table", has_text="Origin").first.inner_text()
        assert visited.page.locator(".card").count() == 20
        assert not visited.is_too_wide
    assert visited.console == []
    assert visited.requests == []


@pytest.mark.slow
def test_beside_a_run_of_the_challenge_stand_the_published_means(tmp_path):
    shop = Workshop(tmp_path)
    run = shop.train()
    commands.evaluate(run, bootstrap=100, device="cpu")
    text = report(run).read_text(encoding="utf-8")
    assert "They are means over the labels: the papers state none of a single label." in text
    assert "yap-csm-v4: 0.408" in text
    assert "found by dlib whatever detector the run used" in text


@pytest.mark.slow
def test_a_cache_that_is_gone_is_said(place, tmp_path):
    text = report("first", folder=place.runs, features=tmp_path, output=tmp_path / "page.html").read_text()
    assert "what they show of faces and audio is left out" in text
    assert "Not known: the features are not where they were." in text
