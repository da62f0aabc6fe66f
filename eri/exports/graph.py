"""A run's model as an ONNX graph: from features, or from face crops, to intensities."""

from __future__ import annotations

import contextlib
import io
import logging
import warnings
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from eri.config import LightGBMConfig, VideoModelConfig
from eri.models import Regressor, Sequences
from eri.models.video.regressor import VideoRegressor
from eri.training.neural import load_model, load_video_model
from eri.training.run_folder import Run
from eri.utils.errors import ConfigError, MissingDependencyError, RunError
from eri.utils.files import atomic_path

_TOLERANCE = 1e-4  # largest difference between what the graph and the model give
_CLIPS, _ROWS = 2, 5  # of the example that the graph is traced with; both may be any number afterwards


@dataclass(frozen=True, eq=False)
class Graph:
    """A model in evaluation mode that can be written as ONNX, with examples of its inputs by name."""

    module: nn.Module
    inputs: Mapping[str, Tensor]
    dynamic: Mapping[str, Mapping[int, str]]  # names of the axes that may have any length, by input and axis


class Predictions(nn.Module):
    """A model with its normalisation and bound: predictions within the task's range, float32 (clips, labels)."""

    def __init__(self, model: Regressor | VideoRegressor) -> None:
        super().__init__()
        self.model = model

    def forward(self, *inputs: Tensor) -> Tensor:
        """Predict clips.

        Inputs of a head are each modality's valid rows, visual before audio, float32 (clips, rows, dimension), then
        their seconds (clips, rows); that of a video model RGB crops, uint8 (clips, frames, 3, side, side).
        """
        if isinstance(self.model, VideoRegressor):
            result: Tensor = self.model(inputs[0])[0]
        else:
            count = len(inputs) // 2
            own = zip(self.model.standardizers, inputs[:count], inputs[count:], strict=True)
            result = self.model({name: _all_valid(values, times) for name, values, times in own})
        return result.clamp(self.model.low, self.model.high)


def _all_valid(values: Tensor, times: Tensor) -> Sequences:
    """Return sequences whose counts are known, so that nothing branches on what stands in the mask."""
    mask = torch.ones(values.shape[:2], dtype=torch.bool, device=values.device)
    return Sequences(values, mask, times, mask.sum(dim=1))


def build_graph(run: Run) -> Graph:
    """Return a run's model as a graph; ConfigError where it is none of a fixed graph, RunError without weights."""
    if isinstance(run.config.model, LightGBMConfig):
        raise ConfigError(
            f"{run.path}: boosted trees are no ONNX graph here", hint="The exported folder has them as LightGBM's text."
        )
    if isinstance(run.config.model, VideoModelConfig):
        return video_graph(load_video_model(run))
    if run.config.finetune is not None:
        raise ConfigError(
            f"{run.path}: a backbone that was trained with its head is not written as ONNX",
            hint="The exported folder has it as safetensors, which eri.load takes.",
        )
    dimensions = run.environment["dimensions"]
    return head_graph(load_model(run, dimensions), dimensions)


def video_graph(model: VideoRegressor) -> Graph:
    """Return a video model as a graph."""
    shape = (_CLIPS, model.network.frames, 3, model.network.side, model.network.side)
    example = torch.randint(0, 256, shape, dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    return Graph(Predictions(model).eval(), {"pictures": example}, {"pictures": {0: "clips"}})


def head_graph(model: Regressor, dimensions: Mapping[str, int]) -> Graph:
    """Return a head as a graph; ``dimensions`` are the lengths of one embedding by modality."""
    generator = torch.Generator().manual_seed(0)
    rows = {name: _ROWS + place for place, name in enumerate(dimensions)}
    values = {name: torch.randn((_CLIPS, rows[name], size), generator=generator) for name, size in dimensions.items()}
    times = {f"{name}_times": torch.arange(float(rows[name])).expand(_CLIPS, -1) for name in dimensions}
    axes = {name: {0: "clips", 1: f"{name.removesuffix('_times')}_rows"} for name in (*values, *times)}
    return Graph(Predictions(model).eval(), {**values, **times}, axes)


def write_onnx(graph: Graph, path: Path) -> float:
    """Write a graph as ONNX, weights inside, and return how far its predictions are from the model's at most.

    They are compared on inputs of several sizes. ConfigError where the model does what a graph cannot,
    MissingDependencyError without the extra ``export``, RunError where the two differ by more than 1e-4.
    """
    try:
        import onnx  # noqa: F401  (what torch writes with)
        import onnxruntime
    except ImportError as error:
        raise MissingDependencyError(
            f"ONNX needs the package {error.name}, which is not installed",
            hint="pip install 'eri[export]', or leave ONNX out with --no-onnx.",
        ) from error
    with atomic_path(path) as temporary:
        with _quietly():
            torch.onnx.export(
                graph.module,
                tuple(graph.inputs.values()),
                str(temporary),
                input_names=list(graph.inputs),
                output_names=["predictions"],
                opset_version=18,
                dynamo=False,  # tracing: these graphs have no branches, and it takes a tenth of the time
                dynamic_axes={**graph.dynamic, "predictions": {0: "clips"}},
                verbose=False,
            )
        session = onnxruntime.InferenceSession(temporary.read_bytes(), providers=["CPUExecutionProvider"])
        difference = max(_difference(graph, session, inputs) for inputs in _trials(graph))
        if not difference <= _TOLERANCE:
            raise RunError(f"{path}: the graph differs from the model by {difference:.2g}", hint="Use --no-onnx.")
    return difference


def _trials(graph: Graph) -> Iterator[dict[str, Tensor]]:
    """Yield the example, and inputs of other sizes along every axis that may have any."""
    yield dict(graph.inputs)
    for clips, rows in ((1, 1), (3, 11)):
        yield {name: _resized(example, graph.dynamic[name], clips, rows) for name, example in graph.inputs.items()}


def _resized(example: Tensor, axes: Mapping[int, str], clips: int, rows: int) -> Tensor:
    for axis, length in zip(axes, (clips, rows), strict=False):
        example = example.index_select(axis, torch.arange(length) % example.shape[axis])
    return example


def _difference(graph: Graph, session: Any, inputs: Mapping[str, Tensor]) -> float:
    with torch.inference_mode():
        expected = graph.module(*inputs.values()).numpy()
    read = {given.name for given in session.get_inputs()}  # few heads read the rows' seconds
    (found,) = session.run(None, {name: tensor.numpy() for name, tensor in inputs.items() if name in read})
    return float(np.abs(np.asarray(found) - expected).max())


@contextlib.contextmanager
def _quietly() -> Iterator[None]:
    """Silence the exporter, which prints steps and warns of its own innards, and put its errors in our words."""
    logger = logging.getLogger("torch.onnx")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
            warnings.simplefilter("ignore")
            yield
    except torch.onnx.errors.OnnxExporterError as error:
        reason = str(error).partition("\n")[0][:200]
        raise ConfigError(f"this model cannot be written as ONNX: {reason}", hint="Use --no-onnx.") from error
    finally:
        logger.setLevel(level)
