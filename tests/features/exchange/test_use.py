"""What training and extraction make of imported features."""

import logging
from pathlib import Path

import pytest

from eri.config import ExperimentConfig, ImportedConfig, load_config, parse_config
from eri.data import ClipTable, load_clips
from eri.extraction.extractors.registry import create_extractor
from eri.extraction.run import extract
from eri.features.exchange.importing import import_features
from eri.features.packing import pack
from eri.features.sources import clip_sources
from eri.features.store import find_folder
from eri.training import train
from eri.utils.errors import ConfigError, StoreError
from tests.factories.challenge import make_entries, touch, write_muse
from tests.factories.organisers import FAUS, make_table, make_values, stored, write_csvs


@pytest.fixture
def muse(tmp_path: Path) -> ClipTable:
    entries = make_entries(12, 8, 3, seed=1)
    home = write_muse(tmp_path / "data", entries, faces=touch)
    write_csvs(home / "feats" / "FAUs", make_values([entry.id for entry in entries][:-1]))
    table = load_clips(tmp_path / "data")
    import_features(table, tmp_path / "data", tmp_path / "features", name="FAUs")
    return table


def test_they_are_packed_although_the_data_sets_own_files_are_others(tmp_path, muse):
    sources = clip_sources(muse, "visual")
    assert all(sources.values())
    packed = pack(stored(tmp_path / "features"), [clip.id for clip in muse], sources=sources)
    assert len(packed.clip_ids) == len(muse) - 1 == 22


def test_features_of_another_data_set_are_not_taken_for_this_ones(tmp_path, muse):
    other = make_table(tmp_path / "other", 20, name="other")
    with pytest.raises(StoreError, match="no imported visual features 'FAUs' of the data set 'other'"):
        train(system(), other, tmp_path / "features", tmp_path / "runs")
    folder = write_csvs(tmp_path / "theirs" / "FAUs", make_values([clip.id for clip in other]))
    report = import_features(other, folder, tmp_path / "features")
    assert find_folder(tmp_path / "features", FAUS, "other").path == report.folder
    assert find_folder(tmp_path / "features", FAUS, muse.name).path != report.folder


def test_extraction_says_that_they_are_imported(tmp_path, muse, caplog):
    with caplog.at_level(logging.WARNING):
        report = extract(muse, [FAUS], tmp_path / "features")
    assert "'FAUs' are imported features, so nothing is extracted: 22 of 23 clips have them" in caplog.text
    assert report.exit_code == 0
    (part,) = report.extractors
    assert (part.extractor, part.modality, part.complete, part.computed, part.failures) == (
        "FAUs",
        "visual",
        22,
        0,
        (),
    )


def test_extraction_of_what_was_never_imported_says_what_to_run(tmp_path, muse):
    with pytest.raises(StoreError, match="eri features import"):
        extract(muse, [ImportedConfig(name="VGGFace2", modality="visual")], tmp_path / "features")


def test_no_extractor_is_made_of_them():
    with pytest.raises(ConfigError, match="no model computes them"):
        create_extractor(FAUS)


def system() -> ExperimentConfig:
    return parse_config(
        {
            "name": "tiny",
            "modality": "visual",
            "visual": {"extractor": "imported", "name": "FAUs", "modality": "visual"},
            "model": {"name": "lstm", "hidden_size": 4, "dense": 4},
            "training": {"epochs": 1, "batch_size": 8},
        }
    )


@pytest.mark.parametrize(
    ("config", "section", "name"),
    [("abaw-visual-baseline", "visual", "VGGFace2"), ("abaw-audio-baseline", "audio", "DeepSpectrum")],
)
def test_a_baseline_runs_on_the_organisers_own_features(tmp_path, config, section, name):
    entries = make_entries(12, 8, 3, seed=1)
    home = write_muse(tmp_path / "data", entries, faces=touch)
    write_csvs(home / "feats" / name.lower(), make_values([entry.id for entry in entries]))
    table = load_clips(tmp_path / "data")
    import_features(table, tmp_path / "data", tmp_path / "features", name=name)
    imported = f"{section}={{extractor: imported, modality: {section}, name: {name}}}"
    run = train(load_config(config, [imported, "training.epochs=1"]), table, tmp_path / "features", tmp_path / "runs")
    assert (run / "best.safetensors").is_file()
