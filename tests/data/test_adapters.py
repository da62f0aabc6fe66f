"""The way in: detection of layouts, the registry, and what is said where nothing fits."""

import os
import pkgutil
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path

import pytest

import eri.data
from eri.data import ADAPTERS, load_clips
from eri.errors import DataError
from tests.factories.challenge import write_abaw5, write_muse


def test_every_adapter_module_is_registered():
    modules = [import_module(f"eri.data.{info.name}") for info in pkgutil.iter_modules(eri.data.__path__)]
    names = {module.NAME for module in modules if hasattr(module, "NAME")}
    assert names == set(ADAPTERS) == {"hume-reaction", "manifest"}
    for name, adapter in ADAPTERS.items():
        assert adapter.name == name
        assert adapter.looks_for


@pytest.mark.parametrize("adapter", [None, "hume-reaction"])
@pytest.mark.parametrize("write", [write_abaw5, write_muse])
def test_a_challenge_folder_is_detected_or_chosen_by_name(tmp_path, write, adapter):
    write(tmp_path)
    assert len(load_clips(tmp_path, adapter)) == 10


def test_the_same_clips_come_out_of_both_layouts(tmp_path):
    write_abaw5(tmp_path / "abaw5")
    write_muse(tmp_path / "muse")
    assert load_clips(tmp_path / "abaw5").fingerprint == load_clips(tmp_path / "muse").fingerprint


@pytest.mark.parametrize("name", ["data_info.csv", "c2_muse_reaction/labels.csv", "c2_muse_reaction/partition.csv"])
def test_a_challenge_table_itself_is_a_source(tmp_path, name):
    write_abaw5(tmp_path) if name == "data_info.csv" else write_muse(tmp_path)
    assert len(load_clips(tmp_path / name)) == 10


def test_a_path_as_text_is_a_source(tmp_path):
    write_abaw5(tmp_path)
    assert len(load_clips(str(tmp_path))) == 10  # type: ignore[arg-type]


def test_a_folder_that_fits_nothing_says_what_was_looked_for(tmp_path):
    with pytest.raises(
        DataError, match=r"no known data set.*data_info\.csv.*partition\.csv.*hume-reaction.*yaml.*manifest"
    ):
        load_clips(tmp_path)


@pytest.mark.parametrize("make", [write_abaw5, lambda root: (root.mkdir(), (root / "data.yaml").touch())])
def test_a_folder_around_the_data_set_is_guessed(tmp_path, make):
    make(tmp_path / "inner")
    with pytest.raises(DataError) as caught:
        load_clips(tmp_path if make is write_abaw5 else tmp_path / "inner")
    assert caught.value.hint is not None
    assert str(tmp_path / "inner") in caught.value.hint


def test_a_table_alone_is_sent_to_the_manifest(tmp_path):
    (tmp_path / "mine.csv").write_text("id\n1\n")
    with pytest.raises(DataError, match=r"describe this table in a \.yaml file"):
        load_clips(tmp_path / "mine.csv")


def test_a_misspelled_path_or_adapter_is_guessed(tmp_path):
    (tmp_path / "hume").mkdir()
    with pytest.raises(DataError, match=f"Did you mean {tmp_path / 'hume'}"):
        load_clips(tmp_path / "Hume_")
    with pytest.raises(DataError, match="no such file or folder"):
        load_clips(Path("/nowhere/at/all"))
    with pytest.raises(DataError, match="did you mean 'hume-reaction'"):
        load_clips(tmp_path, "hume_reaction")


@pytest.fixture
def ordinary_user() -> Iterator[None]:
    """Take root's powers away for the length of a test."""
    user = os.geteuid()
    if user == 0:
        os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(user)


def test_a_folder_that_may_not_be_read_is_named(tmp_path, request):
    write_abaw5(tmp_path / "data")
    (tmp_path / "data").chmod(0)
    request.getfixturevalue("ordinary_user")
    with pytest.raises(DataError, match="may not be read by this user"):
        load_clips(tmp_path / "data")
