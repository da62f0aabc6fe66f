"""Image backbones of timm: built by name, filled with weights, giving the embedding before the classifier.

Networks that pool globally take images of any size. VGG's first fully connected layer is a 7 × 7 convolution in timm:
on images over 224 pixels its maps are averaged over positions, under 224 pixels the features are resampled to 7 × 7
first. Models with a fixed grid (ViT) are built for the asked-for size.
"""

from __future__ import annotations

import difflib
import logging
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import timm
import torch
from timm.data import resolve_data_config
from torch import Tensor, nn

from eri.config import Precision
from eri.models import vggface2
from eri.models.folding import freeze
from eri.models.running import forward_mode, to_device
from eri.utils.errors import ConfigError, WeightsError
from eri.weights import WEIGHTS, WeightsEntry, given_weights, load_into, load_state_dict, weights_digest
from eri.weights.registry import Channels

_LOG = logging.getLogger(__name__)
# Names that timm modules give to the function that renames a foreign checkpoint's keys to their own.
_FILTERS = ("checkpoint_filter_fn", "_filter_fn", "_filter_torchvision_pretrained")
_CLASSIFIERS = ("fc.", "head.", "classifier.")


@dataclass(frozen=True, eq=False)
class Backbone:
    """A loaded image model without its classifier, in evaluation mode on its device."""

    model: nn.Module
    device: torch.device
    precision: Precision
    name: str  # architecture and tag in timm
    dimension: int
    side: int  # height and width of the images it takes, in pixels
    mean: Channels  # of images on [0, 1]
    std: Channels
    weights: str  # for identities: sha256:<hex>, or random:<seed>:torch <version>
    folded: bool = False  # batch normalisations were folded into convolutions, which rounds differently

    def embed(self, images: Tensor) -> Tensor:
        """Embed RGB images on [0, 255], any number type, (n, 3, side, side), as float32 (n, dimension) on the CPU."""
        return self.launch(images).cpu()

    def launch(self, images: Tensor) -> Tensor:
        """Embed images as :meth:`embed` does, and leave the result on the device.

        A GPU only receives the work: the next images can be brought together while it works.
        """
        scale = torch.tensor([255.0 * value for value in self.std], device=self.device).view(1, 3, 1, 1)
        shift = torch.tensor([255.0 * value for value in self.mean], device=self.device).view(1, 3, 1, 1)
        with forward_mode(self.device, self.precision):
            inputs = (to_device(images, self.device).float() - shift) / scale
            embedded: Tensor = self.model(inputs.contiguous(memory_format=torch.channels_last))
            return embedded.float()

    def identity(self) -> dict[str, Any]:
        """Return what determines the embeddings of given images, as JSON values."""
        return {
            "model": self.name,
            "weights": self.weights,
            "side": self.side,
            "mean": list(self.mean),
            "std": list(self.std),
            "precision": self.precision,
            **({"batch_norm": "folded"} if self.folded else {}),
        }


def create_backbone(
    name: str,
    *,
    weights: str,
    seed: int,
    input_size: int | None,
    precision: Precision,
    device: torch.device,
    option: str = "weights",
    frozen: bool = False,
) -> Backbone:
    """Build an image model and fill it with weights: ``pretrained``, ``random`` or the path of a checkpoint.

    ``resnet18``, ``resnet50``, ``vgg16`` and ``densenet121`` mean torchvision's ImageNet models, which the papers used,
    ``resnet50-vggface2`` the one of :mod:`eri.models.vggface2`; any other name means timm's own model and weights of
    that name. Weights reach a model through timm's own renaming of foreign keys, so that torchvision's files fit.

    The same ``seed`` gives the same random weights in every process. ``input_size`` is the images' side in pixels, None
    the model's own; hints name the setting ``option``; a ``frozen`` network is for inference only and made quicker by
    :func:`~eri.models.folding.freeze`. ConfigError where timm knows no such model, or it does not take such images;
    WeightsError where weights are nowhere to be found, damaged, or of another model.
    """
    of_faces = name == vggface2.NAME
    full_name = name if of_faces else _full_name(name)
    cfg = None if of_faces else timm.get_pretrained_cfg(full_name)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = vggface2.build_network() if cfg is None else _build(full_name, cfg, input_size)
    if weights == "random":
        _open_branches(model)
        origin = f"random:{seed}:torch {torch.__version__.split('+')[0]}"
    else:
        origin = _fill(model, cfg, full_name, weights=weights, option=option)
    if cfg is None:
        entry = WEIGHTS[name]
        assert entry.mean is not None
        assert entry.std is not None
        side, mean, std = vggface2.SIDE, entry.mean, entry.std
    else:
        data = resolve_data_config({}, pretrained_cfg=cfg.to_dict())
        side, mean, std = int(data["input_size"][1]), data["mean"], data["std"]
    side = input_size or side
    model = model.eval().to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    dimension = _dimension(model, device, side, full_name)
    quickest = freeze(model, precision, side) if frozen else model
    folded = _normalisations(quickest) < _normalisations(model)
    return Backbone(quickest, device, precision, full_name, dimension, side, mean, std, origin, folded)


def _normalisations(model: nn.Module) -> int:
    return sum(isinstance(module, nn.BatchNorm2d) for module in model.modules())


