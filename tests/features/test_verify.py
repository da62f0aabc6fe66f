"""`eri features verify` names each kind of finding, and `eri features gc` removes what may go and nothing else."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from typer.testing import CliRunner

from eri.cli.app import app
from eri.config import ExtractorConfig, Runtime
from eri.data.clips import ClipTable
from eri.extraction.run import extract
from eri.features.exchange.importing import import_features
from eri.features.records import Extractor
from eri.features.store import find_folder, list_features
from eri.features.verify import DAMAGE, MEANINGS, VerifyReport, clear_features, verify_features
from eri.utils.errors import ConfigError, StoreError
from tests.factories.extracted import CLIPS, extracted_table, folder_of
from tests.factories.extractors import FakeExtractor, fake_config, fake_extractors
from tests.factories.organisers import make_table, make_values, write_csvs
from tests.factories.store import alter, decay


@pytest.fixture
def table(tmp_path: Path) -> ClipTable:
    return extracted_table(tmp_path)


def found(report: VerifyReport) -> list[tuple[str, str]]:
    return [(finding.kind, finding.file) for finding in report.findings]


def test_a_intact_store_has_no_finding(table, tmp_path):
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
def test_a_damaged_file_is_named_and_written_again(table, tmp_path, spoil):
    spoil(folder_of(tmp_path).feature_path("003"))
    report = verify_features(tmp_path / "features")
    assert found(report) == [("damaged", "003.safetensors")]
    assert report.exit_code == 1
    extract(table, [fake_config()], tmp_path / "features", Runtime(workers=0), create=fake_extractors())
    assert verify_features(tmp_path / "features").findings == ()


def test_decay_that_the_index_does_not_notice_is_found_and_removed_from_it(table, tmp_path):
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


def test_with_the_data_orphans_and_stale_features_are_reported(table, tmp_path):
    fewer = replace(table, clips=table.clips[1:])
    (tmp_path / "data" / "004.mp4").write_text("ok but another film")
    (tmp_path / "data" / "005.mp4").unlink()  # features outlive their media
    os.utime(tmp_path / "data" / "006.mp4", ns=(5, 5))  # only touched
    report = verify_features(tmp_path / "features", tables=[fewer])
    assert found(report) == [("orphaned", "000.safetensors"), ("stale", "004.safetensors")]
    assert report.exit_code == 0
    assert found(verify_features(tmp_path / "features", tables=[fewer, table])) == [("stale", "004.safetensors")]
    assert verify_features(tmp_path / "features").findings == ()


def test_what_killed_processes_left_is_reported(table, tmp_path):
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


def test_what_a_living_process_holds_is_not_reported(table, tmp_path):
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


def test_an_altered_identity_and_unknown_files_are_reported(table, tmp_path):
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
    names = list(list_features(tmp_path / "features").index)
    assert verify_features(tmp_path / "features", [names[0]]).files == 8
    assert verify_features(tmp_path / "features", ["fake"]).files == 16
    with pytest.raises(ConfigError, match=rf"(?s)no features 'resnet50'.*{names[0]}"):
        verify_features(tmp_path / "features", ["resnet50"])


def test_features_in_an_object_store_are_not_verified_from_here():
    with pytest.raises(StoreError, match=r"(?s)s3://bucket/features: .*copy them to a folder"):
        verify_features(Path("s3://bucket/features"))


def test_every_kind_has_a_meaning():
    assert set(MEANINGS) >= DAMAGE


def content(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_a_dry_run_changes_nothing_and_says_what_would_go(table, tmp_path):
    folder = folder_of(tmp_path)
    alter(folder.feature_path("003"))
    (folder.path / ".001.safetensors.4711.0123abcd.tmp").write_bytes(b"half")
    files = {name for name in content(folder.path) if name != "journal.jsonl"}
    report = clear_features(tmp_path / "features")
    assert [(finding.kind, finding.clip_id) for finding in report.findings] == [("leftover", ""), ("damaged", "003")]
    assert report.size == 4 + folder.feature_path("003").stat().st_size
    assert not report.removed
    assert files <= set(content(folder.path))


def test_what_is_asked_for_goes_and_nothing_else(table, tmp_path):
    folder = folder_of(tmp_path)
    alter(folder.feature_path("003"))
    folder.feature_path("004").write_bytes(folder.feature_path("005").read_bytes())
    (folder.path / ".001.safetensors.4711.0123abcd.tmp").write_bytes(b"half")
    (folder.path / ".claims" / "002.lock").touch()
    (folder.path / "notes.txt").write_text("mine")
    before = content(folder.path)
    report = clear_features(tmp_path / "features", tables=[replace(table, clips=table.clips[1:])], remove=True)
    assert report.removed
    assert report.held == ()
    kinds = {"damaged": "003", "foreign": "004", "orphaned": "000"}
    assert {finding.kind: finding.clip_id for finding in report.findings if finding.clip_id} == kinds
    after = content(folder.path)
    gone = {"000", "003", "004"}
    assert set(before) - set(after) == {
        *(f"{clip_id}.safetensors" for clip_id in gone),
        ".001.safetensors.4711.0123abcd.tmp",
        ".claims/002.lock",
    }
    assert all(after[name] == before[name] for name in after if name.endswith(".safetensors"))
    assert set(folder.entries(CLIPS)) == set(CLIPS) - gone
    assert [finding.kind for finding in verify_features(tmp_path / "features").findings] == ["unknown"]
    assert clear_features(tmp_path / "features", remove=True).findings == ()


def test_without_the_data_nothing_is_an_orphan(table, tmp_path):
    assert clear_features(tmp_path / "features", remove=True).findings == ()
    assert len(folder_of(tmp_path).entries(CLIPS)) == 8


def test_stale_features_are_left_to_extraction(table, tmp_path):
    (tmp_path / "data" / "004.mp4").write_text("ok but another film")
    assert clear_features(tmp_path / "features", tables=[table], remove=True).findings == ()


def test_what_a_run_works_on_is_kept(table, tmp_path):
    folder = folder_of(tmp_path)
    alter(folder.feature_path("003"))
    lock = folder.lock_clip("003")
    assert lock is not None
    with lock:
        report = clear_features(tmp_path / "features", remove=True)
        assert [finding.clip_id for finding in report.held] == ["003"]
        assert report.findings == ()
    assert folder.feature_path("003").exists()


def test_earlier_identities_go_only_when_asked(table, tmp_path):
    first = folder_of(tmp_path)
    # The same config with other weights, say: another identity, later.
    later = fake_extractors()

    def create(config: ExtractorConfig, runtime: Runtime) -> Extractor:
        extractor = later(config, runtime)
        assert isinstance(extractor, FakeExtractor)
        return replace(extractor, settings={**extractor.settings, "weights": "others"})

    extract(table, [fake_config()], tmp_path / "features", Runtime(workers=0), create=create)
    second = folder_of(tmp_path)
    assert second.path != first.path
    alter(first.feature_path("003"))
    assert [finding.kind for finding in clear_features(tmp_path / "features").findings] == ["damaged"]
    report = clear_features(tmp_path / "features", older=True)
    assert [(finding.kind, finding.folder) for finding in report.findings] == [("older", first.path.name)]
    assert report.size == sum(path.stat().st_size for path in first.path.rglob("*") if path.is_file())
    lock = first.lock_clip("001")
    assert lock is not None
    with lock:
        assert len(clear_features(tmp_path / "features", older=True, remove=True).held) == 1
    assert first.path.exists()
    assert clear_features(tmp_path / "features", older=True, remove=True).held == ()
    assert sorted(path.name for path in (tmp_path / "features").iterdir()) == [second.path.name]
    assert len(second.entries(CLIPS)) == 8
    assert clear_features(tmp_path / "features", older=True).findings == ()


def test_imported_features_are_never_touched(tmp_path):
    table = make_table(tmp_path / "data")
    write_csvs(tmp_path / "FAUs", make_values([clip.id for clip in table]))
    import_features(table, tmp_path / "FAUs", tmp_path / "features")
    (folder,) = (path for path in (tmp_path / "features").iterdir() if not path.name.startswith("."))
    files = sorted(folder.glob("*.safetensors"))
    alter(files[0])
    none_of_them = replace(table, clips=())
    assert {finding.kind for finding in verify_features(tmp_path / "features", tables=[none_of_them]).findings} == {
        "damaged",
        "orphaned",
    }
    assert clear_features(tmp_path / "features", tables=[none_of_them], older=True, remove=True).findings == ()
    # Not known to have been extracted is as good as imported.
    (folder / "identity.json").unlink()
    assert clear_features(tmp_path / "features", tables=[none_of_them], older=True, remove=True).findings == ()
    assert sorted(folder.glob("*.safetensors")) == files


def run(*arguments: str) -> tuple[int, str]:
    result = CliRunner().invoke(app, ["features", *arguments])
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    return result.exit_code, result.stdout


def test_the_commands_say_it_and_exit_by_it(table, tmp_path):
    features = ("--features", str(tmp_path / "features"))
    code, output = run("verify", *features)
    assert (code, "8 files" in output, "0 damaged" in output) == (0, True, True)
    alter(folder_of(tmp_path).feature_path("003"))
    code, output = run("verify", "fake", *features)
    assert (code, "1 damaged" in output, "003" in output) == (1, True, True)
    code, output = run("verify", "--json", *features)
    answer = json.loads(output.splitlines()[-1])  # the lines before are progress
    assert (code, answer["exit_code"], answer["verification"]["findings"][0]["kind"]) == (1, 1, "damaged")
    size = folder_of(tmp_path).feature_path("003").stat().st_size
    code, output = run("gc", *features)
    assert (code, f"({size} bytes)" in output, "--yes removes" in output) == (0, True, True)
    assert folder_of(tmp_path).feature_path("003").exists()
    code, output = run("gc", "--yes", *features)
    assert (code, "1 removed" in output) == (0, True)
    assert not folder_of(tmp_path).feature_path("003").exists()
    code, output = run("gc", "--json", *features)
    assert (code, json.loads(output.splitlines()[-1])["clearing"]["findings"]) == (0, [])
