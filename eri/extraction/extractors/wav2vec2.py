"""Hidden states of wav2vec 2.0, HuBERT and WavLM from transformers, on their own 20 ms grid or averaged over a hop."""

from __future__ import annotations

import itertools
import math
import pickle
from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from eri.config import Runtime, Wav2Vec2Config
from eri.extraction.extractors.base import BaseExtractor
from eri.extraction.extractors.preparing import FramePreparer
from eri.features.records import Prepared
from eri.media.audio import SAMPLE_RATE
from eri.media.state import State
from eri.models.running import forward_mode, resolve_device
from eri.utils.errors import ConfigError, WeightsError
from eri.weights import WEIGHTS, WeightsEntry, locate_weights, weights_digest

_UNUSED = "masked_spec_embed"  # the embedding that stands for masked time steps, in training only
_OPTION = "audio.model"
_SHOWN = 5
_SECONDS_A_WAVEFORM = 4
_BLOCK = 1 << 20
_EPSILON = 1e-7  # added to the variance, as the models' own feature extractor does


@dataclass(frozen=True, eq=False)
class SpeechModel:
    """A loaded model, float32 on the CPU in evaluation mode, with what a time grid needs to know of it."""

    model: nn.Module
    dimension: int
    layers: int  # hidden states, the front end's included
    field: int  # samples that one frame depends on
    stride: int  # samples from one frame to the next
    normalize: bool  # whether waveforms are brought to zero mean and unit deviation


def locate_speech_model(name: str) -> Path:
    """Return the local folder of a model, fetching it when need be.

    The name is a folder, one of the weights registry, or a hub name such as ``facebook/wav2vec2-base``.
    """
    folder = Path(name).expanduser()
    if folder.is_dir():
        if not (folder / "config.json").is_file():
            raise WeightsError(f"{folder}: holds no config.json", hint="Save the model there with save_pretrained.")
        return folder
    if name.startswith((".", "/", "~")) or name.count("/") > 1:
        raise WeightsError(f"{folder}: no such folder", hint=f"Correct '{_OPTION}'.")
    registered = (entry for entry in WEIGHTS.values() if name in (entry.name, entry.hub_id) and entry.is_folder)
    file_name, origin = name.rsplit("/", 1)[-1], f"{name} on the Hugging Face hub"
    entry = next(registered, None) or WeightsEntry(
        name=name, file_name=file_name, origin=origin, licence="not stated", hub_id=name
    )
    return locate_weights(entry, option=_OPTION)


def load_speech_model(folder: Path) -> SpeechModel:
    """Load a model as ``save_pretrained`` writes it, from safetensors or from a checkpoint of tensors only.

    Without a ``preprocessor_config.json``, waveforms are normalised. A model that does not take mono waveforms at
    16 kHz is a ConfigError; files that are damaged, of another shape, or lack tensors are a WeightsError.
    """
    from transformers import AutoConfig

    with _loading(folder):
        config = AutoConfig.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
    kernels, strides = getattr(config, "conv_kernel", None), getattr(config, "conv_stride", None)
    if not kernels or not strides:
        raise ConfigError(
            f"{folder}: a model of type '{config.model_type}' takes no waveforms",
            hint="Use wav2vec 2.0, HuBERT, WavLM or one of their kind.",
        )
    normalize = _normalizes(folder)
    field, stride = 1, 1
    for kernel, step in zip(kernels, strides, strict=True):
        field += (kernel - 1) * stride
        stride *= step
    layers = int(config.num_hidden_layers) + 1
    return SpeechModel(_load(folder).eval(), int(config.hidden_size), layers, field, stride, normalize)


def _load(folder: Path) -> nn.Module:
    from transformers import AutoModel

    with _loading(folder):
        model, report = AutoModel.from_pretrained(
            folder,
            local_files_only=True,
            trust_remote_code=False,
            dtype=torch.float32,
            output_loading_info=True,
            ignore_mismatched_sizes=True,  # so that the report names them, and they are refused below
        )
    lines = [
        f"  {key}: the file has {tuple(found)}, the model {tuple(wanted)}"
        for key, found, wanted in sorted(report["mismatched_keys"])
    ]
    missing = sorted(key for key in report["missing_keys"] if not key.endswith(_UNUSED))
    lines += [f"  {key}: missing in the files" for key in missing]
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
    with _loading(folder):
        features = AutoFeatureExtractor.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
    if not hasattr(features, "do_normalize") or getattr(features, "feature_size", 1) != 1:
        raise ConfigError(f"{folder}: the model takes prepared features, not waveforms")
    if features.sampling_rate != SAMPLE_RATE:
        raise ConfigError(f"{folder}: the model takes audio at {features.sampling_rate} Hz, not at {SAMPLE_RATE} Hz")
    return bool(features.do_normalize)


