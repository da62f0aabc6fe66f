"""Shards: disjoint parts that cover everything, in any order, twice, and at once."""

from __future__ import annotations

import json
import math
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from eri.config import Runtime
from eri.extraction.report import Shard, read_failures
from eri.extraction.run import extract
from eri.features.store import find_folder
from eri.utils.errors import ConfigError
from tests.factories.comparing import assert_nothing_left, assert_same_features
from tests.factories.extractors import fake_config, fake_extractors, fake_table, logged
from tests.factories.processes import ROOT, begin

CLIPS = [f"{number:05d}" for number in range(24)]
COUNTS = st.integers(1, 40)
IDS = st.lists(st.from_regex(r"[A-Za-z0-9][A-Za-z0-9._\-]{0,20}", fullmatch=True), unique=True, max_size=60)


def shards(count: int) -> list[Shard]:
    return [Shard(number, count) for number in range(1, count + 1)]


@settings(deadline=None)
@given(IDS, COUNTS)
def test_every_clip_is_in_one_shard_and_no_more(ids, count):
    assert all(sum(clip_id in shard for shard in shards(count)) == 1 for clip_id in ids)


@settings(deadline=None)
@given(IDS, IDS, COUNTS)
def test_clips_that_are_added_move_no_other(ids, more, count):
    for shard in shards(count):
        before = {clip_id for clip_id in ids if clip_id in shard}
        after = {clip_id for clip_id in {*ids, *more} if clip_id in shard}
        assert before <= after
        assert after - before <= set(more) - set(ids)


@pytest.mark.slow
@settings(max_examples=25, deadline=None)
@given(st.integers(2, 16), st.sampled_from(["{:05d}", "{:08x}", "clip-{}", "s{}_take_1"]), st.integers(0, 10**6))
def test_shards_are_as_even_as_a_fair_draw(count, pattern, first):
    clips = 2000
    sizes = Counter(
        next(shard.number for shard in shards(count) if pattern.format(number) in shard)
        for number in range(first, first + clips)
    )
    expected = clips / count
    assert all(abs(sizes[number] - expected) < 6.5 * math.sqrt(expected) for number in range(1, count + 1))


@settings(deadline=None)
@given(COUNTS, st.data())
def test_a_shard_is_written_as_it_is_read(count, data):
    shard = Shard(data.draw(st.integers(1, count)), count)
    assert Shard.parse(str(shard)) == shard
    assert Shard.parse(f" {shard.number} / {shard.count} ") == shard


@pytest.mark.parametrize("text", ["0/4", "5/4", "1/0", "0/0"])
def test_a_shard_that_is_not_there_is_refused(text):
    with pytest.raises(ConfigError, match=r"(?s)there is no shard.*counted from 1"):
        Shard.parse(text)


@pytest.mark.parametrize("text", ["", "3", "3/", "/8", "a/b", "-1/4", "1.5/4", "1/4/2", "3 of 8", "٣/٨"])
def test_what_is_no_shard_is_refused(text):
    with pytest.raises(ConfigError, match=r"(?s)is no shard.*--shard 3/8"):
        Shard.parse(text)


def extract_shard(tmp_path: Path, text: str | None, name: str = "features") -> tuple[int, int, int]:
    """Extract a shard and return clips asked for, clips computed and the exit code."""
    table = fake_table(tmp_path / "data", {clip_id: f"ok {clip_id}" for clip_id in CLIPS})
    log = tmp_path / f"{name}.log"
    report = extract(
        table,
        [fake_config()],
        tmp_path / name,
        Runtime(workers=0),
        shard=None if text is None else Shard.parse(text),
        create=fake_extractors(log),
    )
    assert str(report.shard) == str(text)
    return report.extractors[0].total, report.extractors[0].computed, report.exit_code


def test_any_order_and_twice(tmp_path):
    extract_shard(tmp_path, None, "calm")
    totals = [extract_shard(tmp_path, text)[0] for text in ("3/3", "1/3", "2/3")]
    assert sum(totals) == len(CLIPS)
    assert Counter(logged(tmp_path / "features.log")) == Counter(CLIPS)
    assert [extract_shard(tmp_path, text)[1] for text in ("1/3", "2/3", "3/3")] == [0, 0, 0]
    assert_same_features(tmp_path / "features", tmp_path / "calm", CLIPS)
    assert_nothing_left(tmp_path / "features")


def test_another_number_of_shards_goes_on_from_what_is_there(tmp_path):
    first = extract_shard(tmp_path, "1/2")[1]
    rest = [extract_shard(tmp_path, f"{number}/5")[1] for number in range(1, 6)]
    assert first + sum(rest) == len(CLIPS)


def test_a_shard_without_clips_is_fine(tmp_path):
    empty = next(str(shard) for shard in shards(200) if not any(clip_id in shard for clip_id in CLIPS))
    assert extract_shard(tmp_path, empty) == (0, 0, 0)


@pytest.mark.slow
def test_two_shards_at_once_leave_one_whole_folder(tmp_path):
    contents = {clip_id: f"ok {clip_id}" for clip_id in CLIPS} | {"00003": "truncated", "00017": "truncated"}
    table = fake_table(tmp_path / "data", contents)
    owners = [next(shard.number for shard in shards(2) if clip_id in shard) for clip_id in ("00003", "00017")]
    script = ROOT / "tests" / "factories" / "extraction_run.py"
    features, log = tmp_path / "features", tmp_path / "log"
    processes = [begin(script, table.root, features, log, 1, 0.02, shard) for shard in shards(2)]
    answers = [json.loads(process.communicate(timeout=120)[0]) for process in processes]
    assert [answer["exit"] for answer in answers] == [3 if number in owners else 0 for number in (1, 2)]
    assert sum(answer["computed"] for answer in answers) == len(CLIPS) - 2
    assert Counter(logged(log)) == Counter(CLIPS)
    folder = find_folder(features, fake_config())
    assert [failure.clip_id for failure in read_failures(folder)] == ["00003", "00017"]
    assert_nothing_left(features)
    extract(table, [fake_config()], tmp_path / "calm", Runtime(workers=0), create=fake_extractors())
    assert_same_features(features, tmp_path / "calm", set(CLIPS) - {"00003", "00017"})
