"""Speech models of transformers: found as a folder or by hub name, loaded whole or refused."""

from __future__ import annotations

import pickle
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from torch import nn

from eri.errors import ConfigError, WeightsError
from eri.media.audio import SAMPLE_RATE
from eri.weights import WEIGHTS, WeightsEntry, locate_weights

# Only training uses the embedding that stands for masked time steps.
_UNUSED = ("masked_spec_embed",)
_OPTION = "audio.model"
_SHOWN = 5


@dataclass(frozen=True, eq=False)
class SpeechModel:
    """A loaded model with what a time grid needs to know of it.

    Attributes:
        model: In evaluation mode on the CPU, float32.
        dimension: Length of one hidden state.
        layers: Number of hidden states, the front end's included.
        field: Samples that one frame depends on.
        stride: Samples from one frame to the next.
        normalize: Whether waveforms are brought to zero mean and unit deviation.
    """

    model: nn.Module
    dimension: int
    layers: int
    field: int
    stride: int
    normalize: bool


def locate_speech_model(name: str) -> Path:
    """Return the local folder of a model, fetching it when need be.

    Args:
        name: A folder, a name of the weights registry, or a hub name such as ``facebook/wav2vec2-base``.

    Raises:
        WeightsError: It is nowhere to be found; the hint says where to put it.
    """
    folder = Path(name).expanduser()
    if folder.is_dir():
        if not (folder / "config.json").is_file():
            raise WeightsError(f"{folder}: holds no config.json", hint="Save the model there with save_pretrained.")
        return folder
    if name.startswith((".", "/", "~")) or name.count("/") > 1:
        raise WeightsError(f"{folder}: no such folder", hint=f"Correct '{_OPTION}'.")
    registered = (entry for entry in WEIGHTS.values() if name in (entry.name, entry.hub_id) and entry.is_folder)
    entry = next(registered, None) or WeightsEntry(
        name=name,
        file_name=name.rsplit("/", 1)[-1],
        origin=f"{name} on the Hugging Face hub",
        licence="not stated",
        hub_id=name,
    )
    return locate_weights(entry, option=_OPTION)


def load_speech_model(folder: Path) -> SpeechModel:
    """Load a model from a local folder, from safetensors or from a checkpoint of tensors only.

    Args:
        folder: As ``save_pretrained`` writes it. Without a ``preprocessor_config.json``, waveforms are normalised.

    Raises:
        ConfigError: The model does not take mono waveforms at 16 kHz.
        WeightsError: Files are damaged, of another shape, or lack tensors.
    """
    from transformers import AutoConfig

    with _quiet(), _in_our_words(folder):
        config = AutoConfig.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
    kernels, strides = getattr(config, "conv_kernel", None), getattr(config, "conv_stride", None)
    if not kernels or not strides:
        raise ConfigError(
            f"{folder}: a model of type '{config.model_type}' takes no waveforms",
            hint="Use wav2vec 2.0, HuBERT, WavLM or one of their kind.",
        )
    normalize = _normalizes(folder)
    model = _load(folder)
    field, stride = 1, 1
    for kernel, step in zip(kernels, strides, strict=True):
        field += (kernel - 1) * stride
        stride *= step
    return SpeechModel(
        model=model.eval(),
        dimension=int(config.hidden_size),
        layers=int(config.num_hidden_layers) + 1,
        field=field,
        stride=stride,
        normalize=normalize,
    )


def round_weights(model: nn.Module) -> None:
    """Round, once and in place, the weights that bf16 autocast would round anew at every pass; numbers stay the same.

    These are those of linear layers and convolutions. A weight that is computed from others is left alone.
    """
    import torch

    for module in model.modules():
        if isinstance(module, nn.Linear | nn.Conv1d) and "weight" in dict(module.named_parameters(recurse=False)):
            module.to(torch.bfloat16)


def _load(folder: Path) -> nn.Module:
    import torch
    from transformers import AutoModel

    with _quiet(), _in_our_words(folder):
        model, report = AutoModel.from_pretrained(
            folder,
            local_files_only=True,
            trust_remote_code=False,
            dtype=torch.float32,
            output_loading_info=True,
            ignore_mismatched_sizes=True,  # so that the report names them, and they are refused below
        )
    missing = sorted(key for key in report["missing_keys"] if not key.endswith(_UNUSED))
    lines = [
        *(
            f"  {key}: the file has {tuple(found)}, the model {tuple(wanted)}"
            for key, found, wanted in sorted(report["mismatched_keys"])
        ),
        *(f"  {key}: missing in the files" for key in missing),
    ]
    if lines:
        shown = "\n".join(lines[:_SHOWN])
        raise WeightsError(
            f"{folder}: {len(lines)} tensors of the model are not in its files, or of another shape:\n{shown}",
            hint="Fetch the folder again; config.json and the weights must be of the same model.",
        )
    loaded: nn.Module = model
    return loaded


def _normalizes(folder: Path) -> bool:
    from transformers import AutoFeatureExtractor

    if not (folder / "preprocessor_config.json").is_file():
        return True
    with _quiet(), _in_our_words(folder):
        features = AutoFeatureExtractor.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
    if not hasattr(features, "do_normalize") or getattr(features, "feature_size", 1) != 1:
        raise ConfigError(f"{folder}: the model takes prepared features, not waveforms")
    if features.sampling_rate != SAMPLE_RATE:
        raise ConfigError(f"{folder}: the model takes sound at {features.sampling_rate} Hz, not at {SAMPLE_RATE} Hz")
    return bool(features.do_normalize)


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep progress bars and notices of transformers off the screen, and restore its settings."""
    from transformers.utils import logging

    level = logging.get_verbosity()
    bars = logging.is_progress_bar_enabled()
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        logging.set_verbosity(level)
        if bars:
            logging.enable_progress_bar()


@contextmanager
def _in_our_words(folder: Path) -> Iterator[None]:
    from safetensors import SafetensorError

    errors: tuple[type[BaseException], ...] = (
        OSError,
        ValueError,
        RuntimeError,
        KeyError,
        SafetensorError,
        pickle.UnpicklingError,
    )
    try:
        yield
    except errors as error:
        lines = [line for line in str(error).splitlines() if line.strip()] or [type(error).__name__]
        detail = "\n".join(f"  {line.strip()}" for line in lines[:6])
        raise WeightsError(
            f"{folder}: cannot be loaded as a speech model:\n{detail}",
            hint="The folder must hold config.json and model.safetensors as save_pretrained writes them.",
        ) from error
