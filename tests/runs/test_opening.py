"""One way to open a run, a cross-validation or an ensemble, and what it predicts from features in memory."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from eri.config import Runtime
from eri.evaluation.evaluate import predict
from eri.features.store import open_folder
from eri.runs.folders import find_run
from eri.runs.opening import OpenedRun, open_run
from eri.utils.errors import DataError, RunError
from tests.factories.version01 import RUNS, SELECTIONS, Version01

CPU = Runtime(device="cpu")
KINDS = {"cv": "cross-validation", "cv-trees": "cross-validation"}
KINDS |= {"ensemble": "ensemble", "ensemble-of-cvs": "ensemble"}


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Version01:
    return Version01.copy(tmp_path_factory.mktemp("made") / "v0.1")


def in_memory(run: OpenedRun, made: Version01, ids: list[str]) -> dict[str, Any]:
    """Read the feature files of some clips, by the digest of their extractor."""
    features: dict[str, Any] = {}
    for digest, source in run.sources.items():
        folder = open_folder(made.features / source.folder, digest)
        features[digest] = {clip_id: folder.read_record(clip_id) for clip_id in folder.entries(ids)}
    return features


@pytest.mark.parametrize("name", [*RUNS, *SELECTIONS])
def test_features_in_memory_give_what_those_in_the_cache_give(made, name):
    run = open_run(made.runs / name, CPU)
    assert run.kind == KINDS.get(name, "run")
    assert run.task.labels == ("Joy", "Fear", "Awe")
    assert run.data_set == "moods"
    table = made.table
    ids = [clip.id for clip in table.split("test")]
    expected = predict(run, table, made.features)
    pd.testing.assert_frame_equal(run.predict(in_memory(run, made, ids)), expected, atol=1e-6, rtol=0)
    alone = run.predict(in_memory(run, made, ids[:1]))
    np.testing.assert_allclose(alone.iloc[0, :3].astype(float), expected.iloc[0, :3].astype(float), atol=1e-6)


def test_modalities_are_enough_where_each_has_one_extractor(made):
    run = open_run(made.runs / "multimodal", CPU)
    features: dict[str, Any] = {
        run.sources[digest].modality: clips for digest, clips in in_memory(run, made, ["clip17"]).items()
    }
    assert not features["audio"]["clip17"].mask.any()
    assert list(run.predict(features)["rule"]) == [""]
    with pytest.raises(DataError, match="no audio features are given"):
        run.predict({"visual": features["visual"]})


def test_a_clip_without_features_gets_the_mean_of_the_train_labels(made):
    run = open_run(made.runs / "trees", CPU)
    frame = run.predict({"audio": {}}, ["clip03"])
    assert list(frame["rule"]) == ["train-mean"]
    means = run.members[0].run.environment["train_label_means"]
    assert frame.loc["clip03", list(run.task.labels)].to_dict() == pytest.approx(means)
    assert len(run.predict({"audio": {}})) == 0


def test_features_of_another_extractor_are_refused(made):
    trees, visual = open_run(made.runs / "trees", CPU), open_run(made.runs / "visual", CPU)
    (features,) = in_memory(visual, made, ["clip24"]).values()
    with pytest.raises(RunError, match=r"its audio features have the shape \(8,\) per row"):
        trees.predict({"audio": features})
    video = open_run(made.runs / "video", CPU)
    with pytest.raises(RunError, match="face crops"):
        video.predict({"visual": features})


def test_models_in_memory_are_bounded_and_loaded_once(made, tmp_path):
    run = open_run(made.runs / "cv", CPU)
    features = in_memory(run, made, ["clip24"])
    before = run.predict(features)
    for member in run.members:
        (member.run.path / "best.safetensors").rename(tmp_path / member.run.path.name)
    try:
        pd.testing.assert_frame_equal(run.predict(features), before)
        with pytest.raises(RunError, match="the run has no weights"):
            open_run(made.runs / "cv", CPU).predict(features)
    finally:
        for member in run.members:
            (tmp_path / member.run.path.name).rename(member.run.path / "best.safetensors")


class TestRefusals:
    def test_clips_that_a_cross_validation_was_trained_on(self, made):
        with pytest.raises(DataError, match=r"trained on clips of split 'val'"):
            predict(made.runs / "ensemble-of-cvs", made.table, made.features, "val")

    def test_an_ensemble_whose_member_changed(self, tmp_path):
        made = Version01.copy(tmp_path / "v0.1")
        environment = made.runs / "trees" / "environment.json"
        environment.write_text(json.dumps({**json.loads(environment.read_text()), "seed": 99}))
        with pytest.raises(RunError, match=r"trees: was made again since .*ensemble was fitted on it"):
            open_run(made.runs / "ensemble", CPU)

    def test_a_run_that_does_not_say_what_it_read(self, tmp_path):
        made = Version01.copy(tmp_path / "v0.1")
        environment = made.runs / "visual" / "environment.json"
        environment.write_text(json.dumps({**json.loads(environment.read_text()), "features": {}}))
        with pytest.raises(RunError, match="does not say what features it was trained on"):
            open_run(made.runs / "visual", CPU)

    def test_a_misspelt_name(self, made):
        with pytest.raises(RunError, match=r"multimodel: not a run folder.*did you mean 'multimodal'\?") as caught:
            find_run("multimodel", made.runs)
        assert "trees" in str(caught.value.hint)
        assert find_run(None, made.runs).parent == made.runs
        with pytest.raises(RunError, match="not a run folder"):
            find_run("ensemble", made.runs)
        with pytest.raises(RunError, match="no run is there"):
            find_run(None, Path(made.root / "configs"))