def timm_weights(name: str) -> WeightsEntry:
    """Describe timm's pretrained weights of a model as an entry; WeightsError where timm has none for it."""
    full_name = _full_name(name)
    registered = next((entry for entry in WEIGHTS.values() if entry.timm_name == full_name), None)
    if registered is not None:
        return registered
    cfg = timm.get_pretrained_cfg(full_name)
    if not cfg.url and not cfg.hf_hub_id:
        raise WeightsError(
            f"timm has no pretrained weights for '{full_name}'",
            hint="Set weights to the path of a checkpoint, or to 'random'.",
        )
    file_name = Path(urlsplit(cfg.url or "").path).name
    return WeightsEntry(
        name=full_name,
        # What the hub calls model.safetensors for every model needs a name of its own in a folder of weights.
        file_name=f"{full_name}.safetensors" if cfg.hf_hub_id else file_name,
        origin=cfg.origin_url or "timm",
        licence=cfg.license or "not stated",
        url=None if cfg.hf_hub_id else cfg.url,
        hub_id=cfg.hf_hub_id,
        hub_file=(cfg.hf_hub_filename or "model.safetensors") if cfg.hf_hub_id else None,
        mean=cfg.mean,
        std=cfg.std,
        timm_name=full_name,
    )


def _full_name(name: str) -> str:
    entry = WEIGHTS.get(name)
    full_name = (entry.timm_name if entry is not None else None) or name
    if not timm.is_model(full_name):
        close = difflib.get_close_matches(name, timm.list_models(), n=3, cutoff=0.5)
        raise ConfigError(
            f"no image model is named '{name}'",
            hint=f"Perhaps {', '.join(close)}; timm.list_models() knows them all." if close else None,
        )
    try:
        cfg = timm.get_pretrained_cfg(full_name)
    except RuntimeError as error:
        architecture = full_name.partition(".")[0]
        known = ", ".join(timm.list_pretrained(f"{architecture}.*")) or "none"
        raise ConfigError(f"no image model is named '{name}'", hint=f"Weights of {architecture}: {known}.") from error
    return f"{cfg.architecture}.{cfg.tag}" if cfg.tag else str(cfg.architecture)


def _build(name: str, cfg: Any, input_size: int | None) -> nn.Module:
    options = {"img_size": input_size} if input_size and cfg.fixed_input_size else {}
    try:
        model: nn.Module = timm.create_model(name, pretrained=False, num_classes=0, **options)
    except (TypeError, ValueError, RuntimeError, AssertionError) as error:
        raise ConfigError(f"timm cannot build '{name}' with {options or 'its own input size'}: {error}") from error
    return model


def _open_branches(model: nn.Module) -> None:
    """Give normalisations whose scale starts at zero the scale one.

    timm starts ResNets with every residual branch switched off, which helps training. Untrained, such a network sees
    only a sparse grid of pixels.
    """
    with torch.no_grad():
        for module in model.modules():
            scale = getattr(module, "weight", None)
            if isinstance(scale, nn.Parameter) and scale.ndim == 1 and not scale.any():
                scale.fill_(1.0)


def _fill(model: nn.Module, cfg: Any, name: str, *, weights: str, option: str) -> str:
    """Give a freshly built model its weights, and return what they are for its identity; no cfg means VGGFace2's."""
    entry = name if cfg is None or weights != "pretrained" else timm_weights(name)
    path = given_weights(weights, entry, option=option)
    tensors = load_state_dict(path)
    if cfg is None:
        tensors, ignore = vggface2.rename_keys(tensors), vggface2.CLASSIFIERS
    else:
        tensors = _rename(model, tensors, path)
        classifiers = [cfg.classifier] if isinstance(cfg.classifier, str) else list(cfg.classifier or ())
        # timm's own files may carry parts that a model without a classifier lacks; a user's file must fit whole.
        ignore = ("",) if weights == "pretrained" else (*(f"{layer}." for layer in classifiers), *_CLASSIFIERS)
    load_into(model, tensors, origin=str(path), ignore=ignore)
    return f"sha256:{weights_digest(path)}"


def _rename(model: nn.Module, tensors: dict[str, Tensor], path: Path) -> dict[str, Tensor]:
    """Give the keys the names that timm's model uses, by timm's own function for that family."""
    module = vars(sys.modules[type(model).__module__])
    rename: Callable[..., dict[str, Tensor]] | None = next((module[key] for key in _FILTERS if key in module), None)
    if rename is None:
        return tensors
    try:
        return rename(dict(tensors), model) if rename.__code__.co_argcount > 1 else rename(dict(tensors))
    except (KeyError, RuntimeError, ValueError, IndexError, AttributeError) as error:
        # A checkpoint of some other family can trip the renaming; the comparison of keys then says what differs.
        _LOG.debug("%s: timm's renaming of keys failed: %s", path, error)
        return tensors


def _dimension(model: nn.Module, device: torch.device, side: int, name: str) -> int:
    try:
        with forward_mode(device, "float32"):
            embedded = model(torch.zeros(1, 3, side, side, device=device))
    except (RuntimeError, AssertionError, ValueError) as error:
        raise ConfigError(
            f"'{name}' does not take images of {side} × {side} pixels: {str(error).splitlines()[0]}",
            hint="Leave input_size out to use the model's own.",
        ) from error
    if not isinstance(embedded, Tensor) or embedded.ndim != 2:
        raise ConfigError(f"'{name}' gives no single embedding per image", hint="Choose a model with global pooling.")
    return int(embedded.shape[1])