@contextmanager
def _loading(folder: Path) -> Iterator[None]:
    """Keep progress bars and notices of transformers off the screen, and bring its errors into our words."""
    from safetensors import SafetensorError
    from transformers.utils import logging

    level, bars = logging.get_verbosity(), logging.is_progress_bar_enabled()
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    try:
        yield
    except (OSError, ValueError, RuntimeError, KeyError, SafetensorError, pickle.UnpicklingError) as error:
        lines = [line for line in str(error).splitlines() if line.strip()] or [type(error).__name__]
        detail = "\n".join(f"  {line.strip()}" for line in lines[:6])
        raise WeightsError(
            f"{folder}: cannot be loaded as a speech model:\n{detail}",
            hint="The folder must hold config.json and model.safetensors as save_pretrained writes them.",
        ) from error
    finally:
        logging.set_verbosity(level)
        if bars:
            logging.enable_progress_bar()


def _round_weights(model: nn.Module) -> None:
    """Round, once and in place, the weights that bf16 autocast would round again at every pass; numbers stay the same.

    These are those of linear layers and convolutions. A weight that is computed from others is left alone.
    """
    for module in model.modules():
        if isinstance(module, nn.Linear | nn.Conv1d) and "weight" in dict(module.named_parameters(recurse=False)):
            module.to(torch.bfloat16)


@dataclass(frozen=True)
class _Piece:
    """A stretch of one clip that passes through the model at once: some frames, and the samples that they depend on."""

    clip: int
    first: int
    frames: int
    samples: int


