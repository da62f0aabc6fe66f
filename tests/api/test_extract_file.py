"""Features of media files as a table, without a cache."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import eri
from eri.config import LogMelConfig
from eri.utils.errors import ConfigError, MediaError
from tests.factories.media import write_clip

HERE: dict[str, Any] = {"device": "cpu", "workers": 0}


@pytest.fixture(scope="module")
def clips(tmp_path_factory):
    folder = tmp_path_factory.mktemp("clips")
    for name, seconds in (("short.mp4", 1.0), ("long.mp4", 2.0)):
        write_clip(folder / name, seconds, fps=5, size=(64, 48))
    (folder / "broken.mp4").write_bytes(b"no video")
    return folder


def test_a_file_has_a_row_per_time_and_a_column_per_dimension(clips, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    frame = eri.extract_file(clips / "short.mp4", "mfcc", overrides=["hop=0.25"], **HERE)
    assert frame.shape[1] == 40
    assert frame.index.names == ["file", "start", "end"]
    starts, ends = (frame.index.get_level_values(name).to_numpy(float) for name in ("start", "end"))
    np.testing.assert_array_equal(ends[:-1], starts[1:])
    assert 0 <= starts[0] < ends[0]
    assert set(frame.dtypes) == {np.dtype(np.float32)}
    assert frame.notna().all(axis=None)
    assert list(tmp_path.iterdir()) == []


def test_files_that_fail_are_named_and_the_others_have_rows(clips):
    frame = eri.extract_file([clips / "long.mp4", clips / "broken.mp4", clips / "short.mp4"], "mfcc", **HERE)
    assert list(dict.fromkeys(frame.index.get_level_values("file"))) == [
        str(clips / "long.mp4"),
        str(clips / "short.mp4"),
    ]
    assert list(frame.attrs["failures"]) == [str(clips / "broken.mp4")]


def test_a_config_is_taken_too(clips):
    frame = eri.extract_file(clips / "short.mp4", LogMelConfig(mel_bands=8, hop=0.5), **HERE)
    assert frame.shape[1] == 8


@pytest.mark.slow
def test_rows_without_a_face_are_nan(clips):
    frame = eri.extract_file(clips / "short.mp4", "resnet18", overrides=["weights=random", "frames=2"], **HERE)
    assert len(frame) == 2
    assert frame.isna().all(axis=None)


@pytest.mark.parametrize(
    ("extractor", "overrides", "error", "said"),
    [
        ("mfcc", [], MediaError, "broken.mp4"),
        ("mfcc", ["hopp=1"], ConfigError, "hopp"),
        ("mfcc", ["hop"], ConfigError, "key=value"),
        ("no-such-network", [], ConfigError, "no-such-network"),
    ],
)
def test_what_cannot_be_done_is_named(clips, extractor, overrides, error, said):
    with pytest.raises(error, match=said):
        eri.extract_file(clips / "broken.mp4", extractor, overrides=overrides, **HERE)
