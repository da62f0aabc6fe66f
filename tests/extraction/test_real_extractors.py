"""The real extractors through the real run: alone, together, and with workers the features are the same."""

from pathlib import Path

import numpy as np
import pytest

from eri.config import CropsConfig, DeepSpectrumConfig, ExtractorConfig, FaceConfig, ImageConfig, Runtime
from eri.config.extractors import Decoder
from eri.config.tasks import ERI
from eri.data.clips import Clip, ClipTable
from eri.extraction.report import ExtractionReport
from eri.extraction.run import extract
from eri.features.records import FeatureSequence
from eri.features.store import find_folder
from eri.media.state import State
from tests.factories.media import cut, need_torchcodec, tone, write_clip, write_wav

VISUAL = ImageConfig(
    extractor="resnet10t", weights="random", frames=5, input_size=64, faces=FaceConfig(detector="none", align=False)
)
CROPS = CropsConfig(frames=4, input_size=48, faces=FaceConfig(detector="none", align=False))
AUDIO = DeepSpectrumConfig(backbone="resnet10t", weights="random", input_size=64, window=0.5, hop=0.25)
CONFIGS: list[ExtractorConfig] = [VISUAL, AUDIO]


@pytest.fixture(scope="module")
def table(tmp_path_factory: pytest.TempPathFactory) -> ClipTable:
    root = tmp_path_factory.mktemp("media")
    clips = [Clip("broken", "train", video=cut(write_clip(root / "broken.mp4", 1.0), 0.1))]
    for number in range(5):
        video = write_clip(root / f"{number}.mp4", 1.0 + 0.3 * number)
        sound = write_wav(root / f"{number}.wav", samples=tone(1.0 + 0.3 * number, frequency=200 + 90 * number))
        clips.append(Clip(f"clip{number}", "train", video=video, audio=sound))
    return ClipTable("real", root, ERI, tuple(clips))


def run(table: ClipTable, features: Path, runtime: Runtime) -> ExtractionReport:
    return extract(table, CONFIGS, features, runtime)


def read(features: Path, clip_id: str) -> list[FeatureSequence]:
    return [find_folder(features, config).read(clip_id) for config in CONFIGS]


def cosine(one: np.ndarray, other: np.ndarray) -> float:
    products = (one * other).sum(axis=1)
    lengths = np.linalg.norm(one, axis=1) * np.linalg.norm(other, axis=1)
    return float((products / lengths).min())


@pytest.mark.slow
def test_alone_together_and_with_workers_the_features_are_the_same(table, tmp_path):
    together = run(table, tmp_path / "together", Runtime(device="cpu", workers=0, batch_size=32))
    assert [(part.complete, len(part.failures)) for part in together.extractors] == [(5, 1), (5, 1)]
    assert together.exit_code == 3
    run(table, tmp_path / "workers", Runtime(device="cpu", workers=2, batch_size=3))
    for clip_id in ("clip0", "clip3"):
        single = ClipTable("one", table.root, ERI, (table[clip_id],))
        run(single, tmp_path / "alone", Runtime(device="cpu", workers=0, batch_size=1))
        expected = read(tmp_path / "together", clip_id)
        for other in (read(tmp_path / "workers", clip_id), read(tmp_path / "alone", clip_id)):
            for features, reference in zip(other, expected, strict=True):
                assert (reference.states == State.VALID).all()
                np.testing.assert_array_equal(features.times, reference.times)
                np.testing.assert_array_equal(features.states, reference.states)
                assert cosine(features.embeddings, reference.embeddings) >= 0.9999


@pytest.mark.slow
def test_torchcodec_gives_the_features_of_pyav(table, tmp_path, caplog):
    need_torchcodec()
    folders = []
    decoders: tuple[Decoder, ...] = ("pyav", "torchcodec")
    for decoder in decoders:
        report = extract(table, [VISUAL, CROPS], tmp_path / decoder, Runtime("cpu", workers=0, decoder=decoder))
        assert [(part.complete, len(part.failures)) for part in report.extractors] == [(5, 1), (5, 1)]
        assert not caplog.records
        folders.append([find_folder(tmp_path / decoder, config) for config in (VISUAL, CROPS)])
    for ours, theirs in zip(*folders, strict=True):
        assert ours.digest == theirs.digest  # what decodes is no part of the identity
    for number in range(5):
        (ours, pictures), (theirs, others) = ((images, crops) for images, crops in folders)
        np.testing.assert_array_equal(ours.read(f"clip{number}").times, theirs.read(f"clip{number}").times)
        assert cosine(ours.read(f"clip{number}").embeddings, theirs.read(f"clip{number}").embeddings) >= 0.99999
        np.testing.assert_array_equal(
            pictures.read_crops(f"clip{number}").codes, others.read_crops(f"clip{number}").codes
        )


@pytest.mark.slow
def test_clips_that_torchcodec_gets_wrong_are_decoded_by_pyav_with_one_warning(tmp_path, caplog):
    need_torchcodec()
    clips = [Clip(name, "train", video=write_clip(tmp_path / f"{name}.mp4", mirrored=True)) for name in ("one", "two")]
    mirrored = ClipTable("mirrored", tmp_path, ERI, tuple(clips))
    extract(mirrored, [VISUAL], tmp_path / "pyav", Runtime("cpu", workers=0))
    extract(mirrored, [VISUAL], tmp_path / "torchcodec", Runtime("cpu", workers=1, decoder="torchcodec"))
    for clip in clips:
        ours, theirs = (find_folder(tmp_path / decoder, VISUAL).read(clip.id) for decoder in ("pyav", "torchcodec"))
        np.testing.assert_array_equal(ours.embeddings, theirs.embeddings)
    [record] = caplog.records
    assert "not decoded on cpu but by PyAV: its first frame differs" in record.getMessage()


@pytest.mark.slow
def test_a_second_run_opens_no_media(table, tmp_path, monkeypatch):
    run(table, tmp_path, Runtime(device="cpu", workers=0))
    opened: list[Path] = []
    for name in ("eri.media.video.read_frames", "eri.media.audio.read_audio"):
        monkeypatch.setattr(name, lambda path, *_, **__: opened.append(path))
    whole = ClipTable("whole", table.root, ERI, tuple(clip for clip in table if clip.id != "broken"))
    report = run(whole, tmp_path, Runtime(device="cpu", workers=0, batch_size=4))
    assert opened == []
    assert [part.already_complete for part in report.extractors] == [5, 5]
