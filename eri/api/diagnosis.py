"""Before anything runs: the functions behind `eri doctor`, `configs`, `schema`, `plan` and `profile`."""

from __future__ import annotations

import importlib.util
import os
import platform
import re
import shutil
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from importlib.metadata import PackageNotFoundError, requires, version
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from eri.api.choices import OnEvent, PathLike, documented
from eri.api.commands import usual_workers
from eri.api.progress import reporting
from eri.utils.errors import ConfigError
from eri.utils.tables import ShownList

if TYPE_CHECKING:
    import pandas as pd

    from eri.extraction.planning import Plan
    from eri.models.profile import VideoProfile

Status = Literal["ready", "optional", "missing"]

_OPTIONAL = {
    "retinaface-pytorch": ("retinaface", "The retinaface detector: pip install --no-deps retinaface-pytorch==0.0.8"),
    "scikit-learn": ("sklearn", "Only `eri draw embeddings` needs it: pip install 'eri[pictures]'"),
    "opensmile": ("opensmile", "Only eGeMAPS needs it, not for commercial use: pip install 'eri[opensmile]'"),
    "s3fs": ("s3fs", "Only s3:// needs it: pip install 'eri[s3]'"),
    "gcsfs": ("gcsfs", "Only gs:// needs it: pip install 'eri[gcs]'"),
    "librosa": ("librosa", "Only the tests need it: pip install 'eri[test]'"),
}


@dataclass(frozen=True)
class Check:
    """One line of the doctor's report.

    Attributes:
        section: What the line belongs to: ``machine``, ``packages``, ``plugins``, ``extractors``,
            ``weights`` or ``folders``.
        name: What is checked.
        status: ``ready``, ``optional`` (a gap that need not be closed) or ``missing``.
        found: Version, path or number found.
        advice: What to do about a gap; empty when there is none.
    """

    section: str
    name: str
    status: Status
    found: str
    advice: str = ""


@documented
def doctor(
    features: PathLike = "features", *, progress: bool | None = None, on_event: OnEvent | None = None
) -> list[Check]:
    """List what is installed and ready, and what to do about each gap.

    Nothing is downloaded and no model is loaded.

    Args:
        features: Folder of cached features whose disk is checked.
    """
    with reporting("checking what is installed", progress, on_event):
        checks = [*_machine(), *_packages(), *_plugins(), *_extractors(), *_weights(), *_folders(Path(features))]
    return ShownList("checks", ("section", "name", "status", "found", "advice"), checks)


def configs() -> pd.DataFrame:
    """List the systems that can be trained by name, with the published scores.

    Returns:
        One row per config, indexed by its name: ``modality``, ``description``, and of what a paper reports ``metric``,
        ``validation``, ``test`` and ``source``.
    """
    import pandas as pd

    from eri.config import config_names, load_config

    rows = []
    for config in map(load_config, config_names()):
        paper = config.published
        scores = [paper.metric, paper.validation, paper.test, paper.source] if paper else [None] * 4
        rows.append([config.name, config.modality, config.description, *scores])
    columns = ["config", "modality", "description", "metric", "validation", "test", "source"]
    return pd.DataFrame(rows, columns=columns).set_index("config")


def schema() -> dict[str, Any]:
    """Print the JSON schema of a config, for editors."""
    from eri.config import config_schema

    return config_schema()


