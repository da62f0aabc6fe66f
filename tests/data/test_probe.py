"""Probing a data set: a row for every clip, whatever its files are like."""

from __future__ import annotations

import importlib
from pathlib import Path

import pytest

from eri.config.tasks import ERI
from eri.data import probe as inspection
from eri.data.clips import Clip, ClipTable
from eri.data.probe import COLUMNS, ProbeReport, probe
from tests.factories.media import cut, write_clip, write_wav


def make_table(root: Path, *clips: Clip) -> ClipTable:
    return ClipTable("made", root, ERI, clips)


@pytest.fixture
def table(tmp_path: Path) -> ClipTable:
    (tmp_path / "empty.mp4").touch()
    (tmp_path / "text.mp4").write_text("no video")
    return make_table(
        tmp_path,
        Clip("00", "train", video=write_clip(tmp_path / "good.mp4", 2.0)),
        Clip("01", "train", video=write_clip(tmp_path / "turned.mp4", rotation=90, audio=False)),
        Clip("02", "val", video=write_clip(tmp_path / "changing.mp4", vfr=True)),
        Clip("03", "val", video=tmp_path / "empty.mp4"),
        Clip("04", "val", video=tmp_path / "text.mp4"),
        Clip("05", "test", video=tmp_path / "absent.mp4"),
        Clip("06", "test", video=cut(write_clip(tmp_path / "half.mp4"), 0.5)),
        Clip("07", "test", audio=write_wav(tmp_path / "sound.wav", 3.0)),
        Clip("08", "test", video=tmp_path / "good.mp4", audio=write_wav(tmp_path / "long.wav", 5.0, rate=8000)),
        Clip("09", "test", video=tmp_path / "good.mp4", audio=tmp_path / "absent.wav"),
        Clip("10", "test", video=tmp_path / "sound.wav"),
        Clip("11", "test"),
    )


def check(report: ProbeReport) -> None:
    rows = report.table
    durations, messages = rows["duration"].to_dict(), rows["message"].to_dict()

    def cells(clip_id: str, *columns: str) -> list[object]:
        return list(rows.loc[clip_id, list(columns)])

    assert tuple(rows.columns) == COLUMNS
    assert list(rows.index) == [f"{number:02d}" for number in range(12)]
    assert rows["problem"].to_dict() == {
        "00": "",
        "01": "",
        "02": "",
        "03": "video: empty",
        "04": "video: not-media",
        "05": "video: missing",
        "06": "video: truncated",
        "07": "",
        "08": "",
        "09": "audio: missing",
        "10": "video: no-video",
        "11": "",
    }
    assert durations["00"] == pytest.approx(2.0, abs=0.05)
    assert cells("00", "split", "frames", "width", "height", "rotation") == ["train", 50, 160, 120, 0]
    assert cells("01", "width", "height", "rotation", "audio") == [120, 160, 90, False]
    assert rows.index[rows["frame_rate_changes"]].tolist() == ["02"]
    assert rows.index[rows["audio"]].tolist() == ["00", "02", "07", "08", "10"]
    assert cells("07", "video", "duration", "sample_rate") == [False, 3.0, 16_000]
    assert cells("08", "audio_duration", "sample_rate") == [5.0, 8_000]
    assert "absent.mp4" in messages["05"]
    assert not rows.loc[rows["problem"] == "", "message"].any()

    summary = report.summary
    assert (summary.clips, summary.without_video, summary.without_audio) == (12, 7, 7)
    assert (summary.rotated, summary.frame_rate_changes) == (1, 1)
    assert summary.problems["video: empty"] == 1
    assert sum(summary.problems.values()) == 6
    assert summary.hours == pytest.approx(rows["duration"].sum() / 3600)
    assert summary.seconds_per_thousand == pytest.approx(summary.seconds * 1000 / 12)


def test_every_clip_gets_a_row_with_its_reason(table):
    seen: list[tuple[int, int]] = []
    report = probe(table, workers=0, on_clip=lambda done, all_clips: seen.append((done, all_clips)))
    check(report)
    assert seen == [(number, 12) for number in range(1, 13)]


@pytest.mark.slow
def test_worker_processes_see_the_same(table):
    check(probe(table, workers=2))


def test_an_empty_table_is_an_empty_report(tmp_path):
    report = probe(make_table(tmp_path))
    assert len(report.table) == 0
    assert report.summary.seconds_per_thousand == 0.0


BROKEN_DECODER = """
import os, signal, time
from eri.data.probe import probe_clip
def probe_or_break(clip):
    if clip.id == "crash":
        os.kill(os.getpid(), signal.SIGKILL)
    if clip.id == "hang":
        time.sleep(600)
    return probe_clip(clip)
"""


@pytest.mark.slow
def test_a_crash_and_a_hang_cost_their_own_clip_only(tmp_path, monkeypatch):
    (tmp_path / "broken_decoder.py").write_text(BROKEN_DECODER)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(inspection, "probe_clip", importlib.import_module("broken_decoder").probe_or_break)
    path = write_wav(tmp_path / "a.wav")
    clips = [Clip(name, "train", audio=path) for name in ("crash", "hang", "well")]
    report = probe(make_table(tmp_path, *clips), workers=2, timeout=5.0)
    assert report.table["problem"].tolist() == ["crashed", "timeout", ""]
    assert report.table.loc["hang", "message"] == "hang: probing it took longer than 5 s"
    assert report.summary.problems == {"crashed": 1, "timeout": 1}
