"""Every head as an ONNX graph gives what PyTorch gives, for any number of clips and rows."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from eri.config import MODELS
from eri.config.models import head_names
from eri.config.tasks import ERI, Task
from eri.exports.graph import Graph, head_graph, video_graph, write_onnx
from eri.models import Regressor, Sequences, Standardizer
from eri.models.video.regressor import VideoRegressor
from eri.utils.errors import ConfigError, RunError
from tests.factories.videos import NAMES as VIDEO_NAMES
from tests.factories.videos import small_model

onnxruntime = pytest.importorskip("onnxruntime")
pytest.importorskip("onnx")

NAMES = (*head_names(fuses=False), *head_names(fuses=True))
MOODS = Task.of_classes("moods", ("calm", "angry", "sad"))


def make_model(name: str, task: Task = ERI, **options: Any) -> tuple[Regressor, dict[str, int]]:
    torch.manual_seed(0)
    config: Any = MODELS[name].model_validate({"name": name})
    dimensions = {"visual": 10, "audio": 6} if name in head_names(fuses=True) else {"audio": 6}
    model = Regressor(config, dimensions, task, **options).eval()
    for standardizer in model.standardizers.values():
        assert isinstance(standardizer, Standardizer)
        length = standardizer.mean.numel()
        standardizer.set_statistics(np.linspace(-1, 1, length), np.linspace(0.5, 2, length))
    return model, dimensions


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_a_graph_gives_what_the_head_gives(tmp_path, name):
    model, dimensions = make_model(name)
    difference = write_onnx(head_graph(model, dimensions), tmp_path / "model.onnx")
    assert difference <= 1e-4
    generator = torch.Generator().manual_seed(5)
    values = {
        key: torch.randn((4, 9 + place, size), generator=generator)
        for place, (key, size) in enumerate(dimensions.items())
    }
    times = {key: 0.25 * torch.arange(float(rows.shape[1])).expand(4, -1) for key, rows in values.items()}
    batch = {
        key: Sequences(rows, torch.ones(rows.shape[:2], dtype=torch.bool), times[key]) for key, rows in values.items()
    }
    with torch.inference_mode():
        expected = model.predict(batch).numpy()
    session = onnxruntime.InferenceSession((tmp_path / "model.onnx").read_bytes(), providers=["CPUExecutionProvider"])
    given = {**values, **{f"{key}_times": seconds for key, seconds in times.items()}}
    read = {one.name for one in session.get_inputs()}
    (found,) = session.run(None, {key: tensor.numpy() for key, tensor in given.items() if key in read})
    np.testing.assert_allclose(found, expected, atol=1e-4)


@pytest.mark.parametrize("options", [{"task": MOODS}, {"centered": ("audio",)}, {"activation": "linear"}], ids=str)
def test_probabilities_centring_and_bounds_are_in_the_graph(tmp_path, options):
    model, dimensions = make_model("gru", **options)
    assert write_onnx(head_graph(model, dimensions), tmp_path / "model.onnx") <= 1e-4


POOLS_UP = ("c3d", "c3d-lstm")  # of pictures this small they pool to more cells than there are, which ONNX lacks


@pytest.mark.slow
@pytest.mark.parametrize("name", POOLS_UP)
def test_what_onnx_cannot_do_is_refused_with_its_reason(tmp_path, name):
    graph = video_graph(VideoRegressor(small_model(name, len(ERI.labels)), ERI, None).eval())
    with pytest.raises(ConfigError, match=r"cannot be written as ONNX: .*adaptive_max_pool3d"):
        write_onnx(graph, tmp_path / "model.onnx")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted({*VIDEO_NAMES} - {*POOLS_UP}))
def test_a_video_model_gives_what_it_gives_as_a_graph(tmp_path, name):
    graph = video_graph(VideoRegressor(small_model(name, len(ERI.labels)), ERI, None).eval())
    assert write_onnx(graph, tmp_path / "model.onnx") <= 1e-4


class Drifting(nn.Module):
    """Adds how often it was called, which a traced graph cannot know."""

    calls = 0

    def forward(self, rows: Tensor) -> Tensor:
        self.calls += 1
        return rows + float(self.calls)


def test_a_graph_that_differs_is_not_kept(tmp_path):
    graph = Graph(Drifting(), {"audio": torch.zeros(2, 3)}, {"audio": {0: "clips"}})
    with pytest.raises(RunError, match="differs from the model"):
        write_onnx(graph, tmp_path / "model.onnx")
    assert list(tmp_path.iterdir()) == []
