"""The demo from nothing to an accepted file, in miniature."""

from __future__ import annotations

import pytest

from eri.api.demo import DemoReport
from eri.api.demo import demo as run_demo
from eri.data import load_clips
from eri.utils.errors import WeightsError

CLIPS = 18


@pytest.fixture(scope="module")
def demo(tmp_path_factory):
    lines: list[object] = []
    folder = tmp_path_factory.mktemp("demo")
    return run_demo(folder, clips=CLIPS, workers=2, on_event=lines.append), lines


@pytest.mark.slow
def test_it_ends_with_a_file_that_the_organisers_accept(demo):
    report, _ = demo
    assert report.accepted
    ids = [line.split(",")[0] for line in report.submission.read_text(encoding="utf-8").splitlines()[1:]]
    assert ids == [f"[{clip.id}]" for clip in load_clips(report.data).split("test")]


@pytest.mark.slow
def test_every_system_and_the_control_are_scored_on_the_val_split(demo):
    report, _ = demo
    assert list(report.scores) == ["visual", "audio", "multimodal"]
    for result in (*report.scores.values(), report.control):
        assert result.split == "val"
        assert result.metrics is not None
        assert result.metrics.clips == round(0.27 * CLIPS)
    assert report.control.run.name.endswith("-shuffled")


@pytest.mark.slow
def test_it_says_that_the_weights_are_random(demo):
    _, lines = demo
    assert any(isinstance(line, str) and "random" in line and "not the science" in line for line in lines)


@pytest.mark.slow
def test_the_odd_test_clips_are_told_and_none_fails(demo):
    report, _ = demo
    assert report.extraction.failures == ()
    visual, audio = report.extraction.extractors
    assert visual.no_face == 1
    assert audio.no_audio == 1


@pytest.mark.slow
def test_a_second_demo_extracts_nothing_and_reaches_the_same(demo):
    report, _ = demo
    again = run_demo(report.data.parent, clips=CLIPS, workers=2)
    assert isinstance(again, DemoReport)
    assert [part.computed for part in again.extraction.extractors] == [0, 0]
    for modality, result in report.scores.items():
        assert result.metrics is not None
        second = again.scores[modality].metrics
        assert second is not None
        assert second.lines() == result.metrics.lines()
    assert again.submission.read_bytes() == report.submission.read_bytes()


@pytest.mark.slow
def test_pretrained_asks_for_the_real_weights(demo, monkeypatch, tmp_path):
    report, _ = demo
    monkeypatch.setenv("ERI_OFFLINE", "1")
    monkeypatch.setenv("ERI_WEIGHTS", str(tmp_path))
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    monkeypatch.setenv("HF_HOME", str(tmp_path))
    with pytest.raises(WeightsError, match="resnet18"):
        run_demo(report.data.parent, clips=CLIPS, pretrained=True, workers=2)
