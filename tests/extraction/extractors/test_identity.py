"""An identity changes with every setting that matters, and with nothing else."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import pytest
import timm
import torch
from pydantic import BaseModel

from eri.config import (
    CropsConfig,
    DeepSpectrumConfig,
    EGeMAPSConfig,
    ExtractorConfig,
    FaceConfig,
    ImageConfig,
    LogMelConfig,
    MFCCConfig,
    Runtime,
    Wav2Vec2Config,
)
from eri.extraction.extractors.registry import create_extractor
from eri.models import running
from eri.utils.files import digest
from tests.factories.speech import write_speech_model

IMAGE = ImageConfig(extractor="test_resnet", weights="random", input_size=64, faces=FaceConfig(detector="none"))
PICTURES = DeepSpectrumConfig(backbone="test_resnet", weights="random", input_size=64)

IMAGE_CHANGES: dict[str, Any] = {
    "extractor": "test_vit",
    "weights": "{checkpoint}",
    "seed": 1,
    "frames": 16,
    "input_size": 96,
    "precision": "bf16",
    "faces": FaceConfig(),
}
CROPS_CHANGES: dict[str, Any] = {
    "frames": 16,
    "take": "last",
    "input_size": 96,
    "quality": 90,
    "faces": FaceConfig(),
}
PICTURE_CHANGES: dict[str, Any] = {
    "backbone": "test_vit",
    "weights": "{checkpoint}",
    "seed": 1,
    "window": 2.0,
    "hop": 0.25,
    "mel_bands": 64,
    "input_size": 96,
    "precision": "bf16",
}
SPEECH_CHANGES: dict[str, Any] = {
    "model": "{other}",
    "layer": 1,
    "hop": 0.5,
    "chunk": 10.0,
    "precision": "bf16",
}
MEL_CHANGES: dict[str, Any] = {
    "window": 0.032,
    "step": 0.02,
    "mel_scale": "htk",
    "mel_bands": 100,
    "deltas": 1,
    "hop": 0.5,
    "statistics": "mean-std",
}
MFCC_CHANGES: dict[str, Any] = MEL_CHANGES | {"coefficients": 13}
EGEMAPS_CHANGES: dict[str, Any] = {"level": "low-level", "window": 2.0, "hop": 0.25}
FACE_CHANGES: dict[str, Any] = {
    "detector": "dlib",
    "backbone": "mobilenet0.25",
    "weights": "{other_detector}",
    "every": 2,
    "detection_size": 640,
    "threshold": 0.5,
    "margin": 0.5,
    "align": False,
}
SAME_EVERYWHERE = {"extractor"}
"""The field that names the family; the audio configs allow one value."""


@pytest.fixture(scope="module")
def files(tmp_path_factory) -> dict[str, str]:
    """Files that settings name."""
    root = tmp_path_factory.mktemp("files")
    torch.save(timm.create_model("test_resnet").state_dict(), root / "checkpoint.pth")
    for name in ("detector", "other_detector"):
        (root / f"{name}.pth").write_bytes(name.encode())
    return {
        "checkpoint": str(root / "checkpoint.pth"),
        "detector": str(root / "detector.pth"),
        "other_detector": str(root / "other_detector.pth"),
        "model": str(write_speech_model(root / "model")),
        "other": str(write_speech_model(root / "other", seed=1)),
    }


def identity(config: ExtractorConfig, **runtime: Any) -> dict[str, Any]:
    return create_extractor(config, Runtime(**({"device": "cpu"} | runtime))).identity()


def changed(config: BaseModel, field: str, value: Any, files: dict[str, str]) -> Any:
    return config.model_copy(update={field: value.format(**files) if isinstance(value, str) else value})


@pytest.mark.parametrize(
    ("family", "table"),
    [
        (ImageConfig, IMAGE_CHANGES),
        (CropsConfig, CROPS_CHANGES),
        (DeepSpectrumConfig, PICTURE_CHANGES),
        (Wav2Vec2Config, SPEECH_CHANGES),
        (MFCCConfig, MFCC_CHANGES),
        (LogMelConfig, MEL_CHANGES),
        (EGeMAPSConfig, EGEMAPS_CHANGES),
        (FaceConfig, FACE_CHANGES | {"landmarks": "of dlib; tested with the faces"}),
    ],
)
def test_no_setting_is_forgotten(family, table):
    assert set(family.model_fields) - SAME_EVERYWHERE == set(table) - SAME_EVERYWHERE


@pytest.mark.parametrize("field", IMAGE_CHANGES)
def test_each_image_setting_matters(files, field):
    assert identity(changed(IMAGE, field, IMAGE_CHANGES[field], files)) != identity(IMAGE)


@pytest.mark.parametrize("field", CROPS_CHANGES)
def test_each_crops_setting_matters(files, field):
    crops = CropsConfig(faces=FaceConfig(detector="none"))
    assert identity(changed(crops, field, CROPS_CHANGES[field], files)) != identity(crops)


@pytest.mark.parametrize("field", PICTURE_CHANGES)
def test_each_spectrogram_setting_matters(files, field):
    assert identity(changed(PICTURES, field, PICTURE_CHANGES[field], files)) != identity(PICTURES)


@pytest.mark.parametrize("field", SPEECH_CHANGES)
def test_each_speech_setting_matters(files, field):
    speech = Wav2Vec2Config(model=files["model"])
    assert identity(changed(speech, field, SPEECH_CHANGES[field], files)) != identity(speech)


@pytest.mark.parametrize("field", MFCC_CHANGES)
def test_each_cepstral_setting_matters(files, field):
    assert identity(changed(MFCCConfig(), field, MFCC_CHANGES[field], files)) != identity(MFCCConfig())


@pytest.mark.parametrize("field", MEL_CHANGES)
def test_each_log_mel_setting_matters(files, field):
    assert identity(changed(LogMelConfig(), field, MEL_CHANGES[field], files)) != identity(LogMelConfig())


@pytest.mark.parametrize("field", EGEMAPS_CHANGES)
def test_each_egemaps_setting_matters(files, field):
    pytest.importorskip("opensmile", reason="needs the extra opensmile, which is not installed")
    assert identity(changed(EGeMAPSConfig(), field, EGEMAPS_CHANGES[field], files)) != identity(EGeMAPSConfig())


@pytest.mark.parametrize("field", FACE_CHANGES)
def test_each_face_setting_matters(files, field):
    faces = FaceConfig(detector="retinaface", weights=files["detector"])
    one = IMAGE.model_copy(update={"faces": faces})
    other = IMAGE.model_copy(update={"faces": changed(faces, field, FACE_CHANGES[field], files)})
    assert identity(other) != identity(one)


@pytest.mark.parametrize("family", ["image", "pictures", "speech", "mel"])
def test_run_time_knobs_do_not_matter(files, monkeypatch, family):
    configs: dict[str, ExtractorConfig] = {
        "image": IMAGE,
        "pictures": PICTURES,
        "speech": Wav2Vec2Config(model=files["model"]),
        "mel": MFCCConfig(),
    }
    config = configs[family]
    wanted = identity(config)
    others = {
        "device": "auto",
        "batch_size": 3,
        "workers": 7,
        "timeout": 9.0,
        "compiled": True,
        "decoder": "torchcodec",
    }
    assert set(others) == {field.name for field in dataclasses.fields(Runtime)}
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(running, "require_torchcodec", lambda: None)
    for name, value in others.items():
        assert identity(config, **{name: value}) == wanted


def test_where_a_file_lies_does_not_matter(files, tmp_path):
    moved = tmp_path / "moved.pth"
    moved.write_bytes(Path(files["checkpoint"]).read_bytes())
    one, other = (IMAGE.model_copy(update={"weights": path}) for path in (files["checkpoint"], str(moved)))
    assert identity(one) == identity(other)


def test_two_names_of_one_layer_are_one_identity(files):
    last, named = (Wav2Vec2Config(model=files["model"], layer=layer) for layer in (-1, 3))
    assert identity(last) == identity(named)


@pytest.mark.parametrize("family", ["image", "pictures", "speech", "mel"])
def test_an_identity_is_json_and_names_no_place(files, family):
    configs: dict[str, ExtractorConfig] = {
        "image": IMAGE.model_copy(update={"weights": files["checkpoint"]}),
        "pictures": PICTURES.model_copy(update={"weights": files["checkpoint"]}),
        "speech": Wav2Vec2Config(model=files["model"]),
        "mel": MFCCConfig(),
    }
    found = identity(configs[family])
    assert json.loads(json.dumps(found)) == found
    assert len(digest(found)) == 64
    assert str(Path(files["model"]).parent) not in json.dumps(found)
    assert found["versions"]["torch"] == ".".join(torch.__version__.split(".")[:2])
