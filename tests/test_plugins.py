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
for line in ("doctor", "submit --help"):
    print("\\n" + "eri", line)
    try:
        main(["--plugin", "my_package", *line.split()])
    except SystemExit:
        pass
"""

DOCTOR = """
import eri
assert eri.schema()
for check in eri.doctor():
    if check.section == "plugins":
        print(check.name, check.status, check.found)
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


@pytest.mark.slow
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
    result = run(tmp_path, "-c", WAY, COLUMNS="400")
    assert result.returncode == 0, result.stdout + result.stderr
    written = (tmp_path / "submissions" / "mine-seed101" / "predictions.csv").read_text().splitlines()
    assert written[0] == ",".join(["clip", *sorted(table.task.labels)])
    assert len(written) == 4
    doctor, helped = result.stdout.split("\neri doctor\n")[1].split("\neri submit --help\n")
    registered = "adapter my-challenge, extractor loudness, head mean-mlp, submission format my-challenge"
    assert f"asked for; {registered}" in doctor
    assert helped.count("my-challenge") == 2, helped  # among the adapters and the formats


BROKEN = {
    "lacking": ("import no_such_library", "No module named 'no_such_library'"),
    "taking": (
        "import eri\n@eri.register_submission('challenge')\ndef mine(table): ...",
        "the submission format 'challenge' is registered by eri.submission.formats already",
    ),
    "careless": (
        "import eri\nclass Own: 0\n@eri.register_extractor('mine', modality='audio', settings=Own)\ndef f(w): 0",
        "the settings of the extractor 'mine' are no pydantic class",
    ),
}
ASK = """
import sys
from eri.cli.app import main
for name in sys.argv[1:]:
    try:
        main(["--plugin", name, "schema"])
    except SystemExit as end:
        assert end.code == 2, name
    print("after", name, file=sys.stderr)
"""


@pytest.mark.slow
def test_a_broken_plugin_is_named_and_the_rest_works(tmp_path: Path) -> None:
    for name, (code, _) in BROKEN.items():
        (tmp_path / f"{name}.py").write_text(code)
    asked = run(tmp_path, "-c", ASK, *BROKEN, COLUMNS="400")
    assert asked.returncode == 0, asked.stderr
    for name, (_, message) in BROKEN.items():
        told, asked.stderr = asked.stderr.split(f"after {name}\n")
        assert f"plugin '{name}' cannot be loaded" in told
        assert message in told
    for name in BROKEN:
        information = tmp_path / f"{name}-1.0.dist-info"
        information.mkdir()
        (information / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
        (information / "entry_points.txt").write_text(f"[eri.plugins]\nmine = {name}\n")
    installed = run(tmp_path, "-c", DOCTOR)
    assert installed.returncode == 0, installed.stderr
    lines = {line.split()[0]: line for line in installed.stdout.splitlines() if "entry point" in line}
    for name, (_, message) in BROKEN.items():
        assert message in installed.stderr
        assert lines[name].startswith(f"{name} missing entry point 'mine' of {name}; ")
        assert message in lines[name]
