"""What a trained video model makes of clips goes into the store, and other models learn from it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml

from eri.api import commands
from eri.config import Runtime, VideoConfig
from eri.data import load_clips
from eri.features.store import find_folder
from eri.training import read_run
from eri.training.features import find_features, open_split
from eri.training.loading import ClipLoader
from eri.training.neural import crops_of, load_video_model
from eri.utils.errors import ConfigError, RunError
from tests.factories.crops import video_config
from tests.factories.expressions import WRITERS, Miniature

CPU = Runtime(device="cpu", workers=0)


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with a data set, its crops, a system and a run of it."""
    root = tmp_path_factory.mktemp("embedding")
    WRITERS["afew"](root / "data", Miniature(subjects=3, classes=2, frames=6, side=48))
    config = video_config("cnn3d", training={"epochs": 2})
    (root / "video.yaml").write_text(yaml.safe_dump(config.model_dump(mode="json")))
    places: dict[str, Any] = {"features": root / "features", "device": "cpu", "config": root / "video.yaml"}
    assert commands.extract(root / "data", workers=0, **places).exit_code == 0
    commands.train(root / "data", runs=root / "runs", name="video", **places)
    return root


def embedded(root: Path, windows: int = 1) -> Path:
    report = commands.extract(
        root / "data",
        features=root / "features",
        runs=root / "runs",
        weights="video",
        device="cpu",
        workers=0,
        windows=windows,
    )
    assert report.exit_code == 0
    return root / "runs" / "video"


def test_embeddings_are_those_behind_the_predictions(root):
    run = embedded(root)
    table, opened = load_clips(root / "data"), read_run(run)
    model = load_video_model(opened)
    crops = crops_of(open_split(find_features(opened.config, root / "features"), table, "val").sources)
    ids = tuple(clip.id for clip in table.split("val"))
    [(_, pictures)] = ClipLoader(crops, ids, model.network, torch.device("cpu")).batches([np.arange(len(ids))])
    expected = model.embed(pictures).detach().numpy()
    folder = find_folder(root / "features", VideoConfig(weights=run))
    for clip_id, row in zip(ids, expected, strict=True):
        found = folder.read(clip_id)
        assert found.embeddings.shape == (1, model.network.dimension)
        np.testing.assert_allclose(found.embeddings[0], row, atol=1e-5)


def test_windows_are_rows_of_a_clip(root):
    run = embedded(root, windows=3)
    folder = find_folder(root / "features", VideoConfig(weights=run, windows=3))
    clip = load_clips(root / "data").split("val")[0]
    found = folder.read(clip.id)
    assert len(found.embeddings) == 3
    assert (np.diff(found.times) > 0).all()
    assert not np.allclose(found.embeddings[0], found.embeddings[2])


def test_a_head_learns_from_the_embeddings(root):
    run = embedded(root, windows=2)
    system = root / "head.yaml"
    head = {"name": "lstm", "hidden_size": 8, "dense": 8}
    visual = {"extractor": "video", "weights": str(run), "windows": 2}
    system.write_text(
        yaml.safe_dump(
            {"name": "head", "modality": "visual", "visual": visual, "model": head, "training": {"epochs": 2}}
        )
    )
    trained = commands.train(root / "data", config=system, features=root / "features", runs=root / "runs", device="cpu")
    evaluation = commands.evaluate(trained, device="cpu")
    assert evaluation.metrics is not None
    assert evaluation.metrics.clips == 6


def test_what_is_no_run_of_a_video_model_is_refused(root, tmp_path):
    with pytest.raises(RunError, match="not a run folder"):
        commands.extract(root / "data", runs=root / "runs", weights="other", features=tmp_path)
    with pytest.raises(ConfigError, match="is a run of 'small', not of 'c3d'"):
        commands.extract(root / "data", config="c3d", runs=root / "runs", weights="video", features=tmp_path)
    assert not list(tmp_path.iterdir())
