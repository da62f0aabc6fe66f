"""`eri features verify`: each kind of finding is named, and a sound store has none."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from eri.config import Runtime
from eri.data.clips import ClipTable
from eri.extraction.run import extract
from eri.features.store import find_folder, list_features
from eri.features.verify import DAMAGE, MEANINGS, VerifyReport, verify_features
from eri.utils.errors import ConfigError, StoreError
from tests.factories.extracted import CLIPS, extracted_table, folder_of
from tests.factories.extractors import fake_config, fake_extractors
from tests.factories.store import alter, decay


@pytest.fixture
def table(tmp_path: Path) -> ClipTable:
    return extracted_table(tmp_path)


def found(report: VerifyReport) -> list[tuple[str, str]]:
    return [(finding.kind, finding.file) for finding in report.findings]


def test_a_sound_store_has_no_finding(table, tmp_path):
    seen: list[tuple[int, int]] = []
    report = verify_features(
        tmp_path / "features", tables=[table], on_progress=lambda done, total: seen.append((done, total))
    )
    assert (report.files, report.findings, report.exit_code) == (8, (), 0)
    assert report.size == sum(path.stat().st_size for path in folder_of(tmp_path).path.glob("*.safetensors"))
    assert seen == [(number, 8) for number in range(1, 9)]
    assert verify_features(tmp_path / "nowhere").files == 0


@pytest.mark.parametrize(
    "spoil",
    [alter, lambda path: path.write_bytes(path.read_bytes()[:100]), lambda path: path.write_bytes(b"")],
    ids=["altered", "truncated", "emptied"],
)
def test_a_damaged_file_is_named_and_made_anew(table, tmp_path, spoil):
    spoil(folder_of(tmp_path).feature_path("003"))
    report = verify_features(tmp_path / "features")
    assert found(report) == [("damaged", "003.safetensors")]
    assert report.exit_code == 1
    extract(table, [fake_config()], tmp_path / "features", Runtime(workers=0), create=fake_extractors())
    assert verify_features(tmp_path / "features").findings == ()


def test_decay_that_the_journal_does_not_notice_is_found_and_struck_from_it(table, tmp_path):
    decay(folder_of(tmp_path), "003")
    assert "003" in folder_of(tmp_path).entries(CLIPS)
    assert found(verify_features(tmp_path / "features")) == [("damaged", "003.safetensors")]
    assert "003" not in folder_of(tmp_path).entries(CLIPS)


def test_files_of_other_clips_and_other_extractors_are_foreign(table, tmp_path):
    extract(table, [fake_config(6)], tmp_path / "features", Runtime(workers=0), create=fake_extractors())
    here, there = folder_of(tmp_path), find_folder(tmp_path / "features", fake_config(6))
    here.feature_path("001").write_bytes(here.feature_path("000").read_bytes())
    here.feature_path("002").write_bytes(there.feature_path("002").read_bytes())
    report = verify_features(tmp_path / "features")
    assert found(report) == [("foreign", "001.safetensors"), ("foreign", "002.safetensors")]
    assert "holds clip '000'" in report.findings[0].message
    assert report.exit_code == 1


def test_with_the_data_orphans_and_stale_features_are_told(table, tmp_path):
    fewer = replace(table, clips=table.clips[1:])
    (tmp_path / "data" / "004.mp4").write_text("ok but another film")
    (tmp_path / "data" / "005.mp4").unlink()  # features outlive their media
    os.utime(tmp_path / "data" / "006.mp4", ns=(5, 5))  # only touched
    report = verify_features(tmp_path / "features", tables=[fewer])
    assert found(report) == [("orphaned", "000.safetensors"), ("stale", "004.safetensors")]
    assert report.exit_code == 0
    assert found(verify_features(tmp_path / "features", tables=[fewer, table])) == [("stale", "004.safetensors")]
    assert verify_features(tmp_path / "features").findings == ()


def test_what_killed_processes_left_is_told(table, tmp_path):
    folder = folder_of(tmp_path)
    (folder.path / ".001.safetensors.4711.0123abcd.tmp").write_bytes(b"half")
    (folder.path / ".claims" / "001.lock").touch()
    (folder.path / ".journal.jsonl.4711.0123abcd.tmp").touch()  # young: its writer may be alive
    old = folder.path / ".failures.csv.4711.0123abcd.tmp"
    old.touch()
    os.utime(old, (1, 1))
    (tmp_path / "features" / ".import-4711.0123abcd.tmp").mkdir()
    assert found(verify_features(tmp_path / "features")) == [
        ("leftover", ".import-4711.0123abcd.tmp"),
        ("leftover", ".001.safetensors.4711.0123abcd.tmp"),
        ("lock", ".claims/001.lock"),
        ("leftover", ".failures.csv.4711.0123abcd.tmp"),
    ]


def test_what_a_living_process_holds_is_not_told(table, tmp_path):
    folder = folder_of(tmp_path)
    program = (
        "import sys; from pathlib import Path; from eri.features import locks\n"
        "lock = locks.try_lock(Path(sys.argv[1]), '001'); print('held', flush=True); sys.stdin.read()"
    )
    command = [sys.executable, "-c", program, str(folder.path / ".claims")]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as holder:
        assert holder.stdout is not None
        holder.stdout.readline()
        (folder.path / ".001.safetensors.4711.0123abcd.tmp").write_bytes(b"half")
        assert verify_features(tmp_path / "features").findings == ()
        holder.communicate()
    assert {kind for kind, _ in found(verify_features(tmp_path / "features"))} == {"lock", "leftover"}


def test_an_altered_identity_and_unknown_files_are_told(table, tmp_path):
    folder = folder_of(tmp_path)
    (folder.path / "notes.txt").write_text("mine")
    (folder.path / "identity.json").write_text("{}")
    report = verify_features(tmp_path / "features")
    assert found(report) == [("identity", "identity.json"), ("unknown", "notes.txt")]
    assert report.exit_code == 1
    (folder.path / "identity.json").unlink()
    assert found(verify_features(tmp_path / "features")) == [("identity", "identity.json"), ("unknown", "notes.txt")]


def test_names_choose_and_wrong_ones_are_refused(table, tmp_path):
    extract(table, [fake_config(6)], tmp_path / "features", Runtime(workers=0), create=fake_extractors())
    names = [listing.folder for listing in list_features(tmp_path / "features")]
    assert verify_features(tmp_path / "features", [names[0]]).files == 8
    assert verify_features(tmp_path / "features", ["fake"]).files == 16
    with pytest.raises(ConfigError, match=rf"(?s)no features 'resnet50'.*{names[0]}"):
        verify_features(tmp_path / "features", ["resnet50"])


def test_features_in_an_object_store_are_not_verified_from_here():
    with pytest.raises(StoreError, match=r"(?s)s3://bucket/features: .*copy them to a folder"):
        verify_features(Path("s3://bucket/features"))


def test_every_kind_has_a_meaning():
    assert set(MEANINGS) >= DAMAGE
