"""Memory does not grow with a clip's length: measured in processes of their own."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.factories.media import clock, write_clip, write_wav

pytestmark = pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="peak memory is read from Linux's /proc")

# Not getrusage: its peak includes that of the process that started this one.
_MEASURE = """
import re, sys
from pathlib import Path
def peak():
    return int(re.search(r"VmHWM:\\s+(\\d+)", Path("/proc/self/status").read_text())[1])
{setup}
before = peak()
{work}
print(peak() - before)
"""


def grown(setup: str, work: str, path: Path) -> float:
    """Return by how many MiB the peak memory of a fresh process grows while it works on a file."""
    code = _MEASURE.format(setup=setup, work=work)
    result = subprocess.run(
        [sys.executable, "-c", code, str(path)], capture_output=True, text=True, timeout=120, check=True
    )
    return int(result.stdout) / 1024


@pytest.mark.slow
def test_frames_of_a_long_clip_need_no_more_memory_than_those_of_a_short_one(tmp_path):
    picture = clock((96, 64))(0.42)
    short, long = (
        write_clip(
            tmp_path / f"{seconds}.mp4",
            seconds,
            fps=50,
            size=(96, 64),
            audio=False,
            key_every=250,
            frames=lambda time: picture,
        )
        for seconds in (2.0, 120.0)
    )
    setup = "from eri.media.video import read_frames"
    work = "read_frames(Path(sys.argv[1]), 32)"
    assert grown(setup, work, long) < grown(setup, work, short) + 8


@pytest.mark.slow
@pytest.mark.parametrize("suffix", ["wav", "flac"])
def test_long_sound_needs_no_more_memory_than_its_limit(tmp_path, suffix):
    codec = {"wav": "pcm_s16le", "flac": "flac"}[suffix]
    short = write_wav(tmp_path / f"short.{suffix}", 5.0, codec=codec)
    long = write_wav(tmp_path / f"long.{suffix}", 600.0, codec=codec)
    setup = "from eri.media.audio import read_audio"
    work = "sound = read_audio(Path(sys.argv[1]), spill_seconds=10.0)"
    assert grown(setup, work, long) < grown(setup, work, short) + 8  # 37 MiB if it were held


@pytest.mark.slow
def test_streamed_sound_needs_no_more_memory_than_a_block(tmp_path):
    path = write_wav(tmp_path / "long.wav", 600.0)
    setup = "from eri.media.audio import stream_audio"
    work = "print(sum(len(block) for block in stream_audio(Path(sys.argv[1]))), file=sys.stderr)"
    assert grown(setup, work, path) < 12
