"""The way in: detection of layouts, the registry, and what is said where nothing fits."""

import itertools
import os
import pkgutil
from collections.abc import Callable, Iterator
from functools import partial
from importlib import import_module
from pathlib import Path

import pytest

import eri.data.adapters
from eri.config.tasks import ERI, MIMIC, PERCEPTION
from eri.data import ADAPTERS, load_clips
from eri.utils.errors import DataError
from tests.factories import expressions
from tests.factories.challenge import write_abaw5, write_emi, write_muse

WRITERS: dict[str, Callable[[Path], Path]] = {
    "abaw5": write_abaw5,
    "muse-2022": write_muse,
    "emi": write_emi,
    "mimic": partial(write_muse, task=MIMIC),
    "perception": partial(write_muse, task=PERCEPTION),
    **{name: partial(expressions.write, name=name, size=expressions.PATHS) for name in expressions.WRITERS},
}
ADAPTER_OF = {"abaw5": "hume-reaction", "muse-2022": "hume-reaction"}
BY_NAME_ONLY = {"daisee-engagement": "daisee"}
"""Adapters that are never guessed, by the layout that they read another way."""


def expected_clips(layout: str) -> int:
    """Return how many clips a writer of this file writes."""
    if layout in expressions.WRITERS:
        return expressions.count_clips(layout, expressions.PATHS)
    return 7 if layout == "emi" else 10  # write_emi makes no media by itself, so its test clips are not there


def test_every_adapter_module_is_registered():
    names = [info.name for info in pkgutil.iter_modules(eri.data.adapters.__path__)]
    modules = [import_module(f"eri.data.adapters.{name}") for name in names]
    assert {module.NAME for module in modules if hasattr(module, "NAME")} < set(ADAPTERS)
    layouts = {ADAPTER_OF.get(layout, layout) for layout in WRITERS}
    assert set(ADAPTERS) == layouts | set(BY_NAME_ONLY) | {"manifest"}
    for name, adapter in ADAPTERS.items():
        assert adapter.name == name
        assert bool(adapter.looks_for) == (name not in BY_NAME_ONLY)


@pytest.mark.parametrize("layout", WRITERS)
@pytest.mark.parametrize("chosen", [False, True])
def test_a_challenge_folder_is_detected_or_chosen_by_name(tmp_path, layout, chosen):
    WRITERS[layout](tmp_path)
    adapter = ADAPTER_OF.get(layout, layout)
    table = load_clips(tmp_path, adapter if chosen else None)
    assert (table.name, len(table)) == (adapter, expected_clips(layout))


@pytest.mark.parametrize("layout", WRITERS)
def test_no_layout_is_taken_for_another(tmp_path, layout):
    WRITERS[layout](tmp_path)
    fitting = {name for name, adapter in ADAPTERS.items() if adapter.matches(tmp_path)}
    assert fitting == {ADAPTER_OF.get(layout, layout)}
    for name in set(ADAPTERS) - fitting:
        if BY_NAME_ONLY.get(name) in fitting:
            continue
        with pytest.raises(DataError):
            load_clips(tmp_path, name)


@pytest.mark.parametrize(("one", "other"), list(itertools.combinations(WRITERS, 2)))
def test_two_data_sets_in_one_folder_are_not_guessed_between(tmp_path, one, other):
    WRITERS[one](tmp_path)
    WRITERS[other](tmp_path)
    names = {ADAPTER_OF.get(layout, layout) for layout in (one, other)}
    if len(names) == 1:
        assert load_clips(tmp_path).root == tmp_path  # both releases of Hume-Reaction: ABAW5 is taken
        return
    with pytest.raises(DataError, match="holds several data sets") as caught:
        load_clips(tmp_path)
    assert all(name in str(caught.value) for name in names)
    for name in names:
        assert load_clips(tmp_path, name).name == name


@pytest.mark.parametrize("folder", [None, "."])
@pytest.mark.parametrize(("task", "name"), [(ERI, "hume-reaction"), (MIMIC, "mimic"), (PERCEPTION, "perception")])
def test_muse_tables_are_told_apart_by_their_labels_not_their_place(tmp_path, task, name, folder):
    home = write_muse(tmp_path, task=task, folder=folder)
    source = home if folder else tmp_path
    assert load_clips(source).task == task
    assert load_clips(home / "labels.csv").name == name
    partition = next(home.rglob("partition.csv"))
    assert load_clips(partition).name == name
    partition.rename(home / "metadata.csv").rename(home / "partition.csv")
    assert load_clips(source).name == name


def test_a_muse_folder_with_labels_of_another_is_not_taken_by_its_name(tmp_path):
    write_muse(tmp_path, task=PERCEPTION, folder="c1_muse_mimic")
    with pytest.raises(DataError, match=r"labels\.csv: holds the labels of 'perception', not of 'mimic'"):
        load_clips(tmp_path, "mimic")


def test_the_same_clips_come_out_of_both_layouts(tmp_path):
    write_abaw5(tmp_path / "abaw5")
    write_muse(tmp_path / "muse")
    assert load_clips(tmp_path / "abaw5").fingerprint == load_clips(tmp_path / "muse").fingerprint


@pytest.mark.parametrize(
    ("layout", "name"),
    [
        ("abaw5", "data_info.csv"),
        ("muse-2022", "c2_muse_reaction/labels.csv"),
        ("muse-2022", "c2_muse_reaction/partition.csv"),
        ("emi", "train_split.csv"),
        ("emi", "valid_split.csv"),
    ],
)
def test_a_challenge_table_itself_is_a_source(tmp_path, layout, name):
    WRITERS[layout](tmp_path)
    assert load_clips(tmp_path / name).fingerprint == load_clips(tmp_path).fingerprint


def test_a_path_as_text_is_a_source(tmp_path):
    write_abaw5(tmp_path)
    assert len(load_clips(str(tmp_path))) == 10  # type: ignore[arg-type]


def test_a_folder_that_fits_nothing_says_what_was_looked_for(tmp_path):
    with pytest.raises(
        DataError, match=r"no known data set.*data_info\.csv.*partition\.csv.*hume-reaction.*yaml.*manifest"
    ):
        load_clips(tmp_path)


@pytest.mark.parametrize("make", [write_abaw5, write_emi, lambda root: (root.mkdir(), (root / "data.yaml").touch())])
def test_a_folder_around_the_data_set_is_guessed(tmp_path, make):
    make(tmp_path / "inner")
    with pytest.raises(DataError) as caught:
        load_clips(tmp_path if make in (write_abaw5, write_emi) else tmp_path / "inner")
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
