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

TOLERANCE = 1e-4
"""Largest difference between what the graph and the model give."""

_OPSET = 18
_CLIPS, _ROWS = 2, 5
"""Of the example that the graph is traced with; both may be any number afterwards."""


class FullSequences(Sequences):
    """Sequences of clips of one length, every row valid: nothing depends on what stands in the mask.

    Args:
        values: float (clips, rows, dimension).
        times: float32 (clips, rows), seconds from the clip's start; the rows' numbers where none are given.
    """

    def __init__(self, values: Tensor, times: Tensor | None = None) -> None:
        super().__init__(values, torch.ones(values.shape[:2], dtype=torch.bool, device=values.device), times)

    @property
    def full(self) -> bool:
        """True."""
        return True

    def compact(self) -> Sequences:
        """Return the sequences themselves."""
        return self

    def with_values(self, values: Tensor) -> Sequences:
        """Return other values of the same rows."""
        return FullSequences(values, self.times)


class HeadGraph(nn.Module):
    """A head with its standardisation, from the valid rows of clips to predictions within the task's range.

    Args:
        model: Standardisation, head and bound.
    """

    def __init__(self, model: Regressor) -> None:
        super().__init__()
        self.model = model

    def forward(self, *inputs: Tensor) -> Tensor:
        """Predict clips of equal length.

        Args:
            inputs: For each modality, visual before audio, its rows, float32 (clips, rows, dimension); then for each
                their seconds, float32 (clips, rows).

        Returns:
            float32 (clips, labels).
        """
        names = list(self.model.standardizers)
        rows, times = inputs[: len(names)], inputs[len(names) :]
        sequences = {name: FullSequences(*own) for name, *own in zip(names, rows, times, strict=True)}
        result: Tensor = self.model(sequences)
        return result.clamp(self.model.low, self.model.high)


class VideoGraph(nn.Module):
    """A video model with its normalisation, from face crops to predictions within the task's range.

    Args:
        model: Normalisation, network and bound.
    """

    def __init__(self, model: VideoRegressor) -> None:
        super().__init__()
        self.model = model

    def forward(self, pictures: Tensor) -> Tensor:
        """Predict clips.

        Args:
            pictures: RGB on [0, 255], uint8 (clips, frames, 3, side, side): the frames that the model chooses.

        Returns:
            float32 (clips, labels).
        """
        result: Tensor = self.model(pictures)[0]
        return result.clamp(self.model.low, self.model.high)


@dataclass(frozen=True, eq=False)
class Graph:
    """A model that can be written as ONNX, with an example of its inputs.

    Attributes:
        module: The model, in evaluation mode.
        inputs: Examples, by name.
        dynamic: Names of the axes that may have any length, by input and axis.
    """

    module: nn.Module
    inputs: Mapping[str, Tensor]
    dynamic: Mapping[str, Mapping[int, str]]


def build_graph(run: Run) -> Graph:
    """Return a run's model as a graph from features to predictions.

    Raises:
        ConfigError: The model is none of a fixed graph: boosted trees, or a backbone trained with its head.
        RunError: The run has no weights.
    """
    if isinstance(run.config.model, LightGBMConfig):
        raise ConfigError(
            f"{run.path}: boosted trees are no ONNX graph here", hint="The exported folder has them as LightGBM's text."
        )
    if isinstance(run.config.model, VideoModelConfig):
        return video_graph(load_video_model(run))
    dimensions = run.environment["dimensions"]
    if run.config.finetune is not None:
        raise ConfigError(
            f"{run.path}: a backbone that was trained with its head is not written as ONNX",
            hint="The exported folder has it as safetensors, which eri.load takes.",
        )
    return head_graph(load_model(run, dimensions), dimensions)


def video_graph(model: VideoRegressor) -> Graph:
    """Return a video model as a graph.

    Args:
        model: Normalisation, network and bound.
    """
    network = model.network
    shape = (_CLIPS, network.frames, 3, network.side, network.side)
    example = torch.randint(0, 256, shape, dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    return Graph(VideoGraph(model).eval(), {"pictures": example}, {"pictures": {0: "clips"}})


def head_graph(model: Regressor, dimensions: Mapping[str, int]) -> Graph:
    """Return a head as a graph.

    Args:
        model: Standardisation, head and bound.
        dimensions: Length of one embedding by modality.
    """
    generator = torch.Generator().manual_seed(0)
    rows = {name: _ROWS + place for place, name in enumerate(dimensions)}
    values = {name: torch.randn((_CLIPS, rows[name], size), generator=generator) for name, size in dimensions.items()}
    times = {f"{name}_times": torch.arange(float(rows[name])).expand(_CLIPS, -1) for name in dimensions}
    axes = {name: {0: "clips", 1: f"{name.removesuffix('_times')}_rows"} for name in (*values, *times)}
    return Graph(HeadGraph(model).eval(), {**values, **times}, axes)


def write_onnx(graph: Graph, path: Path) -> float:
    """Write a graph as ONNX and compare it with the model on inputs of other sizes.

    Args:
        graph: Of :func:`build_graph`.
        path: The file; its weights are inside.

    Returns:
        The largest difference of a prediction.

    Raises:
        ConfigError: The model does something that a graph cannot.
        MissingDependencyError: The extra ``export`` is not installed.
        RunError: The graph does not give what the model gives, to :data:`TOLERANCE`.
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
        _trace(graph, temporary)
        session = onnxruntime.InferenceSession(temporary.read_bytes(), providers=["CPUExecutionProvider"])
        difference = max(_difference(graph, session, inputs) for inputs in _trials(graph))
        if not difference <= TOLERANCE:
            raise RunError(f"{path}: the graph differs from the model by {difference:.2g}", hint="Use --no-onnx.")
    return difference


def _trace(graph: Graph, path: Path) -> None:
    """Write the graph of what the example goes through."""
    with _quietly():
        torch.onnx.export(
            graph.module,
            tuple(graph.inputs.values()),
            str(path),
            input_names=list(graph.inputs),
            output_names=["predictions"],
            opset_version=_OPSET,
            dynamo=False,  # tracing: these graphs have no branches, and it takes a tenth of the time
            dynamic_axes={**graph.dynamic, "predictions": {0: "clips"}},
            verbose=False,
        )


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
    """Keep the exporter's talk to itself: it prints steps, and warns of its own innards."""
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
