"""Extraction through its public way in: counts, failures, resume, identities, workers."""

import csv
import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from eri.config import DeepSpectrumConfig, ExtractorConfig, Runtime
from eri.config.tasks import ERI
from eri.data.clips import Clip, ClipTable
from eri.extraction.report import ExtractionEvent, ExtractionReport, read_failures
from eri.extraction.run import extract
from eri.features.store import find_folder
from eri.media.state import State
from eri.utils.errors import StoreError
from tests.factories.extractors import fake_config, fake_extractors, fake_table, logged
from tests.factories.store import alter

GOOD = {"a": "ok 1", "b": "ok 2", "c": "ok 3"}


@pytest.fixture
def run(tmp_path):
    """Extract with the fake extractor; the log of prepared clips is emptied before each run."""
    log = tmp_path / "log"

    def extract_fakes(contents, *, frames=5, **options):
        log.unlink(missing_ok=True)
        table = fake_table(tmp_path / "data", contents) if isinstance(contents, dict) else contents
        runtime = options.pop("runtime", Runtime(workers=0))
        return extract(
            table, [fake_config(frames)], tmp_path / "features", runtime, create=fake_extractors(log), **options
        )

    return extract_fakes


@pytest.fixture
def prepared(tmp_path):
    return lambda: logged(tmp_path / "log")


def test_every_clip_gets_features_on_its_whole_time_grid(run, tmp_path):
    report = run({"a": "ok 1", "b": "partly 2"})
    assert report.exit_code == 0
    folder = find_folder(tmp_path / "features", fake_config())
    features = folder.read("b")
    assert features.states.tolist() == [State.NO_FACE, State.VALID, State.NO_FACE, State.VALID, State.NO_FACE]
    assert features.times.tolist() == [0.0, 0.5, 1.0, 1.5, 2.0]
    assert not features.embeddings[~features.mask].any()
    assert features.embeddings[features.mask].all()
    assert folder.read_record("b").notes == ("a partly clip",)
    assert folder.read_record("b").source.name == "b.mp4"


def test_the_report_counts_what_users_ask_about(run):
    contents = {
        "a": "ok",
        "b": "no-face",
        "c": "partly",
        "d": "no-audio",
        "e": "silent",
        "f": "truncated",
        "g": "ok 2",
    }
    summary = run(contents).extractors[0]
    assert (summary.total, summary.computed, summary.already_complete) == (7, 6, 0)
    states = (summary.no_face, summary.partly_no_face, summary.no_audio, summary.silent, summary.black)
    assert states == (1, 1, 1, 1, 0)
    assert summary.clips_per_second > 0
    again = run(contents).extractors[0]
    assert (again.computed, again.already_complete) == (0, 6)
    assert (again.no_face, again.partly_no_face, again.no_audio, again.silent, again.black) == states


def test_a_second_run_prepares_nothing(run, prepared):
    run(GOOD)
    assert sorted(prepared()) == ["a", "b", "c"]
    assert run(GOOD).extractors[0].already_complete == 3
    assert prepared() == []


def test_batch_size_and_workers_do_not_matter_and_frames_do(run, prepared, tmp_path):
    run(GOOD)
    run(GOOD, runtime=Runtime(workers=0, batch_size=7, device="cpu", timeout=9))
    assert prepared() == []
    assert len(list((tmp_path / "features").iterdir())) == 1
    run(GOOD, frames=6)
    assert sorted(prepared()) == ["a", "b", "c"]
    assert len(list((tmp_path / "features").iterdir())) == 2
    assert find_folder(tmp_path / "features", fake_config(6)).read("a").embeddings.shape[0] == 6


@pytest.mark.parametrize(
    "spoil",
    [alter, lambda path: path.write_bytes(path.read_bytes()[:100]), lambda path: path.write_bytes(b""), Path.unlink],
    ids=["altered", "truncated", "emptied", "removed"],
)
def test_a_spoilt_file_is_made_anew_and_no_other(run, prepared, tmp_path, spoil):
    run(GOOD)
    folder = find_folder(tmp_path / "features", fake_config())
    before = folder.read("b")
    spoil(folder.feature_path("b"))
    assert run(GOOD).extractors[0].computed == 1
    assert prepared() == ["b"]
    np.testing.assert_array_equal(folder.read("b").embeddings, before.embeddings)


def test_a_touched_source_is_kept_and_a_changed_one_made_anew(run, prepared, tmp_path):
    table = fake_table(tmp_path / "data", GOOD)
    run(table)
    os.utime(tmp_path / "data" / "b.mp4", ns=(1, 1))
    run(table)
    assert prepared() == []
    (tmp_path / "data" / "b.mp4").write_text("ok, but other")
    (tmp_path / "data" / "c.mp4").write_text("truncated")
    report = run(table)
    assert sorted(prepared()) == ["b", "c"]
    assert [failure.clip_id for failure in report.failures] == ["c"]
    folder = find_folder(tmp_path / "features", fake_config())
    # The features of the earlier medium would pass for those of the broken one.
    assert not folder.feature_path("c").exists()


