"""`eri features` as a user meets it."""

from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from eri.cli.app import app
from eri.utils.errors import DataError
from tests.factories.challenge import make_entries, write_muse
from tests.factories.organisers import make_values, write_csvs


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a data set in it that has the organisers' FAUs of all clips but one."""
    entries = make_entries(4, 3, 2)
    folder = write_muse(tmp_path / "data", entries)
    write_csvs(folder / "feats" / "FAUs", make_values([entry.id for entry in entries[:-1]]))
    monkeypatch.chdir(tmp_path)
    return tmp_path


def run(*arguments: str) -> Result:
    return CliRunner().invoke(app, ["features", *arguments])


def test_import_list_export_and_import_again(home):
    imported = run("import", "data", "--name", "faus")
    assert imported.exit_code == 0, imported.exception
    assert "FAUs (visual): 8 clips added, 0 were there, 1 of the data set have none" in imported.output
    assert "times in ms" in imported.output
    listed = run("ls")
    assert all(part in listed.output for part in ("FAUs-", "visual", "hume-reaction", " 8 "))
    exported = run("export", "FAUs", "faus.parquet")
    assert "faus.parquet: 8 clips" in exported.output
    again = run("import", "faus.parquet", "--name", "mine", "--modality", "audio", "--missing", "mask")
    assert "mine (audio): 8 clips added" in again.output
    assert run("export", "mine", "out", "--time-unit", "s").exit_code == 0
    assert len(list((home / "out").iterdir())) == 8


def test_an_empty_cache_says_how_to_fill_it(home):
    assert "eri features import" in run("ls").output


def test_errors_are_left_to_the_command_line(home):
    (home / "data" / "c2_muse_reaction" / "feats" / "FAUs" / "00000.csv").write_text("")
    result = run("import", "data", "--name", "FAUs")
    assert isinstance(result.exception, DataError)
    assert "00000.csv: the file is empty" in str(result.exception)
