"""Systems whose model reads images: what their sections must agree on, and what is refused."""

from __future__ import annotations

from typing import Any

import pytest

from eri.config import CropsConfig, ExperimentConfig, parse_config
from eri.utils.errors import ConfigError

SYSTEM: dict[str, Any] = {
    "name": "small",
    "modality": "visual",
    "visual": {"extractor": "crops", "frames": 24, "input_size": 64},
    "model": {"name": "r2plus1d-scl", "weights": "random", "input_size": 64},
}


def read(**changes: Any) -> ExperimentConfig:
    return parse_config({**SYSTEM, **changes}, origin="small.yaml")


def test_a_video_model_reads_cached_crops():
    config = read()
    assert config.extractors == {"visual": CropsConfig(frames=24, input_size=64)}
    assert config.finetune is None
    assert config.drawn == ()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"visual": {"extractor": "resnet50"}}, "visual.extractor gives embeddings"),
        ({"visual": {"extractor": "crops", "frames": 24, "input_size": 48}}, "is not model.input_size 64"),
        ({"visual": {"extractor": "crops", "frames": 8, "input_size": 64}}, "more than the visual.frames 8"),
        ({"modality": "multimodal", "audio": {"extractor": "mfcc"}}, "reads face crops alone"),
    ],
)
def test_sections_that_contradict_each_other_are_refused(changes, message):
    with pytest.raises(ConfigError, match=message):
        read(**changes)
