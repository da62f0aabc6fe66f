"""Importing the organisers' features: what comes into the store, and that bad input leaves nothing behind."""

import logging
import shutil

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from eri.config import ImportedConfig
from eri.data import load_clips
from eri.features.exchange.importing import import_features
from eri.features.store import identity_of
from eri.media.state import State
from eri.utils.errors import ConfigError, DataError, StoreError
from tests.factories.challenge import make_entries, write_muse
from tests.factories.organisers import IDS, NAMES, csv_text, make_table, make_values, stored, visible, write_csvs


@pytest.mark.parametrize("place", ["FAUs", "faus", "feats", "."])
@pytest.mark.parametrize("name", ["faus", "FAUs"])
def test_the_organisers_folder_is_found_by_its_name_in_any_case(tmp_path, name, place):
    entries = make_entries(4, 2, 2)
    home = write_muse(tmp_path / "data", entries)
    values = make_values([entry.id for entry in entries][:7])
    folder = write_csvs(home / "feats" / ("FAUs" if place == "FAUs" else "faus"), values)
    table = load_clips(tmp_path / "data")
    source = {"feats": home / "feats", ".": tmp_path / "data"}.get(place, folder)
    report = import_features(table, source, tmp_path / "features", name=name)
    assert (report.name, report.modality, report.times) == ("FAUs", "visual", "ms")
    assert (report.added, report.already, report.absent, report.dimension, report.masked) == (7, 0, 1, 3, 0)
    found = stored(tmp_path / "features")
    assert found.path == report.folder
    assert visible(tmp_path / "features") == [found.path.name]
    for clip_id, expected in values.items():
        sequence = found.read(clip_id)
        np.testing.assert_array_equal(sequence.embeddings, expected)
        np.testing.assert_array_equal(sequence.times, np.arange(len(expected)) * 0.5)
        assert sequence.mask.all()


def test_the_name_is_that_of_the_folder_unless_it_is_stated(tmp_path, table):
    folder = write_csvs(tmp_path / "egemaps", make_values(IDS))
    assert import_features(table, folder, tmp_path / "features").name == "eGeMAPS"
    report = import_features(table, folder, tmp_path / "features", name="mine", modality="visual")
    assert (report.name, report.modality) == ("mine", "visual")
    assert len(visible(tmp_path / "features")) == 2


def test_an_unknown_name_needs_a_modality(tmp_path, table):
    folder = write_csvs(tmp_path / "mine", make_values(IDS))
    with pytest.raises(ConfigError, match=r"(?s)features 'mine' are visual or audio.*--modality"):
        import_features(table, folder, tmp_path / "features")
    with pytest.raises(ConfigError, match="no name for features"):
        import_features(table, folder, tmp_path / "features", name="a b")


def test_a_config_finds_them_with_and_without_their_dimension(tmp_path, table):
    import_features(table, write_csvs(tmp_path / "FAUs", make_values(IDS)), tmp_path / "features")
    found = stored(tmp_path / "features")
    assert stored(tmp_path / "features", ImportedConfig(name="faus", modality="visual", dimension=3)).path == found.path
    with pytest.raises(StoreError, match=r"(?s)no imported visual features 'FAUs' with 4 dim.*eri features import"):
        stored(tmp_path / "features", ImportedConfig(name="faus", modality="visual", dimension=4))
    with pytest.raises(StoreError, match="no imported audio features 'FAUs'"):
        stored(tmp_path / "features", ImportedConfig(name="faus", modality="audio"))


def test_the_identity_says_where_they_are_from_and_what_the_columns_are(tmp_path, table):
    report = import_features(table, write_csvs(tmp_path / "FAUs", make_values(IDS)), tmp_path / "features")
    identity = identity_of(stored(tmp_path / "features"))
    assert len(identity.pop("source")) == 64
    assert identity == {
        "extractor": "imported",
        "format": 1,
        "name": "FAUs",
        "modality": "visual",
        "data_set": "hume-reaction",
        "times": "ms",
        "missing": "refuse",
        "dimension": 3,
        "columns": list(NAMES),
    }
    record = stored(tmp_path / "features").read_record("00003")
    assert record.source.name == "FAUs/00003.csv"
    assert report.rows == sum(len(value) for value in make_values(IDS).values())


