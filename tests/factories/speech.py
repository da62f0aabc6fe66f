"""Tiny speech models with random weights, saved as transformers saves them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

FAMILIES = ("wav2vec2", "wav2vec2-large", "hubert", "wavlm")
"""``wav2vec2-large`` normalises per layer in its front end and before each layer; the others as base models do."""


def speech_model(family: str = "wav2vec2", seed: int = 0) -> Any:
    """Return a model with four hidden states of 32 values and the usual front end, in evaluation mode."""
    import transformers

    classes = {
        "wav2vec2": (transformers.Wav2Vec2Config, transformers.Wav2Vec2Model),
        "wav2vec2-large": (transformers.Wav2Vec2Config, transformers.Wav2Vec2Model),
        "hubert": (transformers.HubertConfig, transformers.HubertModel),
        "wavlm": (transformers.WavLMConfig, transformers.WavLMModel),
    }
    config_class, model_class = classes[family]
    large = {"do_stable_layer_norm": True, "feat_extract_norm": "layer"} if family == "wav2vec2-large" else {}
    config = config_class(
        hidden_size=32,
        num_hidden_layers=3,
        num_attention_heads=2,
        intermediate_size=64,
        conv_dim=(32,) * 7,
        num_conv_pos_embeddings=16,
        num_conv_pos_embedding_groups=4,
        **large,
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return model_class(config).eval()


def write_speech_model(
    folder: Path, family: str = "wav2vec2", *, seed: int = 0, safe: bool = True, features: dict[str, Any] | None = None
) -> Path:
    """Save a tiny model.

    Args:
        folder: Where; made when need be.
        family: One of :data:`FAMILIES`.
        seed: Of its weights.
        safe: As safetensors; else as a checkpoint of ``torch.save``, as old repositories have it.
        features: Settings of the feature extractor saved beside it; None saves none.
    """
    from transformers import Wav2Vec2FeatureExtractor
    from transformers.utils import logging

    bars = logging.is_progress_bar_enabled()
    logging.disable_progress_bar()
    model = speech_model(family, seed)
    model.save_pretrained(folder)
    if not safe:
        (folder / "model.safetensors").unlink()
        torch.save(model.state_dict(), folder / "pytorch_model.bin")
    if features is not None:
        Wav2Vec2FeatureExtractor(**features).save_pretrained(folder)
    if bars:
        logging.enable_progress_bar()
    return folder


def voice(seconds: float, *, pitch: float = 140.0, seed: int = 0, rate: int = 16_000) -> NDArray[np.float32]:
    """Return sound that resembles speech: a gliding, syllabic buzz with formants and breath, float32 in [-1, 1]."""
    generator = np.random.default_rng(seed)
    time = np.arange(round(seconds * rate)) / rate
    glide = pitch * (1 + 0.15 * np.sin(2 * np.pi * 0.9 * time + seed) + 0.02 * np.sin(2 * np.pi * 5.5 * time))
    phase = 2 * np.pi * np.cumsum(glide) / rate
    sound = np.zeros_like(time)
    formants = np.array([500.0, 1500.0, 2500.0]) * (1 + 0.1 * np.sin(seed + np.arange(3)))
    for harmonic in range(1, int(4000 / pitch)):
        strength = sum(1 / (1 + ((harmonic * pitch - formant) / 120) ** 2) for formant in formants)
        sound += strength * np.sin(harmonic * phase) / np.sqrt(harmonic)
    syllables = np.clip(np.sin(2 * np.pi * 3.1 * time + seed), 0.02, 1)
    sound = sound / np.abs(sound).max() * syllables + generator.normal(0, 0.004, len(time))
    loud: NDArray[np.float32] = (0.4 * sound / np.abs(sound).max()).astype(np.float32)
    return loud
