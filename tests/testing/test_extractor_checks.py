"""The checks of an extractor let pass what keeps its promises, and name the one that is broken."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal

import numpy as np
import pytest
from pydantic import BaseModel

import eri
from eri.config import ExtractorConfig, FaceConfig, ImageConfig, Runtime, Stream
from eri.extraction.extractors.preparing import WindowPreparer
from eri.features.records import Prepared
from eri.media.state import State
from eri.testing import CheckError, check_extractor
from eri.utils.errors import ConfigError, PluginError


class Settings(BaseModel):
    floor: float = 1e-4
    title: str = ""


class OwnConfig(ExtractorConfig):
    extractor: Literal["own"] = "own"
    modality: ClassVar[Stream] = "audio"
    gain: float = 2.0


class Own:
    """The level of each window; a test's subclass breaks one promise of it."""

    name, dimension = "own", 2
    modality: ClassVar[Stream] = "audio"
    preparer: Any = WindowPreparer(8000, 4000, 16_000)

    def __init__(self, config: OwnConfig, runtime: Runtime) -> None:
        self.config, self.runtime = config, runtime

    def identity(self) -> dict[str, Any]:
        return {"family": "own", "gain": self.config.gain}

    def embed(self, prepared: Any) -> Any:
        return [self.rows(clip) for clip in prepared]

    def rows(self, clip: Any) -> Any:
        starts = 4000 * np.flatnonzero(clip.states == State.VALID)
        levels = [np.abs(clip.inputs[start : start + 8000]).mean() * self.config.gain for start in starts]
        return np.array([[level, 1.0] for level in levels], dtype=np.float32).reshape(-1, 2)


class OfTheBatch(Own):
    def identity(self) -> dict[str, Any]:
        return super().identity() | {"batches_of": self.runtime.batch_size}


class OnDevice(Own):
    def identity(self) -> dict[str, Any]:
        return super().identity() | {"settings": {"device": "cpu"}}


class OfTheObject(Own):
    def identity(self) -> dict[str, Any]:
        return super().identity() | {"object": id(self)}


class NotJSON(Own):
    def identity(self) -> dict[str, Any]:
        return super().identity() | {"array": np.zeros(2)}


class ForgetsASetting(Own):
    def identity(self) -> dict[str, Any]:
        return {"family": "own"}


class NotFinite(Own):
    def rows(self, clip: Any) -> Any:
        return super().rows(clip) + np.float32("nan")


class WrongDimension(Own):
    dimension = 3


class OneRowTooFew(Own):
    def rows(self, clip: Any) -> Any:
        return super().rows(clip)[1:]


class DependsOnOthers(Own):
    def embed(self, prepared: Any) -> Any:
        found = super().embed(prepared)
        return [rows - sum(part.sum() for part in found) for rows in found]


class DependsOnBatchSize(Own):
    def rows(self, clip: Any) -> Any:
        return super().rows(clip) * np.float32(self.runtime.batch_size)


class Raises(Own):
    def rows(self, clip: Any) -> Any:
        raise LookupError("no such band")


class BackwardsPreparer(WindowPreparer):
    def times(self, samples):
        return super().times(samples)[::-1]


class Backwards(Own):
    preparer = BackwardsPreparer(8000, 4000, 16_000)


class LoudPreparer(WindowPreparer):
    """Finds sound where there is none."""

    def finish(self, prepared):
        states = np.zeros_like(prepared.states)
        return Prepared(prepared.clip_id, np.ones(16_000, dtype=np.float32), prepared.times, states)


class NeverMasks(Own):
    preparer = LoudPreparer(8000, 4000, 16_000)


@dataclass(frozen=True)
class LockedPreparer(WindowPreparer):
    lock: Any = field(default_factory=threading.Lock, compare=False)


class Unsendable(Own):
    preparer = LockedPreparer(8000, 4000, 16_000)


