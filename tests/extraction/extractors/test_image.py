"""Image features of a clip: the same alone and in a batch, on an unbroken grid."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from eri.config import DrawnImageConfig, FaceConfig, ImageConfig, Runtime, parse_config
from eri.data.clips import Clip
from eri.extraction.extractors.registry import create_extractor
from eri.features.records import Extractor, assemble
from eri.media.state import State
from eri.models.backbones import Backbone, create_backbone
from tests.factories.media import clock, write_clip


def extractor(batch_size: int = 32, **changes: Any) -> Extractor:
    settings: dict[str, Any] = {
        "extractor": "test_resnet",
        "weights": "random",
        "frames": 5,
        "input_size": 64,
        "faces": FaceConfig(detector="none"),
    }
    return create_extractor(ImageConfig(**(settings | changes)), Runtime(device="cpu", batch_size=batch_size))


@pytest.fixture(scope="module")
def clips(tmp_path_factory) -> list[Clip]:
    """Three clips of different pictures; the second is black at first."""
    folder = tmp_path_factory.mktemp("clips")
    shown = clock()

    def late(time: float):
        return shown(time) * np.uint8(time > 0.8)

    painters = {"a": shown, "b": late, "c": lambda time: np.flipud(shown(2 * time))}
    return [
        Clip(name, "train", video=write_clip(folder / f"{name}.mp4", 2.0, frames=paint, audio=False))
        for name, paint in painters.items()
    ]


@pytest.mark.parametrize("batch_size", [1, 4, 64])
@pytest.mark.parametrize("precision", ["float32", "bf16"])
def test_features_are_the_same_alone_and_in_a_batch(clips, batch_size, precision):
    made = extractor(batch_size, precision=precision)
    prepared = [made.preparer.prepare(clip) for clip in clips]
    together = made.embed(prepared)
    assert [len(rows) for rows in together] == [5, 3, 5]
    for rows, one in zip(together, prepared, strict=True):
        alone = extractor(3, precision=precision).embed([one])[0]
        assert rows.shape == alone.shape == (len(one.inputs), made.dimension)
        assert rows.dtype == np.float32
        cosine = (rows * alone).sum(1) / np.linalg.norm(rows, axis=1) / np.linalg.norm(alone, axis=1)
        assert cosine.min() >= 0.9999


def test_rows_keep_their_place(clips):
    made = extractor()
    prepared = made.preparer.prepare(clips[1])
    features = assemble(prepared, made.embed([prepared])[0])
    assert features.states.tolist() == [State.BLACK_FRAME] * 2 + [State.VALID] * 3
    assert features.embeddings.shape == (5, 96)
    assert not features.embeddings[:2].any()
    assert features.embeddings[2:].any(axis=1).all()
    assert features.times == pytest.approx([0.2, 0.6, 1.0, 1.4, 1.8], abs=0.01)


def test_clips_without_a_valid_row_give_no_embedding(tmp_path, clips):
    made = extractor()
    black = write_clip(tmp_path / "a.mp4", 1.0, frames=lambda _: np.zeros((120, 160, 3), np.uint8), audio=False)
    prepared = [made.preparer.prepare(clip) for clip in (Clip("x", "test", video=black), clips[0])]
    embedded = made.embed(prepared)
    assert [rows.shape for rows in embedded] == [(0, 96), (5, 96)]
    assert made.embed(prepared[:1])[0].shape == (0, 96)
    assert made.embed([]) == []


def test_different_pictures_have_different_features(clips):
    made = extractor()
    first, _, third = made.embed([made.preparer.prepare(clip) for clip in clips])
    assert np.abs(first - third).max() > 1e-2 * np.abs(first).max()


def test_crops_have_the_size_the_model_takes(clips):
    made = extractor(extractor="test_vit.r160_in1k", input_size=None)
    assert made.preparer.prepare(clips[0]).inputs.shape == (5, 160, 160, 3)
    assert made.name == "test_vit.r160_in1k"
    assert made.modality == "visual"


def test_a_brightened_version_multiplies_each_clip_by_a_factor_of_its_own(clips):
    config = ImageConfig(
        extractor="test_resnet", weights="random", frames=5, input_size=64, faces=FaceConfig(detector="none")
    )
    plain, first, second = (create_extractor(one, Runtime(device="cpu")) for one in (config, *versions(config)))
    factors = {}
    for version in (first, second):
        for clip in clips:
            before = plain.preparer.prepare(clip).inputs.astype(float)
            after = version.preparer.prepare(clip).inputs.astype(float)
            dark = (before > 20) & (before < 160)
            ratios = after[dark] / before[dark]
            factors[version, clip.id] = np.median(ratios)
            assert np.ptp(ratios) < 0.06
            assert after.max() <= 255
            assert 1 <= np.median(ratios) <= 1.5
    assert len({round(factor, 3) for factor in factors.values()}) == 6
    assert first.embed([first.preparer.prepare(clips[0])])[0].shape == (5, first.dimension)


def versions(plain: ImageConfig) -> tuple[DrawnImageConfig, ...]:
    """Return the two brightened versions that a system of these embeddings learns from."""
    values = {"name": "mine", "modality": "visual", "visual": plain.model_dump(), "model": {"name": "lstm"}}
    config = parse_config({**values, "training": {"augmentation": {"brightness": 1.5, "versions": 2}}})
    assert config.extractors == {"visual": plain}
    return config.drawn


def test_brightened_versions_are_told_apart_and_the_plain_one_says_nothing_of_them():
    plain = ImageConfig(extractor="test_resnet", weights="random")
    first, second, third = (create_extractor(one, Runtime()).identity() for one in (plain, *versions(plain)))
    assert "brightening" not in first
    assert second["brightening"] == {"limit": 1.5, "draw": 1}
    assert third["brightening"] == {"limit": 1.5, "draw": 2}


def test_a_batch_that_does_not_fit_the_device_is_halved_without_changing_rows(clips, monkeypatch):
    made = extractor()
    prepared = [made.preparer.prepare(clip) for clip in clips]
    expected = made.embed(prepared)
    launch = Backbone.launch

    def small(self: Backbone, pictures: torch.Tensor) -> torch.Tensor:
        if len(pictures) > 3:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return launch(self, pictures)

    monkeypatch.setattr(Backbone, "launch", small)
    for rows, wanted in zip(made.embed(prepared), expected, strict=True):
        np.testing.assert_allclose(rows, wanted, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(("precision", "least"), [("float32", 0.99999), ("bf16", 0.999)])
@pytest.mark.parametrize("name", ["resnet18", "test_efficientnet"])
def test_the_fast_way_gives_what_one_picture_at_a_time_gives(clips, precision, least, name):
    made = extractor(extractor=name, precision=precision)
    plain = create_backbone(
        name, weights="random", seed=0, input_size=64, precision="float32", device=torch.device("cpu")
    )
    prepared = [made.preparer.prepare(clip) for clip in clips]
    for one, rows in zip(prepared, made.embed(prepared), strict=True):
        pictures = torch.from_numpy(np.ascontiguousarray(one.inputs.transpose(0, 3, 1, 2)))
        expected = torch.cat([plain.embed(picture[None]) for picture in pictures])
        cosine = torch.nn.functional.cosine_similarity(torch.from_numpy(rows).double(), expected.double())
        assert cosine.min() >= least