@pytest.mark.parametrize(
    ("step", "stated", "unit", "second"),
    [
        (500, None, "ms", 0.5),
        (0.5, None, "s", 0.5),
        (20, None, "ms", 0.02),
        (1, None, "s", 1.0),
        (20, "s", "s", 20.0),
        (0.5, "ms", "ms", 0.0005),
    ],
)
def test_the_unit_of_times_is_found_out_or_stated(tmp_path, table, step, stated, unit, second):
    folder = write_csvs(tmp_path / "FAUs", make_values(IDS), step=step)
    assert import_features(table, folder, tmp_path / "features", time_unit=stated).times == unit
    assert stored(tmp_path / "features").read("00001").times.tolist() == [0.0, second]


def test_a_unit_that_cannot_be_found_out_must_be_stated(tmp_path, table):
    folder = tmp_path / "FAUs"
    folder.mkdir()
    (folder / "00000.csv").write_text("File_ID,timestamp,a\n0,250,1\n")
    with pytest.raises(DataError, match=r"(?s)not known whether.*--time-unit"):
        import_features(table, folder, tmp_path / "features")
    import_features(table, folder, tmp_path / "features", time_unit="ms")
    assert stored(tmp_path / "features").read("00000").times.tolist() == [0.25]


def test_a_clip_in_another_unit_than_the_first_ones_is_refused(tmp_path):
    table = make_table(tmp_path, 120)
    values = {clip.id: np.ones((3, 3), np.float32) for clip in table}
    folder = write_csvs(tmp_path / "FAUs", values)
    (folder / "00119.csv").write_text(csv_text("00119", values["00119"], step=0.5))
    with pytest.raises(DataError, match=r"00119\.csv: the times of clip 00119 do not look like ms"):
        import_features(table, folder, tmp_path / "features")
    assert visible(tmp_path / "features") == []
    import_features(table, folder, tmp_path / "features", time_unit="ms")


def test_rows_with_missing_numbers_may_be_masked(tmp_path, table):
    folder = tmp_path / "FAUs"
    folder.mkdir()
    (folder / "00000.csv").write_text("File_ID,timestamp,a,b\n0,0,1,2\n0,500,,nan\n0,1000,3,\n0,1500,5,6\n")
    report = import_features(table, folder, tmp_path / "features", missing="mask")
    assert (report.rows, report.masked) == (4, 2)
    sequence = stored(tmp_path / "features").read("00000")
    assert sequence.embeddings.tolist() == [[1, 2], [0, 0], [0, 0], [5, 6]]
    assert sequence.states.tolist() == [State.VALID, State.NO_FACE, State.NO_FACE, State.VALID]
    import_features(table, folder, tmp_path / "features", missing="mask", name="heard", modality="audio")
    heard = stored(tmp_path / "features", ImportedConfig(name="heard", modality="audio"))
    assert heard.read("00000").states.tolist()[1] == State.NO_AUDIO


def one(text: str, clip_id: str = "00001") -> dict[str, str]:
    return {f"{clip_id}.csv": text}


HEADER = "File_ID,timestamp,AU01,AU02,AU04\n"
GOOD = f"{HEADER}[00001],0,1,2,3\n[00001],500,1,2,3\n"


