"""docs/models.md: its examples load, and its tables hold every head, loss and regulariser."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from eri.config import LossConfig, RegularizationConfig, head_names, parse_config

TEXT = (Path(__file__).parents[2] / "docs" / "models.md").read_text(encoding="utf-8")
EXAMPLES = re.findall(r"```yaml\n(.*?)```", TEXT, flags=re.DOTALL)


@pytest.mark.parametrize("example", EXAMPLES)
def test_every_example_loads(example):
    values: dict[str, Any] = {"name": "a", "modality": "multimodal", "visual": {}, "audio": {"extractor": "mfcc"}}
    config = parse_config({**values, "model": {"name": "late"}, **yaml.safe_load(example)})
    assert config.model.name in ("late", "gated")


def test_every_name_stands_in_a_table():
    first_cells = " ".join(line.split("|")[1] for line in TEXT.splitlines() if line.startswith("| `"))
    named = set(re.findall(r"`([^`]+)`", first_cells))
    heads = {*head_names(fuses=False), *head_names(fuses=True)}
    assert named - {"model.name"} == heads | LossConfig.model_fields.keys() | RegularizationConfig.model_fields.keys()
