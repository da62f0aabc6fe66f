"""A window that slides over a video: its grid, its values, what is said of windows without a face, its table."""

from __future__ import annotations

import resource
import shutil
from operator import attrgetter
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as some
from PIL import Image

import eri
from eri.prediction.timeline import Timeline
from eri.prediction.windows import Grid
from eri.reports.predictions import draw_timeline
from eri.utils.errors import ConfigError, DataError, MediaError, NoVideoError
from tests.factories.media import write_clip, write_wav
from tests.factories.predicting import CPU, paint, write_videos


@pytest.fixture(scope="module")
def film(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("film") / "film.mp4"
    return write_clip(path, 6.0, fps=10, size=(64, 48), frames=paint)


values_of = attrgetter("values")  # an attribute, which the linter takes for that of a pandas frame


class TestGrid:
    @given(some.floats(0.05, 4000), some.floats(0.2, 20), some.floats(0.1, 20), some.integers(1, 40))
    def test_windows_lie_in_the_video_and_have_frames(self, duration, window, hop, wanted):
        grid = Grid.over(duration, window, hop)
        assert grid.starts[0] == 0
        assert grid.starts[-1] + grid.window <= duration + 1e-3 * hop
        assert grid.starts[-1] + grid.window + grid.hop > duration - 1e-3 * hop
        moments = grid.frames(wanted)
        assert (np.diff(moments) > 0).all()
        assert moments[0] >= 0
        assert moments[-1] <= grid.starts[-1] + grid.window

    def test_a_window_has_the_frames_of_a_clip(self):
        grid = Grid.over(10.0, 4.0, 1.0)
        moments = grid.frames(32)
        for start in grid.starts:
            inside = moments[(moments >= start) & (moments < start + 4)]
            np.testing.assert_allclose(inside, start + (np.arange(32) + 0.5) / 8)

    @given(some.floats(0.3, 60), some.floats(0.2, 5), some.floats(0.1, 5), some.integers(1, 12))
    def test_the_last_frames_of_a_window_are_in_it(self, duration, window, hop, wanted):
        grid = Grid.over(duration, window, hop)
        onsets = np.arange(0, duration, 0.04)
        moments = grid.last_frames(onsets, wanted)
        assert (np.diff(moments) > 0).all()
        for start in grid.starts:
            own = onsets[(onsets >= start) & (onsets < start + grid.window)][-wanted:]
            assert np.isin(own, moments).all()
            assert ((moments >= start) & (moments < start + grid.window)).any()


class TestSlide:
    def test_one_window_is_the_prediction_of_the_clip(self, visual, film):
        timeline = visual.timeline(film, window=60.0)
        assert timeline.times.tolist() == pytest.approx([3.0], abs=0.2)
        assert timeline.missing == ("",)
        table = visual.predict(film)
        # Frames of the clip are spread over its pictures, those of a window over the whole of the video.
        np.testing.assert_allclose(values_of(timeline)[0], table.iloc[0, :7].astype(float), atol=5e-3)

    def test_the_curve_has_a_value_for_every_window(self, visual, film):
        done: list[tuple[int, int]] = []
        timeline = visual.timeline(
            film, window=2.0, hop=0.5, on_event=lambda event: done.append((event.done, event.total))
        )
        assert timeline.times.tolist() == pytest.approx([1 + 0.5 * place for place in range(len(timeline.times))])
        assert len(timeline.times) in (9, 10)
        assert done == [(len(timeline.times),) * 2]
        assert np.isfinite(values_of(timeline)).all()
        assert len({tuple(row) for row in values_of(timeline).round(9)}) > 1
        assert 4 <= len(timeline.faces) <= 7
        face = timeline.faces[0]
        assert face.image.startswith(b"\xff\xd8")
        assert face.box is not None

    def test_a_window_is_what_its_stretch_alone_gives(self, visual, film, tmp_path):
        timeline = visual.timeline(film, window=2.0, hop=2.0)
        second = write_clip(
            tmp_path / "second.mp4", 2.0, fps=10, size=(64, 48), frames=lambda time: paint(time + 2), audio=False
        )
        alone = visual.predict(second)
        np.testing.assert_allclose(values_of(timeline)[1], alone.iloc[0, :7].astype(float), atol=2e-3)

    def test_how_many_windows_are_predicted_together_does_not_change_them(self, visual, film):
        whole = visual.timeline(film, window=1.0, hop=0.5)
        parts = visual.timeline(film, window=1.0, hop=0.5, windows_at_once=3)
        assert len(whole.times) > 6
        np.testing.assert_allclose(values_of(parts), values_of(whole), atol=1e-6)

    def test_the_model_is_read_once(self, visual, film, tmp_path):
        shutil.copytree(visual.path, tmp_path, dirs_exist_ok=True)
        run = eri.load(tmp_path, CPU)
        first = run.timeline(film, window=2.0, hop=2.0)
        (tmp_path / "best.safetensors").unlink()
        np.testing.assert_array_equal(values_of(run.timeline(film, window=2.0, hop=2.0)), values_of(first))

    def test_a_system_that_reads_a_clips_last_frames_reads_those_of_each_window(self, shop, film, tmp_path):
        run = eri.load(shop.train_shipped("cnn3d-optuna"), CPU)
        whole = run.timeline(film, window=60.0)
        np.testing.assert_allclose(values_of(whole)[0], run.predict(film).iloc[0, :7].astype(float), atol=1e-6)
        first = write_clip(tmp_path / "first.mp4", 2.0, fps=10, size=(64, 48), frames=paint, audio=False)
        alone = run.predict(first).iloc[0, :7].astype(float)
        np.testing.assert_allclose(values_of(run.timeline(film, window=2.0, hop=1.0))[0], alone, atol=5e-3)

    def test_windows_that_show_nothing_have_a_reason(self, visual, tmp_path):
        def half(time: float) -> np.ndarray:
            return paint(time) if time < 2 else np.zeros((48, 64, 3), dtype=np.uint8)

        path = write_clip(tmp_path / "half.mp4", 4.0, fps=10, size=(64, 48), frames=half, audio=False)
        timeline = visual.timeline(path, window=1.0, hop=1.0)
        assert timeline.missing == ("", "", "only black frames", "only black frames")
        assert np.isnan(values_of(timeline)[2:]).all()
        assert np.isfinite(values_of(timeline)[:2]).all()
        Image.open(draw_timeline(timeline, tmp_path / "half.png")).load()

    @pytest.mark.slow
    @pytest.mark.parametrize("system", ["c3d", "mfcc-lightgbm", "abaw-audio-baseline"])
    def test_every_kind_of_run(self, shop, film, system):
        timeline = eri.load(shop.train_shipped(system), CPU).timeline(film, window=2.0, hop=2.0)
        assert np.isfinite(values_of(timeline)).all()
        assert bool(timeline.faces) == (system == "c3d")

    def test_two_modalities(self, shop, film, tmp_path):
        run = eri.load(shop.train("multimodal"), CPU)
        assert np.isfinite(values_of(run.timeline(film, window=2.0, hop=1.0))).all()
        mute = write_clip(tmp_path / "mute.mp4", 2.0, fps=10, size=(64, 48), frames=paint, audio=False)
        with pytest.raises(DataError, match="audio: no audio track"):
            run.timeline(mute)

    @pytest.mark.slow
    def test_features_of_a_video_model(self, shop, film):
        trained = shop.train_shipped("c3d")
        overrides = ("visual.extractor=video", f"visual.weights={trained}", "visual.windows=2")
        run = shop.train_with_features("video-features", overrides)
        assert np.isfinite(values_of(eri.load(run, CPU).timeline(film, window=3.0, hop=1.0))).all()

    def test_what_cannot_be_predicted(self, visual, film, tmp_path):
        with pytest.raises(NoVideoError):
            visual.timeline(write_wav(tmp_path / "sound.wav"))
        with pytest.raises(MediaError, match="no such file"):
            visual.timeline(tmp_path / "absent.mp4")
        for options in ({"window": 0.0}, {"hop": -1.0}, {"window": float("nan")}):
            with pytest.raises(ConfigError, match="positive number of seconds"):
                visual.timeline(film, **options)

    @pytest.mark.slow
    def test_memory_does_not_grow_with_the_length(self, visual, tmp_path):
        still = paint(0.0)
        path = write_clip(tmp_path / "long.mp4", 900.0, fps=2, size=(64, 48), frames=lambda _: still, audio=False)
        visual.timeline(write_videos(tmp_path / "warm") / "talks.mp4")
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        timeline = visual.timeline(path, window=4.0, hop=2.0)
        assert len(timeline.times) == 449
        assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 80_000  # kB


class TestOutputs:
    def test_the_table_has_a_row_a_window(self, visual, film, tmp_path):
        timeline = visual.timeline(film, window=2.0, hop=1.0)
        table = pd.read_csv(timeline.write_csv(tmp_path / "deep" / "t.csv"), keep_default_na=False)
        assert list(table.columns) == ["start", "end", "time", *timeline.labels, "missing"]
        np.testing.assert_allclose(table[list(timeline.labels)].to_numpy(dtype=float), values_of(timeline), rtol=1e-5)
        np.testing.assert_allclose(table["end"] - table["start"], 2.0)

    @pytest.mark.parametrize("name", ["clip.mp4", "<script>$x$ 🙂 'quoted' " + "n" * 180 + ".mp4"])
    def test_a_picture_is_drawn_whatever_the_name(self, tmp_path, name):
        timeline = Timeline(
            Path(name), ("Joy", "$Fear$"), 0.0, 1.0, np.array([1.0]), np.array([[0.2, np.nan]]), 2.0, 1.0, 2.0, ("",)
        )
        path = draw_timeline(timeline, tmp_path / "t.png")
        with Image.open(path) as picture:
            assert min(picture.size) > 300
