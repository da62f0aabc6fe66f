"""Rates: left beside the features, merged, read again, and measured on a sample."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from eri.config import ImportedConfig, Runtime
from eri.extraction.planning import choose_rates, group_rates, measure_rates, plan_extraction, stored_rates
from eri.extraction.rates import NAME, encode_rates, read_rates
from eri.extraction.run import extract
from eri.features.store import find_folder
from eri.utils.errors import ConfigError, DataError
from tests.extraction.test_planning import rates_of
from tests.factories.extractors import fake_config, fake_extractors, fake_table

CLIPS = {f"{number:03d}": f"ok {number}" for number in range(30)}


def extract_fakes(tmp_path: Path, count: int, workers: int = 0):
    table = fake_table(tmp_path / "data", dict(list(CLIPS.items())[:count]))
    runtime = Runtime(workers=workers)
    return extract(table, [fake_config()], tmp_path / "features", runtime, create=fake_extractors(delay=0.01))


def test_an_extraction_leaves_what_its_clips_took(tmp_path):
    report = extract_fakes(tmp_path, 10).extractors[0]
    ((rates,),) = stored_rates(tmp_path / "features", [fake_config()])
    assert rates == report.rates
    assert (rates.extractor, rates.modality, rates.device, rates.workers) == ("fake", "visual", "cpu", 0)
    assert (rates.clips, rates.runs) == (10, 1)
    assert rates.media_seconds == pytest.approx(25.0)
    assert rates.media_bytes == sum(path.stat().st_size for path in (tmp_path / "data").iterdir())
    assert rates.feature_bytes == sum(path.stat().st_size for path in report.folder.glob("*.safetensors"))
    assert rates.decode >= 10 * 0.01
    assert 0 < rates.startup < rates.seconds <= report.seconds
    assert rates.cores >= 1
    assert rates.processor


@pytest.mark.slow
def test_runs_of_one_setting_add_up_and_others_stand_beside(tmp_path):
    extract_fakes(tmp_path, 10)
    assert extract_fakes(tmp_path, 10).extractors[0].rates is None
    extract_fakes(tmp_path, 20)
    ((rates,),) = stored_rates(tmp_path / "features", [fake_config()])
    assert (rates.clips, rates.runs) == (20, 2)
    extract_fakes(tmp_path, 30, workers=2)
    ((first, second),) = stored_rates(tmp_path / "features", [fake_config()])
    assert (first.workers, first.clips, second.workers, second.clips) == (0, 20, 2, 10)
    assert second.busy > 0


def test_a_plan_for_the_clips_extracted_is_what_they_took(tmp_path):
    report = extract_fakes(tmp_path, 30).extractors[0]
    assert report.rates is not None
    planned = plan_extraction([report.rates], 30).hours * 3600
    # The start may be counted twice where the first clips took longer than the others.
    assert report.rates.seconds <= planned * 1.001 <= (report.rates.seconds + report.rates.startup) * 1.01


@pytest.mark.parametrize("text", ["", "[]", '{"format": "other", "measured": []}', '{"format": "eri-rates-1"}'])
def test_files_without_rates_are_refused(tmp_path, text):
    (tmp_path / NAME).write_text(text)
    with pytest.raises(DataError, match=NAME):
        read_rates(tmp_path / NAME)
    with pytest.raises(DataError):
        read_rates(tmp_path / "missing.json")


def test_rates_of_another_version_are_passed_over(tmp_path):
    values = encode_rates([rates_of()])
    values["measured"] += [{"clips": 3}, {**values["measured"][0], "clips": 0}, {**values["measured"][0], "model": -1}]
    (tmp_path / NAME).write_text(json.dumps(values))
    assert read_rates(tmp_path / NAME) == [rates_of()]


def test_a_spoilt_file_costs_no_extraction(tmp_path):
    extract_fakes(tmp_path, 10)
    path = find_folder(tmp_path / "features", fake_config()).path / NAME
    path.write_text("{")
    assert extract_fakes(tmp_path, 20).exit_code == 0


def test_a_sample_is_measured_and_nothing_is_left(tmp_path):
    table = fake_table(tmp_path / "data", CLIPS)
    log = tmp_path / "log"
    (rates,) = measure_rates(table, [fake_config()], Runtime(workers=0), sample=7, create=fake_extractors(log))
    assert rates.clips == 7
    assert len(log.read_text().splitlines()) == 7
    assert sorted(path.name for path in tmp_path.iterdir()) == ["data", "log"]


def test_a_sample_of_which_nothing_can_be_extracted_says_why(tmp_path):
    table = fake_table(tmp_path / "data", {"a": "truncated"})
    with pytest.raises(DataError, match="ends too early"):
        measure_rates(table, [fake_config()], Runtime(workers=0), create=fake_extractors())


def test_rates_are_chosen_by_device_and_workers():
    few, many = rates_of(workers=1, clips=10), rates_of(workers=4, clips=500)
    cpu = rates_of(device="cpu")
    assert choose_rates([[few, many, cpu]], "cuda") == [many]
    assert choose_rates([[few, many, cpu]], "cuda:1", workers=1) == [few]
    assert choose_rates([[few, cpu]], "cpu") == [cpu]
    other = replace(rates_of(), extractor="wav2vec2")
    assert group_rates([few, other, many]) == [[few, many], [other]]
    assert choose_rates([[few], [other]], "cuda") == [few, other]
    with pytest.raises(ConfigError, match=r"(?s)not measured on a CPU.*--measure DATA"):
        choose_rates([[cpu], [other]], "cpu")
    with pytest.raises(ConfigError, match="no device"):
        choose_rates([[few]], "tpu")


def test_what_was_not_measured_is_told_and_imported_features_take_nothing(tmp_path):
    extract_fakes(tmp_path, 10)
    imported = ImportedConfig(name="FAUs", modality="visual")
    assert len(stored_rates(tmp_path / "features", [fake_config(), imported])) == 1
    with pytest.raises(ConfigError, match="visual features 'fake' was never measured"):
        stored_rates(tmp_path / "features", [fake_config(), fake_config(6)])
