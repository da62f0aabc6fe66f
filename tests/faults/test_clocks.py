"""Clocks that are set back or forward: what is complete stays complete, and time limits keep their length."""

from __future__ import annotations

import json
import os
import time

import pytest

from eri.config import ExtractorConfig, Runtime
from eri.extraction.run import extract
from eri.features.records import Extractor
from eri.features.store import find_folder
from tests.factories.disturbing import CLIPS
from tests.factories.extractors import FakeExtractor, fake_config, fake_extractors, read_fake_table

_YEAR = 365 * 86400


@pytest.mark.parametrize("offset", [-10 * _YEAR, 10 * _YEAR], ids=["past", "future"])
def test_files_of_another_time_are_complete_all_the_same(scene, offset):
    scene.run()
    moment = time.time() + offset
    for path in [*scene.features.rglob("*"), *scene.data.iterdir(), scene.features]:
        os.utime(path, (moment, moment))
    left = scene.folder().path / ".failures.csv.4711.0123abcd.tmp"
    left.touch()
    os.utime(left, (moment, moment))
    (scene.folder().feature_path(CLIPS[0])).unlink()
    scene.recover([CLIPS[0]])  # and the file that a killed process left is swept away


@pytest.mark.faults
@pytest.mark.parametrize("offset", [-_YEAR, _YEAR], ids=["back", "forward"])
def test_a_clock_that_is_set_in_mid_run_changes_nothing(scene, offset):
    process = scene.start(f"clock={offset}", workers=2, delay=0.1)
    answer = json.loads(process.communicate(timeout=120)[0])
    assert answer == {"computed": len(CLIPS), "complete": len(CLIPS), "exit": 0}
    scene.recover([])


@pytest.mark.faults
@pytest.mark.parametrize("offset", [-_YEAR, _YEAR], ids=["back", "forward"])
def test_a_time_limit_is_of_real_seconds_whatever_the_clock_says(scene, offset):
    stuck = CLIPS[10]
    (scene.data / f"{stuck}.mp4").write_text("hang")
    begun = time.monotonic()
    process = scene.start(f"clock={offset}", "timeout=3", workers=2, delay=0.1)
    answer = json.loads(process.communicate(timeout=120)[0])
    assert time.monotonic() - begun < 60
    assert (answer["exit"], answer["complete"]) == (3, len(CLIPS) - 1)
    (scene.data / f"{stuck}.mp4").write_text(f"ok {stuck}")
    scene.recover([stuck])


def test_the_last_extraction_of_a_config_is_the_one_found_even_when_the_clock_was_set_back(scene):
    scene.run()
    first = scene.folder().path
    moment = time.time() + _YEAR
    for path in first.iterdir():
        os.utime(path, (moment, moment))

    def create(config: ExtractorConfig, runtime: Runtime) -> Extractor:
        extractor = fake_extractors()(config, runtime)
        assert isinstance(extractor, FakeExtractor)
        return FakeExtractor(extractor.name, "visual", {**extractor.settings, "weights": "new"}, extractor.preparer)

    extract(read_fake_table(scene.data), [fake_config()], scene.features, Runtime(workers=0), create=create)
    assert find_folder(scene.features, fake_config()).path != first
    scene.run()
    assert find_folder(scene.features, fake_config()).path == first
