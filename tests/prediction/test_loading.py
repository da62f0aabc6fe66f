"""`eri.load(run).predict(videos)` for every kind of run, and what it says of videos that it cannot predict."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import yaml

import eri
from eri.config import Runtime, load_config
from eri.data import load_clips
from eri.evaluation.cross_validation import cv
from eri.evaluation.ensembling import ensemble
from eri.evaluation.evaluate import predict as predict_split
from eri.evaluation.folds import FoldPlan
from eri.prediction import LoadedRun
from eri.utils.errors import ConfigError, DataError, RunError, WeightsError
from tests.factories.predicting import CPU, write_videos

LABELS = ["Adoration", "Amusement", "Anxiety", "Disgust", "Empathic-Pain", "Fear", "Surprise"]
MEDIA = Path(__file__).parents[2].parent / "shared" / "media" / "clips"


@pytest.fixture(scope="module")
def videos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_videos(tmp_path_factory.mktemp("videos"))


def by_name(table: pd.DataFrame) -> pd.DataFrame:
    return table.rename(index=lambda file: Path(str(file)).name)


def told(names: pd.DataFrame, name: str, column: str) -> str:
    return str(names.loc[name, column])


def altered(run: LoadedRun, folder: Path, change: Callable[[dict[str, Any]], object]) -> Path:
    """Copy a run with a change of its environment."""
    shutil.copytree(run.path, folder, dirs_exist_ok=True)
    environment = json.loads((folder / "environment.json").read_text())
    change(environment)
    (folder / "environment.json").write_text(json.dumps(environment))
    return folder


class TestPredict:
    def test_a_folder_gives_a_value_or_a_reason_for_every_file(self, visual, videos):
        table = visual.predict(videos)
        assert table.index.name == "file"
        assert list(table.columns) == [*LABELS, "rule", "reason", "notes"]
        names = by_name(table)
        assert sorted(names.index) == ["black.mp4", "broken.mp4", "empty.mov", "mute.mkv", "sound.wav", "talks.mp4"]
        finite = np.isfinite(names[LABELS].to_numpy()).all(axis=1)
        assert list(finite) == [not reason for reason in names["reason"]]
        assert set(names.index[finite]) == {"black.mp4", "mute.mkv", "talks.mp4"}
        assert "no bytes" in told(names, "empty.mov", "reason") or "empty" in told(names, "empty.mov", "reason")
        assert "no video" in told(names, "sound.wav", "reason")

    def test_a_video_that_shows_nothing_gets_the_train_mean_and_says_so(self, visual, videos):
        row = visual.predict(videos / "black.mp4").iloc[0]
        means = visual.members[0].run.environment["train_label_means"]
        assert row["rule"] == "train-mean"
        assert "only black frames" in row["notes"]
        np.testing.assert_allclose(row[LABELS].astype(float), [means[label] for label in LABELS])

    def test_the_figures_are_those_of_evaluation(self, shop, visual):
        table = load_clips(shop.data)
        expected = predict_split(visual.path, table, shop.features, "test", CPU)
        clips = table.split("test")
        found = visual.predict([clip.video for clip in clips])
        np.testing.assert_allclose(found[LABELS], expected.loc[[clip.id for clip in clips], LABELS], atol=1e-6)

    def test_a_cache_is_kept_when_asked_for_and_gives_the_same(self, visual, videos, tmp_path):
        seen: list[int] = []
        first = visual.predict(videos, features=tmp_path / "cache")
        again = visual.predict(videos, features=tmp_path / "cache", on_event=lambda event: seen.append(event.computed))
        pd.testing.assert_frame_equal(first, again)
        assert max(seen) == 0

    def test_one_file_named_twice_is_one_row(self, visual, videos):
        assert len(visual.predict([videos / "talks.mp4", str(videos / "talks.mp4")])) == 1

    def test_odd_names_are_no_hindrance(self, visual, videos, tmp_path):
        odd = tmp_path / ("<script>alert('x')🙂" + "n" * 150 + ".mp4")
        odd.write_bytes((videos / "talks.mp4").read_bytes())
        row = visual.predict(odd)
        assert row.index.tolist() == [str(odd)]
        assert np.isfinite(row[LABELS].to_numpy()).all()

    def test_nothing_to_predict_is_refused(self, visual, tmp_path):
        with pytest.raises(DataError, match="holds no video"):
            visual.predict(tmp_path)
        with pytest.raises(DataError, match="no file fits"):
            visual.predict(f"{tmp_path}/*.mp4")
        with pytest.raises(DataError, match="no video is named"):
            visual.predict([])
        assert "no such file" in visual.predict(tmp_path / "absent.mp4").iloc[0]["reason"]

    @pytest.mark.slow
    @pytest.mark.skipif(not MEDIA.is_dir(), reason="../shared/media/clips is not there")
    def test_real_files_give_finite_values(self, visual):
        table = visual.predict(MEDIA)
        assert len(table) >= 10
        assert np.isfinite(table[LABELS].to_numpy()).all()
        assert not table["reason"].any()


class TestModalities:
    @pytest.mark.slow
    def test_a_missing_modality_is_refused_unless_the_run_learnt_with_gaps(self, shop, videos, tmp_path):
        run = eri.load(shop.train("multimodal"), CPU)
        names = by_name(run.predict([videos / "talks.mp4", videos / "mute.mkv", videos / "black.mp4"]))
        assert np.isfinite(names.loc["talks.mp4", LABELS].astype(float)).all()
        assert "audio: no audio track" in told(names, "mute.mkv", "reason")
        assert names.loc["mute.mkv", LABELS].isna().all()
        assert told(names, "black.mp4", "rule") == "train-mean"
        assert run.members[0].run.environment["lacking"] == {"visual": 0, "audio": 0}

        bearing = eri.load(altered(run, tmp_path, lambda values: values["lacking"].update(audio=2)), CPU)
        both = by_name(bearing.predict([videos / "mute.mkv", videos / "sound.wav"]))
        assert np.isfinite(both[LABELS].to_numpy()).all()
        assert list(both["notes"].str.split(":").str[0]) == ["audio", "visual"]
        for name in ("mute.mkv", "sound.wav"):
            alone = bearing.predict(videos / name)[LABELS].to_numpy(dtype=float)
            np.testing.assert_allclose(alone[0], both.loc[name, LABELS].astype(float), atol=1e-6)

    def test_a_window_without_a_modality_is_predicted_when_the_run_learnt_with_gaps(self, shop, videos, tmp_path):
        run = eri.load(shop.train("multimodal"), CPU)
        bearing = eri.load(altered(run, tmp_path, lambda values: values["lacking"].update(audio=2)), CPU)
        timeline = bearing.timeline(videos / "mute.mkv", window=0.5, hop=0.25)
        assert timeline.missing == ("",) * 3
        assert timeline.notes == ("audio: no audio track",)


class TestKinds:
    @pytest.mark.slow
    def test_a_video_model_predicts_too(self, shop, videos):
        table = eri.load(shop.train_shipped("c3d"), CPU).predict(videos / "talks.mp4")
        assert np.isfinite(table.drop(columns=["rule", "reason", "notes"]).to_numpy()).all()

    def test_boosted_trees_predict_too(self, shop, videos):
        names = by_name(eri.load(shop.train_shipped("mfcc-lightgbm"), CPU).predict(videos))
        assert np.isfinite(names.loc[["talks.mp4", "sound.wav"], LABELS].to_numpy(dtype=float)).all()
        assert told(names, "mute.mkv", "notes").startswith("audio: no audio track")

    def test_a_cross_validation_is_the_mean_of_its_models(self, shop, visual, videos):
        table, config = load_clips(shop.data), load_config(shop.root / "visual.yaml")
        plan = FoldPlan(folds=2, inner=2)
        result = cv(config, table, shop.features, shop.root / "runs", CPU, plan=plan, name="cv", bootstrap=0)
        loaded = eri.load(result.path, CPU)
        mean = loaded.predict(videos / "talks.mp4")
        each = [eri.load(member.run.path, CPU).predict(videos / "talks.mp4")[LABELS] for member in loaded.members]
        np.testing.assert_allclose(mean[LABELS], sum(each) / len(each), atol=1e-6)

    def test_an_ensemble_combines_its_members(self, shop, visual, videos):
        members = [visual.path, shop.train("audio")]
        table, runs, plan = load_clips(shop.data), shop.root / "runs", FoldPlan(folds=2, inner=2)
        report = ensemble(members, table, shop.features, runs, CPU, method="mean", plan=plan, bootstrap=0)
        both = eri.load(report.path, CPU).predict(videos / "talks.mp4")
        each = [eri.load(member, CPU).predict(videos / "talks.mp4")[LABELS] for member in members]
        np.testing.assert_allclose(both[LABELS], sum(each) / 2, atol=1e-6)


class TestRefusals:
    def test_a_folder_that_is_no_run(self, tmp_path):
        with pytest.raises(RunError, match="not a run folder"):
            eri.load(tmp_path, CPU)

    def test_a_run_without_weights(self, visual, tmp_path):
        (altered(visual, tmp_path, dict) / "best.safetensors").unlink()
        with pytest.raises(RunError, match="not the weights of a run"):
            eri.load(tmp_path, CPU)

    def test_other_extractor_weights_than_the_runs(self, visual, tmp_path):
        def change(values: dict[str, Any]) -> None:
            values["features"]["visual"]["identity"]["backbone"]["weights"] = "other"

        with pytest.raises(RunError, match=r"differs in backbone\.weights"):
            eri.load(altered(visual, tmp_path, change), CPU)

    def test_other_library_versions_only_warn(self, visual, tmp_path, caplog):
        def change(values: dict[str, Any]) -> None:
            values["features"]["visual"]["identity"]["versions"]["torch"] = "1.0"
            values["features"]["visual"]["identity"]["backbone"].pop("batch_norm", None)

        eri.load(altered(visual, tmp_path, change), CPU)
        assert "versions.torch changed" in caplog.text

    def test_an_environment_of_no_use(self, visual, tmp_path):
        with pytest.raises(RunError, match="does not say what features"):
            eri.load(altered(visual, tmp_path, lambda values: values["features"].clear()), CPU)

    def test_extractor_weights_that_are_gone(self, visual, tmp_path):
        config = altered(visual, tmp_path, dict) / "config.yaml"
        config.write_text(config.read_text().replace("weights: random", "weights: /absent/weights.pth"))
        with pytest.raises(WeightsError, match="absent"):
            eri.load(tmp_path, CPU)

    def test_imported_features_are_computed_by_nothing(self, visual, tmp_path):
        config = altered(visual, tmp_path, dict) / "config.yaml"
        values = yaml.safe_load(config.read_text())
        values["visual"] = {"extractor": "imported", "name": "FAUs", "modality": "visual"}
        config.write_text(yaml.safe_dump(values))
        with pytest.raises(ConfigError, match="imported features"):
            eri.load(tmp_path, CPU)

    def test_a_device_that_is_not_there(self, visual):
        with pytest.raises(ConfigError, match="device"):
            eri.load(visual.path, Runtime(device="cuda:99"))