FAULTS = {
    OfTheBatch: "has another identity with another batch_size: batches_of is 32, then 37",
    OnDevice: "names device in its identity",
    OfTheObject: "has another identity when it is made again: object is",
    NotJSON: "has an identity that is not JSON",
    ForgetsASetting: "has the same identity with gain = 2.5 as with 2.0",
    NotFinite: "returns numbers of the clip 'clip0' that are not finite",
    WrongDimension: r"returns an array of shape \(\d, 2\) for the clip 'clip0', not \(\d, 3\)",
    OneRowTooFew: r"returns an array of shape \(\d, 2\) for the clip 'clip0', not",
    DependsOnOthers: "embeds a clip otherwise beside other clips with batch size 32 than alone",
    DependsOnBatchSize: "embeds a clip otherwise beside other clips with batch size 3 than alone",
    Raises: "fails when it embeds 'clip0': LookupError: no such band",
    Backwards: "has times of the clip 'clip0' that do not ascend",
    NeverMasks: "has valid rows of a clip without a face and without audio",
    Unsendable: "has a preparer that cannot be sent to worker processes",
}


@pytest.mark.slow
@pytest.mark.parametrize("thing", FAULTS, ids=lambda thing: thing.__name__)
def test_a_broken_promise_is_named(thing: type[Own]) -> None:
    eri.register_extractor(OwnConfig)(thing)
    with pytest.raises(CheckError, match=f"the extractor 'own' {FAULTS[thing]}") as caught:
        check_extractor("own")
    assert caught.value.hint


@pytest.mark.slow
def test_a_class_of_a_plugin_passes() -> None:
    eri.register_extractor(OwnConfig)(Own)
    assert check_extractor(OwnConfig(gain=3.0)) == ()


@pytest.mark.slow
def test_a_function_of_a_plugin_passes_and_untried_settings_are_told() -> None:
    @eri.register_extractor("loudness", modality="audio", window=0.5, hop=0.25, settings=Settings)
    def loudness(windows, rate, settings):
        return np.log10(np.abs(windows).mean(axis=1, keepdims=True) + settings.floor)

    assert check_extractor("loudness") == ("title",)
    assert check_extractor("loudness", changes={"title": "other"}) == ()
    with pytest.raises(ConfigError, match="has no setting titel"):
        check_extractor("loudness", ignored={"titel"})


@pytest.mark.slow
def test_a_visual_function_of_a_plugin_passes() -> None:
    faces = FaceConfig(detector="none")

    @eri.register_extractor("colour", modality="visual", frames=4, input_size=32, faces=faces)
    def colour(crops):
        return crops.mean(axis=(1, 2)) / 255

    assert check_extractor("colour") == ()


def test_a_function_that_is_not_finite_on_noise_is_refused_by_its_own_check() -> None:
    @eri.register_extractor("hollow", modality="audio")
    def hollow(windows, rate):
        return np.full((len(windows), 2), np.nan)

    with pytest.raises(PluginError, match="hollow"):
        check_extractor("hollow")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("config", "untried"),
    [
        (
            ImageConfig(
                extractor="test_resnet",
                weights="random",
                frames=4,
                input_size=64,
                faces=FaceConfig(detector="none", align=False),
            ),
            ("weights",),
        ),
        ({"extractor": "crops", "frames": 4, "input_size": 48}, ()),
        (
            {"extractor": "deepspectrum", "backbone": "test_resnet", "weights": "random", "input_size": 64},
            ("backbone", "weights"),
        ),
    ],
    ids=["image", "crops", "deepspectrum"],
)
def test_our_own_pass(config: Any, untried: tuple[str, ...]) -> None:
    assert check_extractor(config) == untried


def test_a_section_that_the_identity_forgets_is_named() -> None:
    class FacesConfig(OwnConfig):
        faces: FaceConfig = FaceConfig(detector="none")

    eri.register_extractor(FacesConfig)(Own)
    with pytest.raises(CheckError, match=r"has the same identity with faces = .*'detector': 'dlib'"):
        check_extractor("own")


def test_settings_that_do_not_fit_are_named() -> None:
    with pytest.raises(ConfigError, match="mel_bands"):
        check_extractor({"extractor": "mfcc", "mel_bands": 0})
