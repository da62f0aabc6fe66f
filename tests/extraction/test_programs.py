"""Extraction from programs of users: scripts without a main guard, standard input, extractors that a script defines."""

from __future__ import annotations

import subprocess
import sys

import pytest

from tests.factories.media import write_wav

SCRIPT = """
print("the script runs")
import eri
report = eri.extract("data.yaml", config="mfcc-lstm", features="features", workers=2)
print(report.exit_code, report.extractors[0].computed)
"""

OWN_EXTRACTOR = """
print("the script runs")
from pathlib import Path
import numpy as np
from eri.config import MFCCConfig, Runtime
from eri.data import load_clips
from eri.extraction.run import extract
from eri.features.records import Prepared
from eri.features.store import find_folder

class Preparer:
    def prepare(self, clip):
        return Prepared(clip.id, np.ones((2, 3), np.float32), np.arange(2.0), np.zeros(2, np.uint8))

class Own:
    name, modality, dimension, preparer = "own", "audio", 3, Preparer()
    def identity(self):
        return {"family": "own"}
    def embed(self, prepared):
        return [2 * clip.inputs for clip in prepared]

config = MFCCConfig()
report = extract(load_clips("data.yaml"), [config], Path("features"), Runtime(workers=2), create=lambda *_: Own())
folder = find_folder(Path("features"), config)
print(report.exit_code, int(folder.read("c0").embeddings.sum() / 4))
"""

MANIFEST = """
name: mini
table: table.csv
columns: {id: clip, split: part}
paths: {audio: "{id}.wav"}
labels: [A]
"""


@pytest.mark.slow
@pytest.mark.parametrize(
    ("script", "command"),
    [
        (SCRIPT, ["script.py"]),
        (SCRIPT, ["-"]),
        (OWN_EXTRACTOR, ["script.py"]),
    ],
    ids=["a file", "standard input", "a file with an extractor of its own"],
)
def test_a_program_without_a_guard_extracts(tmp_path, script, command):
    for number in range(3):
        write_wav(tmp_path / f"c{number}.wav", 0.5)
    (tmp_path / "table.csv").write_text("clip,part,A\nc0,train,0.5\nc1,train,0.2\nc2,val,0.1\n")
    (tmp_path / "data.yaml").write_text(MANIFEST)
    (tmp_path / "script.py").write_text(script)
    done = subprocess.run(
        [sys.executable, *command], input=script, capture_output=True, text=True, cwd=tmp_path, timeout=200, check=False
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.split("\n")[:2] == ["the script runs", "0 3"]