@documented
def plan(
    *,
    clips: Annotated[int, "Number of clips."],
    config: PathLike = "yap-csm-v4",
    seconds: Annotated[float | None, "Mean length of a clip; as measured if omitted."] = None,
    device: Annotated[str, "Device of the model: cpu, or cuda for any GPU."] = "cpu",
    workers: Annotated[int | None, "Processes that decode, on each machine."] = None,
    machines: Annotated[int, "Number of machines, each with its shard."] = 1,
    price: Annotated[float | None, "Price of one machine for an hour."] = None,
    measure: Annotated[PathLike | None, "Data set of which a few clips are extracted now."] = None,
    sample: Annotated[int, "With ``measure``: number of clips."] = 64,
    rates: Annotated[PathLike | None, "The rates.json of a feature folder, of any machine."] = None,
    save: Annotated[PathLike | None, "File to write the rates to, for ``rates``."] = None,
    adapter: str | None = None,
    features: PathLike = "features",
    progress: bool | None = None,
    on_event: OnEvent | None = None,
) -> Plan:
    """Estimate the time, storage and cost of an extraction, what its bottleneck is, and what makes it faster.

    Raises:
        EriError: Nothing was measured that a plan could be made from, or a number that cannot be.
    """
    from eri.config import Runtime, load_config
    from eri.data import load_clips
    from eri.extraction.planning import choose_rates, group_rates, measure_rates, plan_extraction, stored_rates
    from eri.extraction.rates import encode_rates, read_rates
    from eri.features.store import local_features
    from eri.utils.files import write_json

    system = load_config(config)
    configs = [*system.extractors.values(), *system.drawn]
    if measure is not None:
        runtime = Runtime(device=device, workers=usual_workers() if workers is None else workers)
        with reporting("measuring", progress, on_event) as report:
            table = load_clips(Path(measure), adapter)
            found = [[one] for one in measure_rates(table, configs, runtime, sample=sample, on_event=report)]
        origin = f"{sample} clips of {measure}"
    elif rates is not None:
        found, origin = group_rates(read_rates(Path(rates))), str(rates)
    else:
        found, origin = stored_rates(local_features(features), configs), f"earlier extractions into {features}"
    chosen = choose_rates(found, device, workers)
    if save is not None:
        write_json(Path(save), encode_rates(chosen))
    planned = plan_extraction(chosen, clips, seconds=seconds, workers=workers, machines=machines, price=price)
    return replace(planned, origin=origin)


@documented
def profile(
    config: PathLike,
    *,
    overrides: Annotated[Sequence[str], "Dotted settings, such as ``model.frames=8``."] = (),
    labels: Annotated[int, "Outputs of the model: the task's labels or classes."] = 7,
    runs: Annotated[int, "Number of timed runs, after some that are not timed."] = 20,
    seconds: Annotated[float, "Seconds after which no further run begins."] = 20.0,
    device: str = "cpu",
    progress: bool | None = None,
    on_event: OnEvent | None = None,
) -> VideoProfile:
    """Show a video model's parameters, MACs, memory and latency for one clip, beside the published values.

    Raises:
        ConfigError: The system has no video model.
    """
    from eri.config import VideoModelConfig, load_config
    from eri.models.profile import profile_video_model
    from eri.models.running import resolve_device

    system = load_config(config, overrides)
    model = system.model
    if not isinstance(model, VideoModelConfig):
        raise ConfigError(
            f"'{system.name}' reads cached features, so that its cost is that of its extractors",
            hint="Profile a system whose model reads images, such as r2plus1d-scl.",
        )
    with reporting(f"measuring {system.name}", progress, on_event):
        return profile_video_model(model, labels, resolve_device(device), runs=runs, seconds=seconds)


def _machine() -> Iterator[Check]:
    found = f"{platform.python_version()} on {platform.system()} {platform.machine()}"
    yield Check("machine", "python", "ready", found)
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    yield Check("machine", "processor", "ready", f"{cores} cores")
    if not _installed("torch"):
        yield Check("machine", "device", "missing", "torch is not installed", "Install eri's requirements.")
        return
    import torch

    for index in range(torch.cuda.device_count()):
        properties = torch.cuda.get_device_properties(index)
        memory = f"{properties.total_memory / 2**30:.0f} GiB"
        yield Check("machine", f"cuda:{index}", "ready", f"{properties.name}, {memory}")
    if not torch.cuda.is_available():
        advice = "This torch is built without CUDA; everything runs on the CPU."
        if built := torch.version.cuda:
            sees = f"torch is built for CUDA {built} but sees no device"
            advice = f"{sees}; is there a GPU, and is its driver new enough?"
        yield Check("machine", "cuda", "optional", "none: the CPU is used", advice)


def _installed(module: str) -> bool:
    return importlib.util.find_spec(module) is not None


def _packages() -> Iterator[Check]:
    required = []
    for line in requires("eri") or []:
        requirement, _, marker = line.partition(";")
        if "extra" not in marker:
            required.append(re.split("[<>=]", requirement)[0].strip())
    for name in sorted(required):
        try:
            yield Check("packages", name, "ready", version(name))
        except PackageNotFoundError:
            yield Check("packages", name, "missing", "not installed", f"pip install {name}")
    for name, (module, advice) in _OPTIONAL.items():
        if _installed(module):
            yield Check("packages", name, "ready", version(name))
        else:
            yield Check("packages", name, "optional", "not installed", advice)
    advice = "torch, torchvision and torchaudio must come from one index: install all three from the same place."
    for name in ("torchvision", "torchaudio"):
        try:
            __import__(name)
        except (ImportError, OSError, RuntimeError) as error:
            yield Check("packages", f"{name} beside torch", "missing", str(error).splitlines()[0], advice)
        else:
            yield Check("packages", f"{name} beside torch", "ready", "loads")


