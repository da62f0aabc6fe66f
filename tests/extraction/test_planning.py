"""Plans: they repeat what was measured, and depart from it as the stages demand."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from eri.extraction.planning import plan_extraction
from eri.extraction.rates import StageRates
from eri.utils.errors import ConfigError

AMOUNT = st.floats(0.01, 1000)


def rates_of(
    *,
    clips: int = 100,
    workers: int = 2,
    decode: float = 100.0,
    faces: float = 20.0,
    model: float = 40.0,
    write: float = 1.0,
    busy: float = 100.0,
    seconds: float = 75.0,
    modality: str = "visual",
    device: str = "a GPU",
) -> StageRates:
    return StageRates(
        "resnet50",
        "audio" if modality == "audio" else "visual",
        "a processor",
        8,
        device,
        workers,
        32,
        False,
        "pyav",
        "1",
        clips=clips,
        runs=1,
        seconds=seconds,
        startup=5.0,
        decode=decode,
        faces=faces,
        model=model,
        write=write,
        busy=busy,
        media_seconds=10.0 * clips,
        media_bytes=10**6 * clips,
        feature_bytes=250_000 * clips,
    )


@settings(deadline=None)
@given(AMOUNT, AMOUNT, AMOUNT, st.floats(1, 5), st.integers(1, 16), st.integers(2, 5000))
def test_a_plan_for_what_was_measured_is_what_it_took(decode, faces, model, loss, workers, clips):
    seconds = loss * max((decode + faces) / workers, model, 1.0, 100 / 8)
    rates = rates_of(decode=decode, faces=faces, model=model, seconds=seconds + 5, workers=workers, clips=clips)
    assert plan_extraction([rates], clips).hours * 3600 == pytest.approx(seconds + 5)
    assert plan_extraction([rates, rates], 10 * clips).hours * 3600 == pytest.approx(2 * (5 + 10 * seconds))


def test_no_pace_is_better_than_the_ideal():
    hasty = rates_of(decode=100.0, faces=20.0, workers=2, seconds=10.0)
    assert plan_extraction([hasty], 100).hours * 3600 == pytest.approx(5 + 60)


@settings(deadline=None)
@given(AMOUNT, AMOUNT, AMOUNT, st.integers(1, 16))
def test_more_never_takes_longer(decode, model, busy, workers):
    rates = rates_of(decode=decode, model=model, busy=busy, workers=workers)
    hours = [plan_extraction([rates], 10_000, workers=count).hours for count in range(1, 17)]
    assert all(later <= earlier * 1.000001 for earlier, later in pairwise(hours))
    few, many = (plan_extraction([rates], 10_000, machines=count, price=3.0) for count in (1, 4))
    assert many.hours < few.hours


@pytest.mark.parametrize(
    ("changes", "bound", "said"),
    [
        ({"decode": 100.0}, "decode", "with 3 workers the model bounds"),
        ({"decode": 10.0, "faces": 90.0}, "faces", "with 3 workers the model bounds"),
        ({"decode": 100.0, "model": 1.0, "busy": 400.0}, "decode", "with 3 workers the cores bound"),
        ({"model": 400.0}, "model", "another GPU"),
        ({"model": 400.0, "device": "cpu"}, "model", "a GPU takes the model off"),
        ({"busy": 4000.0}, "cores", "more cores"),
        ({"write": 900.0}, "write", "a faster disk"),
    ],
)
def test_the_bound_and_what_to_buy(changes, bound, said):
    (part,) = plan_extraction([rates_of(**changes)], 1000).extractors
    assert part.bound == bound
    assert part.advice[0].startswith(said)
    assert "machines" in part.advice[-1]


def test_the_number_of_workers_that_is_advised_does_what_is_said():
    rates = rates_of()
    plan = plan_extraction([rates], 36_000)
    hours = float(plan.extractors[0].advice[0].rpartition(": ")[2].split()[0])
    better = plan_extraction([rates], 36_000, workers=3)
    assert better.hours == pytest.approx(hours, abs=0.05)
    assert better.extractors[0].bound == "model"


def test_longer_clips_cost_decoding_and_of_sound_everything():
    short, long = (plan_extraction([rates_of()], 1000, seconds=length).extractors[0] for length in (10.0, 30.0))
    assert long.stage_hours["decode"] == pytest.approx(3 * short.stage_hours["decode"])
    assert long.stage_hours["model"] == short.stage_hours["model"]
    assert long.feature_bytes == short.feature_bytes
    assert long.media_bytes == pytest.approx(3 * short.media_bytes)
    sound = rates_of(modality="audio")
    short, long = (plan_extraction([sound], 1000, seconds=length).extractors[0] for length in (10.0, 30.0))
    assert long.stage_hours["model"] == pytest.approx(3 * short.stage_hours["model"])
    assert long.feature_bytes == pytest.approx(3 * short.feature_bytes)


def test_storage_and_cost():
    plan = plan_extraction([rates_of(), rates_of(modality="audio")], 10**6, machines=10, price=2.5)
    assert plan.feature_bytes == 2 * 250_000 * 10**6
    assert plan.media_bytes == 10**12
    assert plan.cost == pytest.approx(2.5 * 10 * plan.hours)
    assert plan_extraction([rates_of()], 10).cost is None


@pytest.mark.parametrize(
    ("clips", "options"),
    [
        (0, {}),
        (1, {"machines": 0}),
        (1, {"workers": -1}),
        (1, {"seconds": 0.0}),
        (1, {"seconds": float("nan")}),
        (1, {"price": -1.0}),
    ],
)
def test_numbers_that_cannot_be_are_refused(clips, options):
    with pytest.raises(ConfigError):
        plan_extraction([rates_of()], clips, **options)


def test_nothing_measured_is_no_plan():
    with pytest.raises(ConfigError, match="nothing was measured"):
        plan_extraction([], 10)


def test_measurements_of_one_setting_add_up():
    both = rates_of() + rates_of(clips=50)
    assert (both.clips, both.runs, both.startup) == (150, 2, 10.0)
    assert both.setting == rates_of().setting
    assert replace(both, workers=3).setting != both.setting
