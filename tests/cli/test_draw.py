"""`eri draw` on a ceflnet that was trained on a miniature of DFEW: maps of videos, apexes that it finds, embeddings."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from typer.testing import CliRunner

from eri.api import commands
from eri.cli.app import app
from eri.config import Runtime, load_config
from eri.data import load_clips
from eri.reports.activation import read_activation
from eri.reports.inspector import crop_video, open_cached, open_inspector, read_cached
from eri.utils.errors import (
    ConfigError,
    ConflictingLabelsError,
    DataError,
    MediaError,
    RunError,
    StoreError,
)
from tests.factories.challenge_clips import small_overrides, write_system
from tests.factories.expressions import Miniature, write_dfew
from tests.factories.media import write_clip

CPU = Runtime(device="cpu", workers=0)


@dataclass(frozen=True)
class Place:
    """Where the runs stand."""

    folder: Path
    run: str = "ceflnet"

    def draw(self, *arguments: object) -> str:
        """Run a command of `eri draw`, raise its error, and return what it shows."""
        places = ("--runs", self.folder / "runs", "--device", "cpu")
        outcome = CliRunner().invoke(app, ["draw", *map(str, (*arguments, *places))])
        if outcome.exception is not None:
            raise outcome.exception
        return " ".join(outcome.output.split())

    def train(self, system: str, name: str, *more: str) -> None:
        """Extract and train a small version of a shipped system."""
        overrides = [*small_overrides(load_config(system)), *more]
        options = {"config": system, "overrides": overrides, "features": self.folder / "features", "device": "cpu"}
        assert commands.extract(self.folder / "data", workers=0, **options).exit_code == 0  # type: ignore[arg-type]
        commands.train(self.folder / "data", runs=self.folder / "runs", name=name, **options)  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Place:
    result = Place(tmp_path_factory.mktemp("draw"))
    write_dfew(result.folder / "data", Miniature(subjects=2, classes=2, frames=8, side=48))
    result.train("ceflnet", result.run)
    return result


def paint(time: float) -> np.ndarray:
    picture = np.full((48, 64, 3), 60, dtype=np.uint8)
    picture[10:30, int(10 + 20 * time) : int(20 + 20 * time)] = (200, 150, 120)
    return picture


def size_of(path: Path) -> tuple[int, int]:
    with Image.open(path) as picture:
        picture.load()
        return picture.size


class TestActivation:
    @pytest.mark.slow
    def test_any_video_is_drawn(self, place, tmp_path):
        write_clip(tmp_path / "smile.mp4", 2.0, fps=10, size=(64, 48), frames=paint, audio=False)
        shown = place.draw("activation", place.run, tmp_path / "smile.mp4", tmp_path / "deep" / "map.png")
        assert shown == f"written: {tmp_path / 'deep' / 'map.png'}"
        assert min(size_of(tmp_path / "deep" / "map.png")) > 400
        assert [item.name for item in (tmp_path / "deep").iterdir()] == ["map.png"]

    @pytest.mark.slow
    def test_an_annotated_apex_changes_the_picture(self, place, tmp_path):
        write_clip(tmp_path / "smile.mp4", 2.0, fps=10, size=(64, 48), frames=paint, audio=False)
        for name, apex in (("plain", ()), ("marked", ("--apex", "0.5", "0.9"))):
            place.draw("activation", place.run, tmp_path / "smile.mp4", tmp_path / f"{name}.png", *apex)
        plain, marked = (np.asarray(Image.open(tmp_path / f"{name}.png")) for name in ("plain", "marked"))
        assert plain.shape != marked.shape or (plain != marked).any()

    def test_a_folder_of_pictures_is_a_video(self, place, tmp_path):
        folder = place.folder / "data" / "Clip" / "clip_224x224" / "00001"
        place.draw("activation", place.run, folder, tmp_path / "map.svg")
        assert "<svg" in (tmp_path / "map.svg").read_text()

    def test_faces_are_cropped_as_those_that_were_cached(self, place):
        inspector = open_inspector(place.folder / "runs" / place.run, CPU)
        table = load_clips(place.folder / "data")
        clip = table["00001"]
        assert clip.video is not None
        cached = read_cached(open_cached(inspector, table, place.folder / "features"), [clip.id])[clip.id]
        cropped = crop_video(inspector, clip.video, CPU)
        np.testing.assert_array_equal(cropped.frames, cached.frames)
        np.testing.assert_allclose(cropped.times, cached.times, atol=1e-5)

    def test_what_cannot_be_drawn(self, place, tmp_path):
        black = tmp_path / "black.mp4"
        write_clip(black, 1.0, fps=5, size=(64, 48), frames=lambda _: np.zeros((48, 64, 3), np.uint8), audio=False)
        (tmp_path / "notes.txt").write_text("no video")
        output = tmp_path / "map.png"
        with pytest.raises(DataError, match="none of its 12 frames shows a face"):
            place.draw("activation", place.run, black, output)
        with pytest.raises(MediaError, match="not a video"):
            place.draw("activation", place.run, tmp_path / "notes.txt", output)
        with pytest.raises(MediaError, match="gone"):
            place.draw("activation", place.run, tmp_path / "gone.mp4", output)
        with pytest.raises(ConfigError, match="no image format"):
            place.draw("activation", place.run, black, tmp_path / "map.bmp")
        with pytest.raises(RunError, match="not a run folder"):
            place.draw("activation", "other", black, output)
        assert not output.exists()

    @pytest.mark.slow
    def test_models_without_a_map(self, place, tmp_path):
        place.train("ceflnet-ablation-sal", "sal")
        system = write_system(place.folder / "lstm.yaml")
        features = place.folder / "features"
        commands.extract(place.folder / "data", config=system, features=features, device="cpu", workers=0)
        commands.train(
            place.folder / "data",
            config=system,
            features=features,
            runs=place.folder / "runs",
            name="lstm",
            device="cpu",
        )
        folder, output = place.folder / "data" / "Clip" / "clip_224x224" / "00001", tmp_path / "map.png"
        with pytest.raises(ConfigError, match="model 'ceflnet' has no emotional activation"):
            place.draw("activation", "sal", folder, output)
        with pytest.raises(ConfigError, match="has no video model"):
            place.draw("activation", "lstm", folder, output)


class TestLocalization:
    @pytest.fixture
    def spans(self, place):
        """Of the most and the least emotional piece of each val clip."""
        inspector = open_inspector(place.folder / "runs" / place.run, CPU)
        table = load_clips(place.folder / "data")
        crops = open_cached(inspector, table, place.folder / "features")
        found = {}
        for clip in table.split("val"):
            clip_input = read_cached(crops, [clip.id])[clip.id]
            shown, _ = read_activation(inspector, clip_input)
            found[clip.id] = shown.spans[shown.weights[0].argmax()], shown.spans[shown.weights[0].argmin()]
        return found

    def write(self, path: Path, spans: dict[str, np.ndarray]) -> Path:
        rows = [(clip_id, max(0.0, float(begin)), float(end)) for clip_id, (begin, end) in spans.items()]
        pd.DataFrame(rows, columns=["clip_id", "begin", "end"]).to_csv(path, index=False)
        return path

    @pytest.mark.slow
    def test_apexes_are_located_or_not(self, place, spans, tmp_path):
        for which, expected in ((0, "100.0%"), (1, "0.0%")):
            apexes = self.write(tmp_path / "apexes.csv", {clip_id: pair[which] for clip_id, pair in spans.items()})
            out = place.draw("localization", place.run, "--apexes", apexes, "--images", tmp_path / "maps")
            assert f"located │ {expected} │ {4 if which == 0 else 0} of 4 clips" in out
            assert "by chance │ 33.3%" in out
        assert sorted(path.stem for path in (tmp_path / "maps").iterdir()) == sorted(spans)

    def test_moments_and_apexes_outside(self, place, spans, tmp_path):
        ids = sorted(spans)
        middle = float(np.mean(spans[ids[0]][0]))
        pd.DataFrame({"clip_id": ids[:2], "apex": [middle, 99.0]}).to_csv(tmp_path / "apexes.csv", index=False)
        out = place.draw("localization", place.run, "--apexes", tmp_path / "apexes.csv")
        assert "of 1 clips" in out
        assert "1 clip(s) left out: no part that the model reads shows their apex" in out

    @pytest.mark.parametrize(
        ("text", "error", "message"),
        [
            ("clip_id,begin\n00001,1\n", DataError, "no column 'end'"),
            ("clip_id,apex\n99999,1\n", DataError, "'99999'"),
            ("clip_id,apex\n00001,1\n00001,2\n", ConflictingLabelsError, "line 3: clip 00001 is further up, too"),
            ("clip_id,begin,end\n00001,2,1\n", DataError, "from '2' to '1'"),
            ("clip_id,begin,end\n00001,soon,1\n", DataError, "from 'soon' to '1'"),
            ("clip_id,apex\n00001,nan\n", DataError, "from 'nan' to 'nan'"),
        ],
    )
    def test_tables_that_cannot_be(self, place, tmp_path, text, error, message):
        (tmp_path / "apexes.csv").write_text(text)
        with pytest.raises(error, match=message):
            place.draw("localization", place.run, "--apexes", tmp_path / "apexes.csv")


class TestEmbeddings:
    @pytest.mark.slow
    def test_a_panel_for_each_run(self, place, tmp_path):
        pytest.importorskip("sklearn", reason="t-SNE needs scikit-learn")
        place.train("ceflnet-ablation-resnet18", "resnet18")
        place.draw("embeddings", place.run, tmp_path / "one.png", "--perplexity", "3")
        place.draw("embeddings", place.run, tmp_path / "two.png", "--beside", "resnet18", "--split", "val")
        one, two = size_of(tmp_path / "one.png"), size_of(tmp_path / "two.png")
        assert two[0] > 1.5 * one[0]
        again = place.draw("embeddings", place.run, tmp_path / "again.png", "--perplexity", "3")
        assert again.startswith("written: ")
        pictures = [np.asarray(Image.open(tmp_path / name)) for name in ("one.png", "again.png")]
        np.testing.assert_array_equal(pictures[0], pictures[1])

    def test_what_cannot_be_drawn(self, place, tmp_path):
        output = tmp_path / "map.png"
        with pytest.raises(StoreError):
            place.draw("embeddings", place.run, output, "--features", tmp_path / "empty")
        with pytest.raises(DataError, match="needs 4 clips or more, not 0"):
            place.draw("embeddings", place.run, output, "--split", "test")
        assert not output.exists()