class Wav2Vec2Extractor(BaseExtractor):
    """A speech model of transformers over raw waveforms, one embedding per frame or per hop.

    A waveform is brought to zero mean and unit deviation over the whole clip where the model's feature extractor asks
    for it. Audio longer than ``config.chunk`` is embedded in pieces of equal length that overlap by just so much
    that frames go on without a gap. Only pieces of exactly equal length share a batch and none is padded: group
    normalisation in wav2vec2-base takes its statistics over time, so padding would change the features. Audio that is
    shorter than the front end's receptive field (25 ms) is padded with zeros to one frame. A batch holds at most
    ``batch_size`` pieces and 4 seconds of audio for each.

    A row's time is the middle of its frame's receptive field, or the mean over the frames of its hop. The last hidden
    state is the model's output, after its final normalisation.
    """

    name = family = "wav2vec2"
    libraries = ("av", "torch", "transformers")

    def __init__(self, config: Wav2Vec2Config, runtime: Runtime) -> None:
        self._config = config
        self._batch_size = runtime.batch_size
        self._device = resolve_device(runtime.device)
        folder = locate_speech_model(config.model)
        self._weights = weights_digest(folder)
        self._loaded = load_speech_model(folder)
        self._model = self._loaded.model.to(self._device)
        if config.precision == "bf16":
            _round_weights(self._model)
        self.dimension = self._loaded.dimension
        hop = None if config.hop is None else round(config.hop * SAMPLE_RATE)
        self.preparer = FramePreparer(self._loaded.field, self._loaded.stride, hop, SAMPLE_RATE)
        self._chunk = self.preparer.frames(round(config.chunk * SAMPLE_RATE))  # frames of the longest piece
        layer, layers = config.layer, self._loaded.layers
        if layer != "mean" and not -layers <= layer < layers:
            raise ConfigError(
                f"layer {layer}: the model has the hidden states 0 to {layers - 1}",
                hint=f"Set audio.layer to -{layers}..{layers - 1} or 'mean'.",
            )
        if hop is not None and hop < self._loaded.stride:
            frame = self._loaded.stride / SAMPLE_RATE
            raise ConfigError(
                f"a hop of {config.hop} s is shorter than the model's frames of {frame} s",
                hint="Raise audio.hop, or leave it out to keep every frame.",
            )

    def settings(self) -> dict[str, Any]:
        """Return what determines the numbers beside family, rules and libraries."""
        layer = self._config.layer
        return {
            "weights": f"sha256:{self._weights}",
            "layer": layer if layer == "mean" else layer % self._loaded.layers,
            "hop": self.preparer.hop,
            "chunk": self._chunk,
            "normalize": self._loaded.normalize,
            "precision": self._config.precision,
            "rate": SAMPLE_RATE,
        }

    def embed(self, prepared: Sequence[Prepared]) -> list[NDArray[np.float32]]:
        """Embed clips together; each result is float32 (valid rows of that clip, dimension)."""
        preparer = self.preparer
        voiced = [index for index, clip in enumerate(prepared) if (clip.states == State.VALID).any()]
        sums = {index: np.zeros((len(prepared[index].times), self.dimension), np.float32) for index in voiced}
        groups = {index: preparer.groups(preparer.frames(len(prepared[index].inputs))) for index in voiced}
        scales = {index: self._scale(prepared[index].inputs) for index in voiced}
        for batch in self._batches([(index, len(prepared[index].inputs)) for index in voiced]):
            waveforms = np.stack([self._cut(prepared[piece.clip].inputs, piece, scales[piece.clip]) for piece in batch])
            for piece, hidden in zip(batch, self._forward(waveforms), strict=True):
                rows = groups[piece.clip][piece.first : piece.first + piece.frames]
                starts = np.flatnonzero(np.diff(rows, prepend=-1))
                sums[piece.clip][rows[starts]] += np.add.reduceat(hidden, starts)
        results = [np.zeros((0, self.dimension), np.float32) for _ in prepared]
        for index in voiced:
            counts = np.bincount(groups[index])[:, None].astype(np.float32)
            results[index] = (sums[index] / counts)[prepared[index].states == State.VALID]
        return results

    def _batches(self, lengths: Sequence[tuple[int, int]]) -> Iterator[list[_Piece]]:
        """Yield pieces of clips (index, samples), of exactly equal length and few enough for a batch."""
        buckets: defaultdict[int, list[_Piece]] = defaultdict(list)
        for clip, samples in lengths:
            for piece in self._pieces(clip, samples):
                buckets[piece.samples].append(piece)
        for samples, pieces in buckets.items():
            fitting = self._batch_size * _SECONDS_A_WAVEFORM * SAMPLE_RATE // samples
            size = max(1, min(self._batch_size, fitting))
            yield from (pieces[start : start + size] for start in range(0, len(pieces), size))

    def _pieces(self, clip: int, samples: int) -> list[_Piece]:
        frames = self.preparer.frames(samples)
        count = -(-frames // self._chunk)
        bounds = [frames * index // count for index in range(count + 1)]
        field, stride = self._loaded.field, self._loaded.stride
        pieces = []
        for index, (first, last) in enumerate(itertools.pairwise(bounds)):
            # A last piece takes along the few samples after the last frame, as the model alone would.
            whole = samples - first * stride if index == count - 1 else 0
            pieces.append(_Piece(clip, first, last - first, max(whole, (last - first - 1) * stride + field)))
        return pieces

    def _scale(self, samples: NDArray[np.float32]) -> tuple[float, float]:
        """Return what is subtracted from a clip's samples and what then divides them."""
        if not self._loaded.normalize:
            return 0.0, 1.0
        # Piece by piece, because a long clip is a memory map.
        pieces = [samples[start : start + _BLOCK] for start in range(0, len(samples), _BLOCK)]
        mean = sum(float(piece.sum(dtype=np.float64)) for piece in pieces) / len(samples)
        variance = sum(float(np.square(piece - mean, dtype=np.float64).sum()) for piece in pieces) / len(samples)
        return mean, math.sqrt(variance + _EPSILON)

    def _cut(self, samples: NDArray[np.float32], piece: _Piece, scale: tuple[float, float]) -> NDArray[np.float32]:
        start = piece.first * self._loaded.stride
        found = samples[start : start + piece.samples]
        cut = np.zeros(piece.samples, dtype=np.float32)
        cut[: len(found)] = (found - scale[0]) / scale[1]
        return cut

    def _forward(self, waveforms: NDArray[np.float32]) -> NDArray[np.float32]:
        with forward_mode(self._device, self._config.precision):
            output = self._model(torch.from_numpy(waveforms).to(self._device), output_hidden_states=True)
            # Models that normalise before each layer list their last state before its own normalisation.
            *earlier, listed = output.hidden_states
            last = output.last_hidden_state
            states: list[Tensor] = [*earlier, last if last.shape == listed.shape else listed]
            if self._config.layer == "mean":
                hidden = torch.stack([state.float() for state in states]).mean(dim=0)
            else:
                hidden = states[self._config.layer].float()
        return hidden.cpu().numpy()
