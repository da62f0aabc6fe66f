"""The searched 3D-CNN: its shape, every searched part, its images' light and colour, and that it learns."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
import pytest
import torch
from pydantic import ValidationError
from torch import nn
from torch.nn.functional import cross_entropy, mse_loss

from eri.config.models import CNN3DConfig
from eri.models.video.cnn3d import CNN3D, equalize_luminance, remove_colour

TINY: dict[str, Any] = {"input_size": 32, "filters": (4, 8, 8, 8, 8), "dense": (16, 16), "frames": 8, "dropout": 0.0}


def tiny(outputs: int = 3, **settings: Any) -> CNN3D:
    torch.manual_seed(0)
    return CNN3D(CNN3DConfig(**{**TINY, **settings}), outputs)


def of_type(model: nn.Module, kind: type[nn.Module]) -> list[Any]:
    return [module for module in model.modules() if isinstance(module, kind)]


def test_shape_is_c3ds_with_the_papers_pooling():
    with torch.device("meta"):
        model = CNN3D(CNN3DConfig(), 7)
    shapes = []
    values = torch.zeros(1, 3, 10, 112, 112, device="meta")
    for group in model.groups:
        values = group(values)
        shapes.append(tuple(values.shape[1:]))
    assert shapes == [(64, 10, 56, 56), (128, 5, 28, 28), (256, 2, 14, 14), (512, 1, 7, 7), (512, 1, 4, 4)]
    assert [layer.out_channels for layer in of_type(model, nn.Conv3d)] == [64, 128, 256, 256, 512, 512, 512, 512]
    assert [layer.in_features for layer in of_type(model, nn.Linear)] == [8192, 4096, 4096]
    assert sum(parameter.numel() for parameter in model.parameters()) == 78_029_959


@pytest.mark.parametrize(
    ("settings", "kind", "count"),
    [
        ({"pooling": "average"}, nn.AvgPool3d, 5),
        ({"pooling": "max"}, nn.MaxPool3d, 5),
        ({"nonlinearity": "relu"}, nn.ReLU, 10),
        ({"nonlinearity": "elu"}, nn.ELU, 10),
        ({"nonlinearity": "prelu"}, nn.PReLU, 10),
        ({"nonlinearity": "leaky_relu"}, nn.LeakyReLU, 10),
        ({"nonlinearity": "mish"}, nn.Mish, 10),
        ({"second_convolution": False}, nn.Conv3d, 8),
        ({"second_convolution": True}, nn.Conv3d, 10),
        ({"dropout": 0.3}, nn.Dropout, 2),
    ],
)
def test_each_searched_part_is_there(settings, kind, count):
    model = tiny(**settings)
    assert len(of_type(model, kind)) == count
    assert torch.isfinite(model.eval()(torch.rand(2, 8, 3, 32, 32)).raw).all()


@pytest.mark.parametrize("size", [1, 3, 5, 7, 9])
def test_temporal_size_keeps_the_frames(size):
    model = tiny(temporal_size=size)
    convolution = of_type(model, nn.Conv3d)[0]
    assert convolution.kernel_size == (size, 3, 3)
    assert convolution(torch.zeros(1, 3, 8, 32, 32)).shape[2] == 8


def test_initialisers_have_xaviers_spread():
    for initializer in ("xavier_uniform", "xavier_normal"):
        layer = of_type(tiny(initializer=initializer, dense=(256, 256)), nn.Linear)[1]
        assert layer.weight.std().item() == pytest.approx((2 / 512) ** 0.5, rel=0.05)
        assert (layer.bias == 0).all()
        bounded = layer.weight.abs().max().item() <= (6 / 512) ** 0.5
        assert bounded == (initializer == "xavier_uniform")


def test_pictures_are_prepared_as_asked():
    pictures = np.random.default_rng(0).integers(0, 80, (8, 32, 32, 3)).astype(np.uint8)
    assert (tiny(clahe=False, grey=False).prepare(pictures) == pictures).all()
    grey = tiny(clahe=False, grey=True).prepare(pictures)
    assert (grey == grey[..., :1]).all()
    assert tiny(clahe=True, grey=False).prepare(pictures).std() > pictures.std()
    plain, normalised = tiny(normalize=False), tiny(normalize=True)
    assert (plain.mean, plain.std) == ((0.0,) * 3, (1.0,) * 3)
    assert (normalised.mean, normalised.std) == ((0.5,) * 3, (0.5,) * 3)


def test_it_reads_the_last_frames():
    model = tiny()
    assert model.choose_frames(20, np.random.default_rng(0)).tolist() == list(range(12, 20))
    assert model.choose_frames(3, None).tolist() == [0, 1, 2, 2, 2, 2, 2, 2]


def test_it_learns_four_clips_by_heart_and_their_intensities():
    generator = torch.Generator().manual_seed(1)
    coarse = torch.rand(4, 8, 3, 4, 4, generator=generator)
    pictures = coarse.repeat_interleave(8, dim=3).repeat_interleave(8, dim=4)
    classes, intensities = torch.arange(4), torch.rand(4, 4, generator=generator)
    for regress in (False, True):
        model = tiny(outputs=4)
        optimizer = torch.optim.Adam(model.parameters(), lr=3e-3)
        losses = []
        for _ in range(60):
            raw = model(pictures).raw
            loss = mse_loss(torch.sigmoid(raw), intensities) if regress else cross_entropy(raw, classes)
            optimizer.zero_grad()
            torch.autograd.backward(loss)
            optimizer.step()
            losses.append(loss.item())
        assert losses[-1] < 0.1 * losses[0]


def test_recomputing_changes_nothing():
    gradients = []
    for checkpoint in (False, True):
        model = tiny(checkpoint=checkpoint)
        torch.autograd.backward(model(torch.ones(2, 8, 3, 32, 32)).raw.sum())
        gradients.append(of_type(model, nn.Conv3d)[0].weight.grad)
    torch.testing.assert_close(gradients[0], gradients[1])


@pytest.mark.parametrize("settings", [{"temporal_size": 4}, {"frames": 7}, {"dropout": 1.1}, {"nonlinearity": "tanh"}])
def test_values_out_of_range_are_refused(settings):
    with pytest.raises(ValidationError):
        CNN3DConfig(**settings)


def images(rows: int = 3, side: int = 40) -> np.ndarray:
    return np.random.default_rng(0).integers(20, 90, (rows, side, side, 3)).astype(np.uint8)


def test_grey_images_are_opencvs_clahe_and_stay_grey():
    grey = np.repeat(images()[..., :1], 3, axis=3)
    found = equalize_luminance(grey)
    reference = cv2.createCLAHE(clipLimit=2.0, tileGridSize=(8, 8))
    for one, image in zip(found, grey, strict=True):
        assert (one == one[..., :1]).all()
        np.testing.assert_array_equal(one[..., 0], reference.apply(np.ascontiguousarray(image[..., 0])))


def test_each_image_is_equalised_by_itself():
    several = images()
    alone = np.concatenate([equalize_luminance(several[row : row + 1]) for row in range(3)])
    np.testing.assert_array_equal(equalize_luminance(several), alone)


def test_contrast_grows_and_the_input_stays():
    given = images()
    kept = given.copy()
    assert equalize_luminance(given).astype(float).std() > 1.3 * given.astype(float).std()
    np.testing.assert_array_equal(given, kept)


def test_no_images_are_no_images():
    none = images()[:0]
    assert equalize_luminance(none).shape == remove_colour(none).shape == none.shape


def test_greys_are_the_luminance():
    grey = remove_colour(images())
    assert (grey == grey[..., :1]).all()
    weights = images().astype(float) @ [0.299, 0.587, 0.114]
    np.testing.assert_allclose(grey[..., 0], weights, atol=0.51)
