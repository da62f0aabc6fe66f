"""What a model costs: parameters, multiply-accumulate operations, memory and time for one input."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import FlopCounterMode, sdpa_flop_count

from eri.config.models import VideoModelConfig
from eri.models.video import PublishedCost, create_video_model

_TOLERANCE = 0.02  # a published count that differs by a larger share asks for an explanation
_WARM_UP = 3
_LEAST_RUNS = 3
_CLEAR_REFS, _STATUS = Path("/proc/self/clear_refs"), Path("/proc/self/status")
_Shape = Sequence[int]


@dataclass(frozen=True)
class Work:
    """Multiply-accumulate operations (MACs) of one forward pass.

    ``macs`` are those of convolutions, matrix products, recurrent layers and attention. The ``parts`` by submodule, in
    the order of their first use, add up to them, but for what is computed outside of any submodule.
    """

    macs: int
    parts: dict[str, int]
    left_out: tuple[str, ...]  # operators that ran and have no products to accumulate


@dataclass(frozen=True)
class Profile:
    """What a model costs for one input.

    ``memory`` is the most bytes held at once: on CUDA by tensors, weights included; else by the whole process, Python
    and libraries included. None where the system does not tell.
    """

    parameters: int
    trainable: int
    work: Work
    memory: int | None
    latency: float  # median of the timed runs, in seconds
    runs: int  # how many were timed, after some that were not
    device: str


@dataclass(frozen=True)
class Comparison:
    """A count beside the published one, in the unit of the publication."""

    measured: float
    published: float | None

    @property
    def difference(self) -> float | None:
        """What the measured count has more than the published one, as a share of it; None where none is published."""
        return None if self.published is None else self.measured / self.published - 1

    @property
    def agrees(self) -> bool:
        """Whether the two are within 2 %, or none is published."""
        return self.difference is None or abs(self.difference) <= _TOLERANCE


@dataclass(frozen=True)
class VideoProfile:
    """What a video model costs for one clip, beside what its paper states."""

    name: str
    input: str  # what one clip is, in words
    profile: Profile
    published: PublishedCost | None

    @property
    def parameters(self) -> Comparison:
        """Parameters in millions, beside the published."""
        return Comparison(self.profile.parameters / 1e6, self.published.parameters if self.published else None)

    @property
    def macs(self) -> Comparison:
        """MACs of one clip in 10^9, beside the published."""
        return Comparison(self.profile.work.macs / 1e9, self.published.macs if self.published else None)


def profile_video_model(
    config: VideoModelConfig, labels: int, device: torch.device | None = None, *, runs: int = 20, seconds: float = 20.0
) -> VideoProfile:
    """Build a video model with random weights, and measure it on one clip of zeros; see :func:`profile_model`.

    Weights do not change what it costs, so none are fetched. It runs on the CPU unless a device is given.
    """
    if "weights" in type(config).model_fields:
        config = config.model_copy(update={"weights": "random"})
    device = device or torch.device("cpu")
    model = create_video_model(config, labels).to(device)
    clip = torch.zeros(1, model.frames, 3, model.side, model.side, device=device)
    profile = profile_model(model, clip, runs=runs, seconds=seconds)
    words = f"one clip of {model.frames} frames, {model.side} × {model.side}, {labels} labels"
    return VideoProfile(config.name, words, profile, model.published)


def profile_model(model: nn.Module, *inputs: Any, runs: int = 20, seconds: float = 20.0) -> Profile:
    """Measure a model in evaluation mode, on its device and that of the inputs; its mode is the same afterwards.

    ``runs`` are timed; after ``seconds`` no further run begins, but three are timed at least.
    """
    parameters = list(model.parameters())
    device = parameters[0].device if parameters else torch.device("cpu")
    with _evaluation(model):
        work = count_macs(model, *inputs)
        with torch.inference_mode():
            memory = _peak_memory(lambda: model(*inputs), device)
            times = _time_runs(lambda: model(*inputs), device, runs, seconds)
    return Profile(
        parameters=sum(parameter.numel() for parameter in parameters),
        trainable=sum(parameter.numel() for parameter in parameters if parameter.requires_grad),
        work=work,
        memory=memory,
        latency=statistics.median(times),
        runs=len(times),
        device=torch.cuda.get_device_name(device) if device.type == "cuda" else device.type,
    )


def count_macs(model: nn.Module, *inputs: Any) -> Work:
    """Count a forward pass, whatever code it runs through.

    Half the floating-point operations of :class:`torch.utils.flop_counter.FlopCounterMode`, which knows convolutions
    and matrix products. It passes over the fused LSTMs of oneDNN and cuDNN, and attention on the CPU; these are added.
    Positions that a convolution pads count as the others do, biases count nothing.

    Examples:
        >>> count_macs(nn.Linear(3, 5), torch.zeros(2, 3)).macs
        30
    """
    counter = FlopCounterMode(display=False, custom_mapping=_FORMULAS)
    recorder = _Recorder()
    with _evaluation(model), _plain_attention(), torch.no_grad(), recorder, counter:
        model(*inputs)
    known = counter.flop_registry
    left_out = sorted({packet.__name__.strip("_") for packet in recorder.seen if packet not in known})
    flops = {name: sum(counts.values()) for name, counts in counter.get_flop_counts().items()}
    return Work(counter.get_total_flops() // 2, _parts(model, flops), tuple(left_out))


def _parts(model: nn.Module, flops: dict[str, int]) -> dict[str, int]:
    """Return MACs by submodule; one with most of the work is split into its own submodules once more."""

    def of(module: nn.Module, path: str) -> int:
        # A container whose parts are called one by one was never called itself.
        return flops.get(path) or sum(of(child, f"{path}.{name}") for name, child in module.named_children())

    root, total = type(model).__name__, flops.get("Global", 0)
    result: dict[str, int] = {}
    for name, module in model.named_children():
        own = of(module, f"{root}.{name}")
        inner = {f"{name}.{below}": of(child, f"{root}.{name}.{below}") for below, child in module.named_children()}
        split = own > total / 2 and sum(inner.values()) == own
        result.update(inner if split else {name: own})
    return {name: value // 2 for name, value in result.items() if value}


class _Recorder(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Records every operator that computes something new."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.seen: dict[Any, None] = {}

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if not func.is_view:
            self.seen[func._overloadpacket] = None
        return func(*args, **(kwargs or {}))


def _fused_layer(given: _Shape, *weights_and_more: Any, **_: Any) -> int:
    """Count one layer in one direction of oneDNN: every weight of its two matrices for every step of every clip."""
    weights = weights_and_more[:2]
    return int(2 * given[0] * given[1] * sum(shape[0] * shape[1] for shape in weights))


def _fused_stack(given: _Shape, weights: Sequence[_Shape], *_: Any, **__: Any) -> int:
    """Count all layers and directions of cuDNN, whose input is (steps, clips, size), or packed (rows, size)."""
    rows = given[0] * (given[1] if len(given) == 3 else 1)
    return 2 * rows * sum(shape[0] * shape[1] for shape in weights if len(shape) == 2)


def _attention(query: _Shape, key: _Shape, value: _Shape, *_: Any, **__: Any) -> int:
    return int(sdpa_flop_count(query, key, value))  # type: ignore[no-untyped-call]


_FORMULAS: dict[Any, Callable[..., int]] = {
    torch.ops.aten.mkldnn_rnn_layer: _fused_layer,
    torch.ops.aten._cudnn_rnn: _fused_stack,
    torch.ops.aten._scaled_dot_product_flash_attention_for_cpu: _attention,
}


@contextmanager
def _evaluation(model: nn.Module) -> Iterator[None]:
    modes = {module: module.training for module in model.modules()}
    model.eval()
    try:
        yield
    finally:
        for module, mode in modes.items():
            module.training = mode


@contextmanager
def _plain_attention() -> Iterator[None]:
    """Keep torch's attention layers from running as one operator that cannot be looked into."""
    before = torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(False)
    try:
        yield
    finally:
        torch.backends.mha.set_fastpath_enabled(before)


def _peak_memory(run: Callable[[], object], device: torch.device) -> int | None:
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
        run()
        return int(torch.cuda.max_memory_allocated(device))
    try:
        _CLEAR_REFS.write_text("5")  # sets the process's high-water mark back to what it holds now
        run()
        lines = _STATUS.read_text(encoding="ascii").splitlines()
    except OSError:
        return None
    return next((1024 * int(line.split()[1]) for line in lines if line.startswith("VmHWM:")), None)


def _time_runs(run: Callable[[], object], device: torch.device, runs: int, seconds: float) -> list[float]:
    def finish() -> float:
        if device.type == "cuda":
            torch.cuda.synchronize(device)
        return time.perf_counter()

    begun = finish()
    for _ in range(_WARM_UP):
        run()
        if finish() - begun > seconds / 2:
            break
    times: list[float] = []
    while len(times) < runs and (len(times) < min(_LEAST_RUNS, runs) or finish() - begun < seconds):
        start = finish()
        run()
        times.append(finish() - start)
    return times