def _plugins() -> Iterator[Check]:
    from eri.config import DETECTORS, EXTRACTORS, LOSSES, MODELS
    from eri.data.adapters.registry import ADAPTERS
    from eri.submission.formats import FORMATS
    from eri.utils.registry import Registry, plugins

    found = plugins()
    modules = [plugin.module for plugin in found]
    others: tuple[Registry[Any], ...] = (EXTRACTORS, ADAPTERS, DETECTORS, LOSSES, FORMATS)
    kinds: dict[str, Registry[Any]] = {"head": MODELS} | {registry.kind: registry for registry in others}
    registered = [(kinds[kind].origin(name), f"{kind} {name}") for kind in sorted(kinds) for name in kinds[kind]]
    for plugin in found:
        if plugin.error is not None:
            advice = "Correct the module, install what it imports, or do without the plugin."
            yield Check("plugins", plugin.module, "missing", f"{plugin.found}; {plugin.error}", advice)
            continue
        own = [thing for origin, thing in registered if _owner(origin, modules) == plugin.module]
        status: Status = "ready" if own else "optional"
        advice = "" if own else "It registers nothing when it is imported: see docs/extending.md."
        yield Check("plugins", plugin.module, status, f"{plugin.found}; {', '.join(own) or 'nothing'}", advice)


def _owner(origin: str, modules: list[str]) -> str | None:
    """Return the plugin of which a module that registers is a part: the nearest module above it, else its package's."""
    above = [module for module in modules if f"{origin}.".startswith(f"{module}.")]
    beside = [module for module in modules if module.partition(".")[0] == origin.partition(".")[0]]
    return max(above, key=len) if above else next(iter(beside), None)


def _extractors() -> Iterator[Check]:
    retinaface, advice = _OPTIONAL["retinaface-pytorch"]
    detectors: tuple[tuple[str, str, Status, str, str], ...] = (
        ("dlib", "dlib", "missing", "HOG detector", "pip install dlib-bin"),
        ("retinaface", retinaface, "optional", "ResNet-50 and MobileNet-0.25 networks", advice),
    )
    for name, module, without, found, way in detectors:
        if _installed(module):
            yield Check("extractors", f"faces: {name}", "ready", found)
        else:
            yield Check("extractors", f"faces: {name}", without, "not installed", way)
    import timm

    count = len(timm.list_models())
    yield Check("extractors", "images: resnet50, vgg16, any timm name", "ready", f"{count} architectures")
    yield Check("extractors", "audio: deepspectrum", "ready", "mel spectrograms through a timm backbone")
    yield Check("extractors", "audio: wav2vec2", "ready", "wav2vec 2.0, HuBERT, WavLM from transformers")


def _weights() -> Iterator[Check]:
    from eri.weights import status, weights_folder

    for item in status():
        entry = item.entry
        if item.ready:
            yield Check("weights", entry.name, "ready", f"{entry.licence}; {item.path}")
            continue
        fetched = entry.url is not None or entry.hub_id is not None
        how = "Fetched when first used; without a network" if fetched else "There is no official download:"
        what = f"the folder {entry.file_name}" if entry.is_folder else entry.file_name
        advice = item.problem or f"{how} put {what} into {weights_folder()}, or give its path in the config."
        yield Check("weights", entry.name, "optional", f"{entry.licence}; not on this machine", advice)


def _folders(features: Path) -> Iterator[Check]:
    existing = features.absolute()
    while not existing.exists():
        existing = existing.parent
    status: Status = "ready" if os.access(existing, os.W_OK) else "missing"
    free = shutil.disk_usage(existing).free / 2**30
    advice = "" if status == "ready" else f"{existing} cannot be written: choose another folder with --features."
    yield Check("folders", str(features), status, f"{free:.0f} GiB free", advice)
    # 25,067 clips of 32 rows of 2048 float32 take 6.1 GiB.
    if status == "ready" and free < 8:
        yield Check("folders", "space", "optional", f"{free:.1f} GiB", "Features of Hume-Reaction take about 7 GiB.")
    if sys.platform == "win32":
        yield Check("folders", "locks", "optional", "Windows", "Two processes on one folder are tested on Linux only.")