@pytest.mark.parametrize(
    ("files", "parts"),
    [
        (one(GOOD.replace("500,1,2,3", "500,1,nan,3")), ["00001.csv, line 3: AU02 has no number", "1 of its 2 rows"]),
        (one(GOOD.replace("500,1,2,3", "500,1,,")), ["line 3: AU02, AU04 have no number", "--missing mask"]),
        (one(GOOD.replace("500,1,2,3", "500,1,inf,3")), ["00001.csv, line 3: AU02 is inf"]),
        (one(GOOD.replace("500,1,2,3", "500,1,1e39,3")), ["line 3: AU02 is 1e+39, beyond what a 32-bit"]),
        (one(GOOD.replace("500,1,2,3", "500,1,high,3")), ["line 3: AU02 is 'high', which is no number"]),
        (one(GOOD.replace("500,1,2,3", "500,1,1_0,3")), ["line 3: AU02 is '1_0', which is no number"]),
        (one(GOOD.replace("500,1,2,3", "500,1,١,3")), ["line 3: AU02 is '١', which is no number"]),
        (one(GOOD.replace("500,1,2,3", "500,1,2")), ["line 3: 4 cells, the header has 5"]),
        (one(GOOD.replace("500,1,2,3", "500,1,2,3,4")), ["line 3: 6 cells, the header has 5"]),
        (one(GOOD.replace("500,", "-500,")), ["line 3: the time of clip 00001 goes back"]),
        (one(GOOD.replace("500,", "soon,")), ["line 3: the time of clip 00001 is no number"]),
        (one(GOOD.replace("[00001],500", "[00002],500")), ["line 3: the row is of clip 00002, the file's name says"]),
        (one(GOOD.replace("[00001],500", "x,500")), ["line 3: id 'x' is not a number of at most 5 digits"]),
        (one(GOOD.replace("AU04", "AU05")), ["feature 3 of clip 00001 is 'AU05', that of clip 00000 is 'AU04'"]),
        (one(GOOD.replace("AU04", "AU01")), ["00001.csv, line 1: column 'AU01' is duplicated"]),
        (one("File_ID,timestamp,a\n1,0,1\n"), ["clip 00001 has 1 features, clip 00000 has 3"]),
        (one("File_ID,timestamp\n1,0\n"), ["line 1: the header begins 'File_ID,timestamp'"]),
        (one("File_ID,AU01,AU02\n1,0,1\n"), ["the header begins 'File_ID,AU01,AU02'", "docs/features.md"]),
        (one(GOOD.replace(",", ";")), ["line 1: cells are separated by semicolons"]),
        (one(HEADER), ["00001.csv: has a header but no rows"]),
        (one(""), ["00001.csv: the file is empty"]),
        (one("\n \n"), ["00001.csv: the file is empty"]),
        (one(GOOD.replace("500,1,2,3", '500,"1,2,3')), ["00001.csv, line 3"]),
        (one(GOOD, "1"), ["clip 00001 has another file already"]),
        (one(GOOD, "00006") | one(GOOD, "mean"), ["2 id(s) of no clip of hume-reaction: 00006, mean"]),
        ({"00001.pkl": "x"}, ["holds both .csv and .pkl"]),
    ],
)
def test_bad_files_are_refused_by_name_and_nothing_is_kept(tmp_path, table, files, parts):
    folder = write_csvs(tmp_path / "FAUs", make_values(IDS))
    for name, text in files.items():
        (folder / name).write_text(text)
    with pytest.raises(DataError) as caught:
        import_features(table, folder, tmp_path / "features")
    for part in parts:
        assert part in str(caught.value)
    assert caught.value.hint
    assert not (tmp_path / "features").exists() or visible(tmp_path / "features") == []


@pytest.mark.parametrize(
    "rewrite",
    [
        lambda text: "\ufeff" + text,
        lambda text: text.replace("\n", "\r\n"),
        lambda text: text.replace("AU01", '"AU01"'),
        lambda text: text + "\n\n",
        lambda text: text.replace("[", "").replace("]", ""),
        lambda text: text.replace("[0000", "").replace("]", ""),
        lambda text: text.replace(",1", ", 1"),
    ],
    ids=["bom", "crlf", "quoted", "blank-lines", "bare-ids", "ints", "spaces"],
)
def test_harmless_differences_change_nothing(tmp_path, table, rewrite):
    folder = write_csvs(tmp_path / "FAUs", make_values(IDS))
    (folder / "00001.csv").write_text(rewrite(GOOD), newline="")
    (folder / ".00009.csv").touch()
    (folder / "readme.txt").touch()
    import_features(table, folder, tmp_path / "features")
    assert stored(tmp_path / "features").read("00001").embeddings.tolist() == [[1, 2, 3]] * 2


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda path: None, "no such file or folder"),
        (lambda path: path.mkdir(), r"no feature files \(\.csv or \.pkl\)"),
        (lambda path: (path / "DeepSpectrum").mkdir(parents=True), r"(?s)no feature files.*--name: DeepSpectrum"),
        (lambda path: (path / "feats" / "FAUs").mkdir(parents=True), r"(?s)no feature files.*FAUs"),
        (lambda path: path.write_text("x"), r"no Parquet table by its suffix"),
    ],
)
def test_a_source_that_is_none_says_what_to_give(tmp_path, table, make, message):
    make(tmp_path / "source")
    with pytest.raises(DataError, match=message):
        import_features(table, tmp_path / "source", tmp_path / "features", modality="visual")


