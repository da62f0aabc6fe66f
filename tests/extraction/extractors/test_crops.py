"""Face crops as an extractor: cut from real video, cached by the usual extraction, decoded as they were."""

from __future__ import annotations

import numpy as np
import pytest

from eri.config import CropsConfig, FaceConfig, ImageConfig, Runtime
from eri.config.tasks import ERI
from eri.data.clips import Clip, ClipTable
from eri.extraction.extractors.registry import create_extractor
from eri.extraction.run import extract
from eri.features.crops import open_crops
from eri.features.store import find_folder
from eri.media.state import State
from tests.factories.media import clock, write_clip

CONFIG = CropsConfig(frames=4, input_size=48, faces=FaceConfig(detector="none"))
RUNTIME = Runtime(device="cpu", workers=0)


@pytest.fixture(scope="module")
def table(tmp_path_factory):
    root = tmp_path_factory.mktemp("clips")
    shown = clock()
    painters = {
        "a": shown,
        "black": lambda time: shown(time) * np.uint8(0),
        "half": lambda time: shown(time) * np.uint8(time > 1.0),
    }
    clips = [
        Clip(name, "train", video=write_clip(root / f"{name}.mp4", 2.0, frames=paint, audio=False))
        for name, paint in painters.items()
    ]
    return ClipTable("crops", root, ERI, tuple(clips))


@pytest.fixture(scope="module")
def features(table, tmp_path_factory):
    folder = tmp_path_factory.mktemp("features")
    assert extract(table, [CONFIG], folder, RUNTIME).exit_code == 0
    return folder


def test_the_crops_are_those_that_a_backbone_would_see(table, features):
    crops = open_crops(find_folder(features, CONFIG), ["a"])
    pictures, counts, times = crops.read(["a"])
    image = ImageConfig(
        extractor="test_resnet", weights="random", frames=4, input_size=48, faces=FaceConfig(detector="none")
    )
    seen = create_extractor(image, RUNTIME).preparer.prepare(table.clips[0])
    assert counts.tolist() == [4]
    assert times.tolist() == pytest.approx(seen.times.tolist())
    assert np.abs(pictures.astype(int) - seen.inputs).mean() < 2.5  # what JPEG of quality 95 costs


def test_rows_without_a_picture_keep_their_state(table, features):
    folder = find_folder(features, CONFIG)
    assert folder.read_crops("half").states.tolist() == [State.BLACK_FRAME] * 2 + [State.VALID] * 2
    assert open_crops(folder, ["black", "half"]).counts(["black", "half"]).tolist() == [0, 2]


def test_what_is_complete_is_not_opened_again(table, features):
    report = extract(table, [CONFIG], features, RUNTIME)
    assert [part.computed for part in report.extractors] == [0]
    assert [part.already_complete for part in report.extractors] == [3]


def test_every_setting_is_part_of_the_identity():
    identities = [
        create_extractor(CONFIG.model_copy(update=change), RUNTIME).identity()
        for change in ({}, {"frames": 5}, {"input_size": 64}, {"quality": 90}, {"faces": FaceConfig(margin=0.5)})
    ]
    assert len({str(identity) for identity in identities}) == len(identities)
