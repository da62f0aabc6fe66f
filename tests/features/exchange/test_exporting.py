"""Exporting: what others find in the files, and that importing them again gives the same features."""

from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from eri.features.exchange.exporting import export_features
from eri.features.exchange.importing import import_features
from eri.features.folder import FeatureFolder
from eri.features.records import FeatureSequence
from eri.features.sources import Source
from eri.features.store import FeatureStore, find_folder, identity_of, list_features
from eri.media.state import State
from eri.utils.errors import DataError, StoreError
from tests.factories.organisers import FAUS, IDS, NAMES, make_table, make_values, write_csvs, write_pickles
from tests.factories.store import feature_sequence

few = settings(max_examples=8, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
FORMATS = pytest.mark.parametrize(("kind", "unit"), [("csv", "ms"), ("csv", "s"), ("parquet", "ms")])


def put(features: Path, sequences: dict[str, FeatureSequence], **identity: object) -> FeatureFolder:
    folder = FeatureStore(features).folder("resnet18", {"extractor": "resnet18", **identity})
    for clip_id, sequence in sequences.items():
        folder.write(clip_id, sequence, Source(f"{clip_id}.mp4", size=1, mtime_ns=1, sha256="00"))
    return folder


def same(one: FeatureSequence, other: FeatureSequence) -> None:
    np.testing.assert_array_equal(one.embeddings, other.embeddings)
    np.testing.assert_array_equal(one.times, other.times)
    np.testing.assert_array_equal(one.states, other.states)


@FORMATS
@few
@given(data=st.data())
def test_what_was_exported_is_imported_bit_for_bit(tmp_path_factory, kind, unit, data):
    home = tmp_path_factory.mktemp("trip")
    width = data.draw(st.integers(1, 4))
    finite = st.floats(width=32, allow_nan=False, allow_infinity=False)
    sequences = {}
    for clip_id in data.draw(st.lists(st.sampled_from(IDS), min_size=1, unique=True)):
        rows = data.draw(st.integers(1, 5))
        embeddings = data.draw(arrays(np.float32, (rows, width), elements=finite))
        times = np.sort(data.draw(arrays(np.float64, rows, elements=st.floats(0, 1e4))))
        states = data.draw(arrays(np.uint8, rows, elements=st.sampled_from([State.VALID, State.NO_FACE])))
        embeddings[states != State.VALID] = 0
        sequences[clip_id] = FeatureSequence(embeddings, times, states)
    put(home / "one", sequences)
    target = home / ("out.parquet" if kind == "parquet" else "out")
    report = export_features(home / "one", "resnet18", target, format=kind, time_unit=unit)
    assert (report.clips, report.rows) == (len(sequences), sum(len(part.times) for part in sequences.values()))
    import_features(
        make_table(home),
        target,
        home / "two",
        name="FAUs",
        missing="mask",
        time_unit=None if kind == "parquet" else unit,
    )
    back = find_folder(home / "two", FAUS)
    for clip_id, sequence in sequences.items():
        same(back.read(clip_id), sequence)


@FORMATS
@few
@given(data=st.data())
def test_the_organisers_files_come_through_import_export_and_import(tmp_path_factory, kind, unit, data):
    home = tmp_path_factory.mktemp("trip")
    table = make_table(home)
    values = make_values(
        data.draw(st.lists(st.sampled_from(IDS), min_size=2, unique=True)), seed=data.draw(st.integers(0, 99))
    )
    step = data.draw(st.sampled_from([500, 333, 40]))
    first = import_features(table, write_csvs(home / "FAUs", values, step=step), home / "one", time_unit="ms")
    target = home / ("FAUs.parquet" if kind == "parquet" else "out/FAUs")
    export_features(home / "one", first.folder.name, target, format=kind, time_unit=unit)
    stated = None if kind == "parquet" else unit
    second = import_features(table, target, home / "two", name="FAUs", time_unit=stated)
    one, two = find_folder(home / "one", FAUS), find_folder(home / "two", FAUS)
    for clip_id in values:
        same(one.read(clip_id), two.read(clip_id))
    assert identity_of(one)["columns"] == identity_of(two)["columns"] == list(NAMES)
    assert (second.rows, second.dimension) == (first.rows, first.dimension)


def test_the_folder_is_as_muse_distributes_it(tmp_path):
    embeddings = np.array([[0.5, -1], [0, 0], [1e-8, 3]], np.float32)
    states = np.array([0, State.NO_FACE, 0], np.uint8)
    put(tmp_path, {"00042": FeatureSequence(embeddings, np.array([0.0, 0.04, 1.5]), states)})
    export_features(tmp_path, "resnet18", tmp_path / "out")
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["00042.csv"]
    assert (tmp_path / "out" / "00042.csv").read_text() == (
        "File_ID,timestamp,resnet18_0,resnet18_1\n00042,0,0.5,-1\n00042,40,,\n00042,1500,9.99999994e-09,3\n"
    )


def test_the_table_reads_like_any_other(tmp_path):
    sequences = {clip_id: feature_sequence(3, 2, seed=seed) for seed, clip_id in enumerate(IDS)}
    put(tmp_path, sequences)
    export_features(tmp_path, "resnet18", tmp_path / "all.parquet")
    frame = pd.read_parquet(tmp_path / "all.parquet")
    assert list(frame.columns) == ["clip_id", "time", "resnet18_0", "resnet18_1"]
    assert frame.dtypes.astype(str).tolist()[1:] == ["float64", "float32", "float32"]
    np.testing.assert_array_equal(
        frame.loc[frame["clip_id"] == "00002", ["resnet18_0", "resnet18_1"]], sequences["00002"].embeddings
    )


def test_a_large_table_is_written_in_groups(tmp_path):
    put(tmp_path, {f"{number:05d}": feature_sequence(900, 2, seed=number) for number in range(10)})
    report = export_features(tmp_path, "resnet18", tmp_path / "all.parquet")
    assert report.rows == 9000
    file = pq.ParquetFile(tmp_path / "all.parquet")
    assert file.metadata.num_row_groups == 2
    import_features(make_table(tmp_path, 10), tmp_path / "all.parquet", tmp_path / "two", name="FAUs")
    same(find_folder(tmp_path / "two", FAUS).read("00009"), feature_sequence(900, 2, seed=9))


def test_some_clips_can_be_chosen_and_progress_is_reported(tmp_path):
    put(tmp_path, {clip_id: feature_sequence() for clip_id in IDS})
    told: list[tuple[int, int]] = []
    report = export_features(
        tmp_path, "resnet18", tmp_path / "out", clip_ids=IDS[1:3], on_progress=lambda *pair: told.append(pair)
    )
    assert sorted(path.stem for path in report.target.iterdir()) == IDS[1:3]
    assert told == [(1, 2), (2, 2)]


class TestRefusals:
    def test_a_target_that_is_there_is_left_alone(self, tmp_path):
        put(tmp_path, {"00000": feature_sequence()})
        (tmp_path / "out").mkdir()
        with pytest.raises(DataError, match="out: is already there"):
            export_features(tmp_path, "resnet18", tmp_path / "out")

    def test_an_unknown_name_lists_what_is_there(self, tmp_path):
        put(tmp_path, {"00000": feature_sequence()})
        with pytest.raises(StoreError, match=r"(?s)no features are called 'vgg16'.*resnet18-"):
            export_features(tmp_path, "vgg16", tmp_path / "out")
        with pytest.raises(StoreError, match=r"(?s)no features are called.*It is empty"):
            export_features(tmp_path / "none", "vgg16", tmp_path / "out")

    def test_a_name_of_two_folders_needs_the_digits(self, tmp_path):
        one, _ = (put(tmp_path, {"00000": feature_sequence(seed=seed)}, seed=seed) for seed in (1, 2))
        with pytest.raises(StoreError, match=f"(?s)2 feature folders are called 'resnet18'.*{one.path.name}"):
            export_features(tmp_path, "resnet18", tmp_path / "out")
        export_features(tmp_path, one.path.name, tmp_path / "out")

    def test_an_altered_identity_is_not_exported(self, tmp_path):
        folder = put(tmp_path, {"00000": feature_sequence()})
        (folder.path / "identity.json").write_text("{}")
        with pytest.raises(StoreError, match=r"identity\.json: missing or altered"):
            export_features(tmp_path, "resnet18", tmp_path / "out")

    @pytest.mark.parametrize("target", ["out", "out.parquet"])
    def test_a_damaged_feature_file_leaves_nothing_half_written(self, tmp_path, target):
        folder = put(tmp_path / "store", {clip_id: feature_sequence() for clip_id in IDS})
        folder.feature_path("00002").write_bytes(b"damaged")
        with pytest.raises(StoreError, match=r"00002\.safetensors: not a whole feature file"):
            export_features(tmp_path / "store", "resnet18", tmp_path / target)
        assert [path.name for path in tmp_path.iterdir()] == ["store"]

    def test_clips_without_features_and_empty_folders_are_named(self, tmp_path):
        put(tmp_path, {})
        with pytest.raises(StoreError, match="holds no features"):
            export_features(tmp_path, "resnet18", tmp_path / "out")
        with pytest.raises(DataError, match=r"1 clip\(s\) without features, the first '00009'"):
            export_features(tmp_path, "resnet18", tmp_path / "out", clip_ids=["00009"])

    def test_names_that_a_table_cannot_hold_are_refused(self, tmp_path):
        table = make_table(tmp_path)
        frame = pd.DataFrame({"id": ["0"], "time": [0.0], "a,b": [1.0], "clip_id": [1.0]})
        frame.to_parquet(tmp_path / "odd.parquet")
        import_features(table, tmp_path / "odd.parquet", tmp_path / "s", modality="visual", id_column="id")
        with pytest.raises(DataError, match="feature 'a,b' has a name that a CSV"):
            export_features(tmp_path / "s", "odd", tmp_path / "out")
        with pytest.raises(DataError, match="a feature is called 'clip_id'"):
            export_features(tmp_path / "s", "odd", tmp_path / "out.parquet")
        assert sorted(path.name for path in tmp_path.iterdir()) == ["odd.parquet", "s"]

    def test_a_place_that_cannot_be_written_is_named(self, tmp_path):
        put(tmp_path / "store", {"00000": feature_sequence()})
        (tmp_path / "file").touch()
        for target in ("file/out", "file/out.parquet"):
            with pytest.raises(DataError, match="cannot be written"):
                export_features(tmp_path / "store", "resnet18", tmp_path / target)


def test_a_store_is_listed(tmp_path):
    assert list_features(tmp_path / "none").empty
    table = make_table(tmp_path)
    import_features(table, write_csvs(tmp_path / "faus", make_values(IDS)), tmp_path / "store")
    import_features(table, write_pickles(tmp_path / "vit", {"00000": np.zeros((2, 5))}), tmp_path / "store")
    put(tmp_path / "store", {"00001": feature_sequence(3, 7)})
    listings = list_features(tmp_path / "store")
    assert listings[["modality", "data_set"]].fillna("").to_numpy().tolist() == [
        ["visual", "hume-reaction"],
        ["", ""],
        ["visual", "hume-reaction"],
    ]
    assert listings[["clips", "dimension", "rows"]].to_numpy().tolist() == [[5, 3, 11], [1, 7, 3], [1, 5, 2]]
    assert listings["size"].iloc[0] == sum(
        path.stat().st_size for path in (tmp_path / "store" / listings.index[0]).glob("*.safetensors")
    )
