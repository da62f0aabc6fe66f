"""Clips in an object store: listed without being fetched, fetched one by one, identified as on a disk."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import fsspec
import pytest

from eri.config import Runtime
from eri.config.tasks import ERI
from eri.data import load_clips
from eri.data.clips import Clip, ClipTable
from eri.data.probe import probe
from eri.extraction.pipeline import local_media
from eri.extraction.run import extract
from eri.features.sources import Source, clip_sources, identify_source, stamp_source
from eri.reports.error_sections import preview_audio, preview_frames
from eri.storage import name_urls, parse_url
from eri.storage.mirror import mirror_data
from eri.utils.errors import DataError, MissingMediaError, RemoteError, TruncatedMediaError
from tests.factories.challenge import make_entries, touch, write_abaw5, write_emi
from tests.factories.comparing import assert_same_features
from tests.factories.extractors import fake_config, fake_extractors, fake_table, logged, read_fake_table
from tests.factories.media import write_clip
from tests.factories.objects import TRY_ONCE, Bucket

MANIFEST = """
name: ours
table: labels.csv
columns: {id: id, split: split}
paths: {video: "{id}.mp4"}
labels: [joy]
"""


def fake_bucket_table(root: str) -> ClipTable:
    """Return the table of the text files in a bucket that stand for clips."""
    url = parse_url(root)
    assert url is not None
    return read_fake_table(mirror_data(url))


@pytest.mark.slow
def test_challenge_folder_in_a_bucket_reads_as_on_a_disk(bucket: Bucket, tmp_path: Path) -> None:
    local = write_abaw5(tmp_path / "data", make_entries(), video=touch, audio=touch)
    table = load_clips(Path(bucket.upload(local, "challenges/eri")))
    expected = load_clips(local)
    assert table.fingerprint == expected.fingerprint
    assert [(clip.video is not None, clip.audio is not None) for clip in table] == [(True, True)] * len(expected)
    names = {clip_id: source.name for clip_id, source in clip_sources(table, "audio").items() if source}
    assert names == {clip_id: source.name for clip_id, source in clip_sources(expected, "audio").items() if source}


def test_folders_of_pictures_and_test_clips_without_a_table_are_found(bucket: Bucket, tmp_path: Path) -> None:
    local = write_emi(tmp_path / "emi", faces=touch, audio=touch)
    table = load_clips(Path(bucket.upload(local, "emi")))
    assert table.fingerprint == load_clips(local).fingerprint
    assert all(clip.video and clip.video.is_dir() for clip in table)


def test_listing_fetches_tables_and_no_media(bucket: Bucket) -> None:
    bucket.put("data/labels.csv", "id,split,joy\na,train,0.5\n")
    bucket.put("data/ours.yaml", MANIFEST)
    bucket.put("data/a.mp4", "x" * 100_000)
    clip = load_clips(Path(f"{bucket.url}/data/ours.yaml"))["a"]
    assert clip.video is not None
    assert (clip.video.stat().st_size, clip.video.stat().st_blocks) == (100_000, 0)


def test_manifest_here_may_have_its_root_in_a_bucket(bucket: Bucket, tmp_path: Path) -> None:
    bucket.put("deep/down/labels.csv", "id,split,joy\na,train,0.5\n")
    (tmp_path / "ours.yaml").write_text(f"{MANIFEST}root: {bucket.url}/deep/down\n")
    table = load_clips(tmp_path / "ours.yaml")
    assert [clip.id for clip in table] == ["a"]
    assert str(table["a"].video).endswith(f"{bucket.name}/deep/down/a.mp4")


def test_mirror_follows_what_changes(bucket: Bucket) -> None:
    url = parse_url(f"{bucket.url}/data")
    assert url is not None
    for name in ("a.csv", "old/b.mp4", "c.mp4"):
        bucket.put(f"data/{name}", "one")
    root = mirror_data(url)
    bucket.put("data/a.csv", "another")
    bucket.client.rm_file(f"{bucket.name}/data/old/b.mp4")
    bucket.put("data/c.mp4", "longer")
    (root / "stray.tmp").touch()
    assert mirror_data(url) == root
    assert (root / "a.csv").read_text() == "another"
    assert (root / "c.mp4").stat().st_size == 6
    assert sorted(path.name for path in root.iterdir()) == ["a.csv", "c.mp4"]


def test_keys_that_no_file_can_have_are_left_out(s3_bucket: Bucket, caplog: pytest.LogCaptureFixture) -> None:
    for key in ("data/a.csv", "data/../../escaped.csv", "data/x", "data/x/y.csv", "data//z.csv"):
        s3_bucket.put(key, "one")
    url = parse_url(f"{s3_bucket.url}/data")
    assert url is not None
    root = mirror_data(url)
    assert sorted(str(path.relative_to(root)) for path in root.rglob("*.csv")) == ["a.csv", "x/y.csv"]
    assert not list(root.parent.glob("escaped*"))
    assert "no file can have" in caplog.text


def test_source_looks_and_is_the_same_everywhere(
    bucket: Bucket, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    media = tmp_path / "media"
    (media / "faces").mkdir(parents=True)
    for name in ("a.mp4", "faces/1.jpg", "faces/2.jpg"):
        (media / name).write_text(name)

    def sources_of(root: Path) -> list[Source]:
        clips = (Clip("a", "train", video=root / "a.mp4"), Clip("b", "train", video=root / "faces"))
        return [source for source in clip_sources(ClipTable("fake", root, ERI, clips), "visual").values() if source]

    url = parse_url(bucket.upload(media, "data"))
    assert url is not None
    seen = []
    for machine in ("one", "two"):
        monkeypatch.setenv("ERI_CACHE", str(tmp_path / machine))
        sources = sources_of(mirror_data(url))
        seen.append([identify_source(source) for source in sources])
        assert all(map(Source.looks_like, seen[-1], map(stamp_source, sources)))
    assert seen[0] == seen[1]
    assert [one.sha256 for one in seen[0]] == [identify_source(source).sha256 for source in sources_of(media)]


def test_extraction_equals_that_of_the_same_files_here(bucket: Bucket, tmp_path: Path) -> None:
    contents = {"a": "ok 1", "b": "no-face 2", "c": "truncated 3", "d": "long 4"}
    here = fake_table(tmp_path / "media", contents)
    there = fake_bucket_table(bucket.upload(tmp_path / "media", "data"))
    create, runtime = fake_extractors(), Runtime(workers=0)
    extract(here, [fake_config()], tmp_path / "here", runtime, create=create)
    of_there = extract(there, [fake_config()], tmp_path / "there", runtime, create=create).extractors[0]
    assert (of_there.computed, [failure.reason for failure in of_there.failures]) == (3, ["truncated"])
    assert of_there.failures[0].message.startswith(f"{bucket.url}/data/c.mp4: ends too early")
    assert_same_features(tmp_path / "there", tmp_path / "here")


def test_second_run_fetches_nothing_and_replaced_clip_is_done_again(bucket: Bucket, tmp_path: Path) -> None:
    fake_table(tmp_path / "media", {"a": "ok 1", "b": "ok 2"})
    root = bucket.upload(tmp_path / "media", "data")
    log = tmp_path / "log"

    def run() -> tuple[int, int]:
        table = fake_bucket_table(root)
        report = extract(table, [fake_config()], tmp_path / "features", Runtime(workers=0), create=fake_extractors(log))
        return report.extractors[0].computed, report.extractors[0].already_complete

    assert run() == (2, 0)
    assert run() == (0, 2)
    shutil.rmtree(os.environ["ERI_CACHE"])
    assert run() == (0, 2)
    bucket.put("data/b.mp4", "ok 2 and more")
    assert run() == (1, 1)
    assert logged(log) == ["a", "b", "b"]
    # Written anew with the same content: its time differs, its hash does not.
    bucket.put("data/a.mp4", "ok 1")
    assert run() == (0, 2)


@pytest.mark.slow
def test_nothing_of_a_clip_is_left_behind(bucket: Bucket, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TMPDIR", str(tmp_path / "scratch"))
    monkeypatch.setattr("tempfile.tempdir", None)
    (tmp_path / "scratch").mkdir()
    fake_table(tmp_path / "media", {"a": "ok 1", "b": "crash 2", "c": "truncated 3"})
    table = fake_bucket_table(bucket.upload(tmp_path / "media", "data"))
    report = extract(table, [fake_config()], tmp_path / "features", Runtime(workers=1), create=fake_extractors())
    assert [failure.reason for failure in report.extractors[0].failures] == ["crashed", "truncated"]
    assert list((tmp_path / "scratch").iterdir()) == []


def test_clip_that_vanished_after_the_listing_fails_alone(bucket: Bucket, tmp_path: Path) -> None:
    fake_table(tmp_path / "media", {"a": "ok 1", "b": "ok 2"})
    table = fake_bucket_table(bucket.upload(tmp_path / "media", "data"))
    bucket.client.rm_file(f"{bucket.name}/data/a.mp4")
    report = extract(table, [fake_config()], tmp_path / "features", Runtime(workers=0), create=fake_extractors())
    assert [(failure.clip_id, failure.reason) for failure in report.extractors[0].failures] == [("a", "missing")]
    assert report.extractors[0].computed == 1


def test_server_that_goes_stops_the_run_and_the_next_one_goes_on(
    s3_bucket: Bucket, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fake_table(tmp_path / "media", {"a": "ok 1"})
    root = s3_bucket.upload(tmp_path / "media", "data")
    table = fake_bucket_table(root)
    endpoint = os.environ["AWS_ENDPOINT_URL"]
    source = clip_sources(table, "visual")["a"]
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    monkeypatch.setitem(fsspec.config.conf, "s3", TRY_ONCE)
    with (
        pytest.raises(RemoteError, match="/data: cannot be listed") as caught,
        local_media(table["a"], source),
    ):
        pass
    assert caught.value.reason == "unreachable"
    monkeypatch.setenv("AWS_ENDPOINT_URL", endpoint)
    with local_media(table["a"], source) as (clip, _):
        assert clip.video is not None
        assert clip.video.read_text() == "ok 1"


def test_errors_of_the_block_name_the_url(bucket: Bucket, tmp_path: Path) -> None:
    fake_table(tmp_path / "media", {"a": "ok 1"})
    table = fake_bucket_table(bucket.upload(tmp_path / "media", "data"))
    source = clip_sources(table, "visual")["a"]

    def decode() -> None:
        with local_media(table["a"], source) as (clip, _):
            raise TruncatedMediaError(clip.video or Path(), "ends too early")

    with pytest.raises(TruncatedMediaError, match=f"^{bucket.url}/data/a.mp4: ends too early$"):
        decode()
    bucket.client.rm_file(f"{bucket.name}/data/a.mp4")
    with pytest.raises(MissingMediaError, match=f"^{bucket.url}/data/a.mp4: "):
        decode()


def test_probe_and_pages_look_into_the_bucket(bucket: Bucket, tmp_path: Path) -> None:
    write_clip(tmp_path / "media" / "a.mp4", 0.5)
    table = fake_bucket_table(bucket.upload(tmp_path / "media", "data"))
    row = probe(table, workers=0).table.loc["a"]
    assert (row["problem"], bool(row["video"])) == ("", True)
    assert len(preview_frames(table["a"].video, 2)[0]) == 2
    assert preview_audio(table["a"].audio_source)[0] is not None


def test_error_in_a_table_names_its_url(bucket: Bucket) -> None:
    bucket.put("data/data_info.csv", "File_ID,Split\n[00001],Train\n")
    with pytest.raises(DataError, match=rf"^{bucket.url}/data/data_info.csv, line 1: no column"):
        load_clips(Path(f"{bucket.url}/data"))


@pytest.mark.parametrize("place", ["nothing", "nothing/labels.csv"])
def test_empty_place_is_named(bucket: Bucket, place: str) -> None:
    with pytest.raises(DataError, match=rf"^{bucket.url}/{place}: nothing is there"):
        load_clips(Path(f"{bucket.url}/{place}"))


def test_names_of_urls_in_messages() -> None:
    assert name_urls("data/x: is missing") == "data/x: is missing"