def rows(path: Path) -> list[list[str]]:
    with path.open(encoding="utf-8", newline="") as stream:
        return list(csv.reader(stream))


def test_failures_are_listed_until_they_are_mended(run, tmp_path):
    report = run({**GOOD, "b": "truncated", "c": "memory"})
    assert report.exit_code == 3
    assert report.usable
    path = report.extractors[0].folder / "failures.csv"
    assert rows(path) == [
        ["clip_id", "extractor", "file", "reason", "message"],
        ["b", "fake", "b.mp4", "truncated", f"{tmp_path}/data/b.mp4: ends too early → Copy it again."],
        ["c", "fake", "c.mp4", "crashed", "clip c: preparing it ran out of memory → Use fewer workers."],
    ]
    report = run({**GOOD, "c": "memory"})
    assert [row[0] for row in rows(path)[1:]] == ["c"]
    report = run(GOOD)
    assert report.exit_code == 0
    assert not path.exists()


def test_failures_of_clips_outside_a_run_stay_listed(run, tmp_path):
    table = fake_table(tmp_path / "data", {"a": "truncated", "b": "truncated", "c": "ok"})
    clips = tuple(replace(clip, split="test" if clip.id == "a" else "train") for clip in table)
    report = run(ClipTable("t", table.root, ERI, clips))
    folder = find_folder(tmp_path / "features", fake_config())
    assert [failure.clip_id for failure in read_failures(folder)] == ["a", "b"]
    (tmp_path / "data" / "b.mp4").write_text("ok")
    report = run(ClipTable("t", table.root, ERI, clips), splits=["train"])
    assert report.exit_code == 0
    assert report.extractors[0].total == 2
    assert [failure.clip_id for failure in read_failures(folder)] == ["a"]


def test_nothing_usable_is_exit_code_one(run):
    report = run({"a": "truncated", "b": "truncated"})
    assert not report.usable
    assert report.exit_code == 1
    assert not ExtractionReport((), 0.0).usable


def test_a_clip_without_a_file_or_with_a_lost_one_fails_by_name(run, tmp_path):
    table = ClipTable("t", tmp_path, ERI, (Clip("a", "train"), Clip("b", "train", video=tmp_path / "lost.mp4")))
    report = run(table)
    assert [(failure.clip_id, failure.file, failure.reason) for failure in report.failures] == [
        ("a", "", "no-video"),
        ("b", "lost.mp4", "missing"),
    ]


def test_a_file_name_that_is_not_utf8_harms_nothing(run, tmp_path):
    root = tmp_path / "data"
    root.mkdir()
    clips = []
    for clip_id, text in (("a", "ok"), ("b", "truncated")):
        path = root / os.fsdecode(clip_id.encode() + b"\xe9.mp4")
        path.write_text(text)
        clips.append(Clip(clip_id, "train", video=path))
    report = run(ClipTable("t", root, ERI, tuple(clips)))
    assert [failure.clip_id for failure in report.failures] == ["b"]
    assert report.extractors[0].computed == 1


def test_modalities_have_folders_of_their_own(tmp_path):
    table = fake_table(tmp_path / "data", GOOD)
    configs: list[ExtractorConfig] = [fake_config(), DeepSpectrumConfig()]
    report = extract(table, configs, tmp_path / "features", Runtime(workers=0), create=fake_extractors())
    assert [(part.extractor, part.modality, part.complete) for part in report.extractors] == [
        ("fake", "visual", 3),
        ("deepspectrum", "audio", 3),
    ]
    assert find_folder(tmp_path / "features", DeepSpectrumConfig()).read("a").embeddings.shape == (3, 6)


def test_events_tell_how_far_it_is(run, tmp_path):
    events: list[ExtractionEvent] = []
    table = fake_table(tmp_path / "data", {**GOOD, "x": "truncated"})
    run(table, on_event=events.append)
    assert [event.stage for event in events] == ["check", "extract", "extract", "extract", "extract", "end"]
    assert [event.done for event in events] == [4, 1, 2, 3, 4, 4]
    assert {event.total for event in events} == {4}
    assert [event.failure.reason for event in events if event.failure] == ["truncated"]
    assert (events[-1].computed, events[-1].failed) == (3, 1)
    assert events[-1].clips_per_second > 0
    events.clear()
    run(table, on_event=events.append)
    assert (events[0].stage, events[0].done) == ("check", 4)


def test_a_read_only_cache_serves_while_nothing_is_missing(run, tmp_path):
    run(GOOD)
    folder = find_folder(tmp_path / "features", fake_config()).path
    # Nobody, not even the superuser, can make files in a folder that is not there.
    (folder / "journal.jsonl").unlink()
    (folder / "journal.jsonl").mkdir()
    assert run(GOOD).extractors[0].already_complete == 3
    with pytest.raises(StoreError, match=r"journal|features"):
        run({**GOOD, "d": "ok 4"})


def test_no_clip_at_all_is_not_usable(run, tmp_path):
    assert run(ClipTable("t", tmp_path, ERI, ())).exit_code == 1