def test_a_name_that_is_no_folder_lists_those_there_are(tmp_path, table):
    write_csvs(tmp_path / "feats" / "DeepSpectrum", make_values(IDS))
    with pytest.raises(DataError, match=r"(?s)no folder 'FAUs'.*DeepSpectrum"):
        import_features(table, tmp_path, tmp_path / "features", name="FAUs")


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    content=st.binary(max_size=200)
    | st.text(alphabet='01.,;"\n\r\t[]e-n ', max_size=200).map(lambda text: (HEADER + text).encode())
)
def test_any_content_is_read_or_refused(tmp_path, table, content):
    folder = tmp_path / "FAUs"
    folder.mkdir(exist_ok=True)
    (folder / "00001.csv").write_bytes(content)
    shutil.rmtree(tmp_path / "features", ignore_errors=True)
    try:
        import_features(table, folder, tmp_path / "features")
    except DataError:
        assert not list((tmp_path / "features").glob("[!.]*"))
    else:
        assert stored(tmp_path / "features").read("00001").embeddings.shape[1] == 3


def test_the_same_again_does_nothing_and_more_clips_are_added(tmp_path, table):
    folder = write_csvs(tmp_path / "FAUs", make_values(IDS[:3]))
    first = import_features(table, folder, tmp_path / "features")
    stamps = {path.name: path.stat().st_mtime_ns for path in first.folder.glob("*.safetensors")}
    again = import_features(table, folder, tmp_path / "features")
    assert (again.folder, again.added, again.already, again.rows) == (first.folder, 0, 3, 0)
    write_csvs(tmp_path / "more" / "FAUs", make_values(IDS[3:], seed=1))
    more = import_features(table, tmp_path / "more" / "FAUs", tmp_path / "features")
    assert (more.folder, more.added, more.already, more.absent) == (first.folder, 2, 0, 1)
    assert {name: (first.folder / name).stat().st_mtime_ns for name in stamps} == stamps
    assert visible(tmp_path / "features") == [first.folder.name]


def test_a_bad_file_among_more_clips_adds_none_of_them(tmp_path, table):
    folder = write_csvs(tmp_path / "FAUs", make_values(IDS[:2]))
    first = import_features(table, folder, tmp_path / "features")
    before = visible(first.folder)
    write_csvs(folder, make_values(IDS))
    (folder / "00004.csv").write_text(HEADER)
    with pytest.raises(DataError, match=r"00004\.csv: has a header but no rows"):
        import_features(table, folder, tmp_path / "features")
    assert visible(first.folder) == before


def test_a_clip_that_changed_makes_a_folder_of_its_own(tmp_path, table, caplog):
    folder = write_csvs(tmp_path / "FAUs", make_values(IDS))
    first = import_features(table, folder, tmp_path / "features")
    write_csvs(folder, make_values(["00004"], seed=7))
    second = import_features(table, folder, tmp_path / "features")
    assert second.folder != first.folder
    assert (second.added, second.already) == (5, 0)
    with caplog.at_level(logging.WARNING):
        assert stored(tmp_path / "features").path == second.folder
    assert "2 feature folders" in caplog.text


def test_a_feature_file_that_was_damaged_is_put_back(tmp_path, table):
    folder = write_csvs(tmp_path / "FAUs", make_values(IDS))
    first = import_features(table, folder, tmp_path / "features")
    (first.folder / "00002.safetensors").write_bytes(b"damaged")
    (first.folder / "00003.safetensors").unlink()
    again = import_features(table, folder, tmp_path / "features")
    assert (again.folder, again.added, again.already) == (first.folder, 2, 3)
    np.testing.assert_array_equal(stored(tmp_path / "features").read("00002").embeddings, make_values(IDS)["00002"])


def test_what_a_killed_import_left_is_swept(tmp_path, table):
    left = tmp_path / "features" / ".import-123.abcdef01.tmp" / "FAUs-000000000000"
    left.mkdir(parents=True)
    (left / "00000.safetensors").touch()
    import_features(table, write_csvs(tmp_path / "FAUs", make_values(IDS)), tmp_path / "features")
    assert not left.exists()


def test_a_store_that_cannot_be_written_is_named(tmp_path, table):
    (tmp_path / "features").write_text("a file")
    with pytest.raises(StoreError, match="features: the feature folder cannot be"):
        import_features(table, write_csvs(tmp_path / "FAUs", make_values(IDS)), tmp_path / "features")
