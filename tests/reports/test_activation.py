"""The activation map: over time, read from a model, drawn into a file, and how well it locates apexes, by hand."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest
import torch
from PIL import Image

from eri.config.models import CEFLNetConfig
from eri.config.tasks import Task
from eri.models.video.ceflnet import CEFLNet
from eri.models.video.regressor import VideoRegressor
from eri.reports.activation import ActivationMap, Localization, draw_activation, read_activation, score_localization
from eri.reports.inspector import Inspector, VideoInput
from eri.training.run_folder import Run
from eri.utils.errors import ConfigError

TINY: dict[str, Any] = {
    "backbone": "resnet10t",
    "weights": "random",
    "seed": 0,
    "input_size": 32,
    "frames": 6,
    "sub_videos": 3,
    "sub_video_frames": 4,
    "overlap": 1,
    "starts": 3,
    "activation_channels": (8,),
}


def faces(count: int = 12) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 255, (count, 32, 32, 3)).astype(np.uint8)


CLIP = VideoInput(faces(), np.linspace(0, 4, 12))


def three_maps() -> ActivationMap:
    weights = np.array([[0.2, 0.3, 0.5], [0.9, 0.1, 0.0], [0.4, 0.4, 0.2]])
    return ActivationMap(np.array([[0.0, 1.0], [0.5, 2.0], [3.0, 4.0]]), weights, ("Joy", "Fear", "Anger"))


def test_moments_get_the_mean_of_the_pieces_they_lie_in():
    shown = three_maps()
    found = shown.over_time(np.array([0.25, 0.75, 2.5, 3.5]))
    expected = [[0.2, 0.25, np.nan, 0.5], [0.9, 0.5, np.nan, 0.0], [0.4, 0.4, np.nan, 0.2]]
    np.testing.assert_allclose(found, expected)
    assert shown.located.tolist() == [2, 0, 0]


def inspect(**settings: Any) -> Inspector:
    task = Task("moods", ("Joy", "Fear"))
    model = VideoRegressor(CEFLNet(CEFLNetConfig(**TINY, **settings), 2), task).eval()
    return Inspector(cast("Run", SimpleNamespace(task=task)), model)


def test_a_models_map_is_what_its_forward_pass_weighs():
    inspector = inspect()
    model = cast("CEFLNet", inspector.model.network)
    shown, strongest = read_activation(inspector, VideoInput(faces(), np.linspace(0.5, 1.6, 12)))
    np.testing.assert_allclose(shown.spans, [[0.55, 0.95], [0.85, 1.25], [1.15, 1.55]])
    images = torch.from_numpy(faces()[model.choose_frames(12, None)]).permute(0, 3, 1, 2).float() / 255
    mean, std = torch.tensor(model.mean).view(3, 1, 1), torch.tensor(model.std).view(3, 1, 1)
    expected = model(((images - mean) / std)[None]).parts["activation"]
    np.testing.assert_allclose(shown.weights, expected.detach(), atol=1e-6)
    assert shown.names == ("",)
    assert strongest.split()[0] in ("Joy", "Fear")


def test_a_map_for_each_label_has_their_names():
    shown, _ = read_activation(inspect(maps="label"), VideoInput(faces(3), np.array([0.0, 0.2, 0.4])))
    assert shown.weights.shape == (2, 3)
    assert shown.names == ("Joy", "Fear")
    assert shown.spans.max() == pytest.approx(0.5)


@pytest.mark.parametrize("ending", ["png", "svg", "pdf"])
def test_pictures_are_files(tmp_path, ending):
    one = ActivationMap(three_maps().spans, three_maps().weights[:1])
    path = draw_activation(tmp_path / f"map.{ending}", one, CLIP, title="clip", apex=(3, 3.5))
    assert path.stat().st_size > 5000
    assert [item.name for item in tmp_path.iterdir()] == [f"map.{ending}"]


@pytest.mark.slow
def test_the_located_piece_is_framed(tmp_path):
    grey = np.full((12, 32, 32, 3), 128, dtype=np.uint8)
    spans, times = np.array([[0.0, 1.0], [2.0, 3.0]]), np.linspace(0, 4, 12)
    shown = [
        draw_activation(tmp_path / f"{side}.png", ActivationMap(spans, np.array([weights])), VideoInput(grey, times))
        for side, weights in (("left", [0.9, 0.1]), ("right", [0.1, 0.9]))
    ]
    columns = []
    for path in shown:
        pixels = np.asarray(Image.open(path).convert("RGB")).astype(int)
        top = pixels[: len(pixels) // 4]
        orange = (top[..., 0] > 230) & (top[..., 2] < 60)
        columns.append(np.flatnonzero(orange.any(axis=0)).mean() / pixels.shape[1])
    assert 0.1 < columns[0] < 0.35
    assert 0.55 < columns[1] < 0.8


def test_several_maps_and_single_frames_are_drawn(tmp_path):
    draw_activation(tmp_path / "several.png", three_maps(), CLIP)
    single = ActivationMap(np.array([[-0.5, 0.5]]), np.array([[1.0]]))
    draw_activation(tmp_path / "single.png", single, VideoInput(faces(1), np.zeros(1)))
    heights = [Image.open(tmp_path / name).height for name in ("several.png", "single.png")]
    assert heights[0] > heights[1]


def test_an_unknown_format_is_refused_and_nothing_written(tmp_path):
    with pytest.raises(ConfigError, match="no image format"):
        draw_activation(tmp_path / "map.bmp", three_maps(), CLIP)
    assert not list(tmp_path.iterdir())


SPANS = np.array([[0.0, 1.0], [0.5, 1.5], [1.0, 2.0]])


def peak(at: int) -> ActivationMap:
    return ActivationMap(SPANS, np.where(np.arange(3) == at, 0.8, 0.1)[None])


def test_by_hand():
    maps = [peak(0), peak(1), peak(2), peak(0)]
    # The second sub-video shows all of the first apex, the first two show all of the second; the third is hit; the
    # last lies outside.
    found = score_localization(maps, [(0.4, 1.2), (0.6, 0.9), (1.8, 1.8), (3.0, 4.0)])
    assert (found.located, found.annotated, found.outside) == (2, 3, 1)
    assert found.accuracy == pytest.approx(2 / 3)
    assert found.chance == pytest.approx((1 / 3 + 2 / 3 + 1 / 3) / 3)


def test_pieces_within_a_long_apex_show_as_much_of_it_whatever_the_rounding():
    rounded = SPANS + np.array([[0.0, 1e-6], [1e-6, 0.0], [0.0, -1e-6]])
    maps = [ActivationMap(rounded, np.where(np.arange(3) == at, 0.8, 0.1)[None]) for at in range(3)]
    found = score_localization(maps, [(-1.0, 5.0)] * 3)
    assert (found.accuracy, found.chance) == (1.0, 1.0)


def test_an_annotated_piece_is_found_only_by_itself():
    for index, span in enumerate(SPANS):
        apex = (float(span[0]), float(span[1]))
        assert [score_localization([peak(at)], [apex]).located for at in range(3)] == [
            int(at == index) for at in range(3)
        ]


def test_without_annotations_there_is_no_figure():
    assert score_localization([], []) == Localization(None, None, 0, 0, 0)


def test_a_map_for_each_label():
    shown = ActivationMap(SPANS, np.array([[0.8, 0.1, 0.1], [0.1, 0.1, 0.8]]), ("Joy", "Fear"))
    apex = (1.6, 1.9)
    assert score_localization([shown], [apex], labels=[1]).accuracy == 1.0
    assert score_localization([shown], [apex], labels=[0]).accuracy == 0.0
