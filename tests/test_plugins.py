"""A package outside eri: what it registers goes the whole way, and what is wrong with it is named."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from eri.data import load_clips
from tests.factories.challenge_clips import write_challenge

ROOT = Path(__file__).parents[1]
SYSTEM = """
name: mine
modality: audio
audio: {extractor: loudness, hop: 0.5}
model: {name: mean-mlp, hidden: 8}
training: {epochs: 1, batch_size: 8}
"""
WAY = """
import sys
from eri.cli.app import main
for line in (
    "extract -d data -c mine.yaml --workers 0",
    "train -d data -c mine.yaml --device cpu",
    "evaluate",
    "submit",
    "validate submissions/mine-seed101/predictions.csv -d data",
):
    try:
        main(["--plugin", "my_package", *line.split()])
    except SystemExit as end:
        assert not end.code, line
import my_package
my_package.test_what_i_registered()
"""

DOCTOR = """
import eri
assert eri.schema()
print(*(f"{check.name} {check.status} {check.found}" for check in eri.doctor() if check.section == "plugins"))
"""


def run(folder: Path, *arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    places = os.pathsep.join([str(folder), str(ROOT)])
    return subprocess.run(
        [sys.executable, *arguments],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": places, **variables},
        capture_output=True,
        text=True,
        check=False,
    )


def test_the_documented_package_goes_from_extraction_to_validation(tmp_path: Path) -> None:
    page = (ROOT / "docs" / "extending.md").read_text(encoding="utf-8")
    blocks = re.findall(r"^```python\n(.*?)^```", page, flags=re.DOTALL | re.MULTILINE)
    package = "\n\n".join(blocks)
    assert sum(bool(line.strip()) for line in package.splitlines()) < 60
    (tmp_path / "my_package.py").write_text(package)
    (tmp_path / "mine.yaml").write_text(SYSTEM)
    table = load_clips(write_challenge(tmp_path / "challenge", train=8, val=4, test=3))
    clips = [
        {"id": clip.id, "split": clip.split, "audio": str(clip.audio_source), "labels": clip.labels} for clip in table
    ]
    (tmp_path / "data").mkdir()
    described = {"labels": table.task.labels, "clips": clips}
    (tmp_path / "data" / "clips.json").write_text(json.dumps(described))
    result = run(tmp_path, "-c", WAY)
    assert result.returncode == 0, result.stdout + result.stderr
    written = (tmp_path / "submissions" / "mine-seed101" / "predictions.csv").read_text().splitlines()
    assert written[0] == ",".join(["clip", *sorted(table.task.labels)])
    assert len(written) == 4
    doctor = run(tmp_path, "-m", "eri", "--plugin", "my_package", "doctor", COLUMNS="400")
    registered = "adapter my-challenge, extractor loudness, head mean-mlp, submission format my-challenge"
    assert f"asked for; {registered}" in doctor.stdout
    helped = run(tmp_path, "-m", "eri", "--plugin", "my_package", "submit", "--help", COLUMNS="400")
    assert helped.stdout.count("my-challenge") == 2, helped.stdout  # among the adapters and the formats


@pytest.mark.parametrize(
    ("code", "message"),
    [
        ("import no_such_library", "No module named 'no_such_library'"),
        (
            "import eri\n@eri.register_submission('challenge')\ndef mine(table): ...",
            "the submission format 'challenge' is registered by eri.submission.formats already",
        ),
        (
            "import eri\nclass Own: 0\n@eri.register_extractor('mine', modality='audio', settings=Own)\ndef f(w): 0",
            "the settings of the extractor 'mine' are no pydantic class",
        ),
    ],
    ids=["import", "taken", "schema"],
)
def test_a_broken_plugin_is_named_and_the_rest_works(tmp_path: Path, code: str, message: str) -> None:
    (tmp_path / "broken.py").write_text(code)
    asked = run(tmp_path, "-m", "eri", "--plugin", "broken", "schema")
    assert asked.returncode == 2
    assert "plugin 'broken' cannot be loaded" in asked.stderr
    assert message in asked.stderr
    information = tmp_path / "broken-1.0.dist-info"
    information.mkdir()
    (information / "METADATA").write_text("Metadata-Version: 2.1\nName: broken\nVersion: 1.0\n")
    (information / "entry_points.txt").write_text("[eri.plugins]\nmine = broken\n")
    installed = run(tmp_path, "-c", DOCTOR)
    assert installed.returncode == 0, installed.stderr
    assert message in installed.stderr
    assert installed.stdout.startswith("broken missing entry point 'mine' of broken; ")
    assert message in installed.stdout
