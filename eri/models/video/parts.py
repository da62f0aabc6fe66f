"""What several video models share: recomputation of activations, and weights for a backbone."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.utils.checkpoint import checkpoint

from eri.utils.errors import WeightsError
from eri.weights import load_into, load_state_dict, locate_weights


def run_block(block: nn.Module, values: Tensor, *, recompute: bool) -> Tensor:
    """Run one block of a network.

    Args:
        block: Maps one tensor to another.
        values: What it reads.
        recompute: Keep only ``values`` for the gradient and run the block again then (Chen et al. 2016). Batch
            normalisations learn their statistics in the first run alone, so that results do not differ.

    Returns:
        What the block gives.
    """
    if not (recompute and torch.is_grad_enabled() and values.is_floating_point()):
        result: Tensor = block(values)
        return result

    def contexts() -> tuple[AbstractContextManager[None], AbstractContextManager[None]]:
        return nullcontext(), _statistics_kept(block)

    again: Tensor = checkpoint(block, values, use_reentrant=False, context_fn=contexts)
    return again


@contextmanager
def _statistics_kept(block: nn.Module) -> Iterator[None]:
    # With momentum 0 the layer runs as in the first pass, saving the same tensors, but moves no statistic.
    norms = [module for module in block.modules() if isinstance(module, _BatchNorm)]
    before = [(norm.momentum, norm.num_batches_tracked) for norm in norms]
    for norm in norms:
        norm.momentum, norm.num_batches_tracked = 0.0, None
    try:
        yield
    finally:
        for norm, (momentum, counter) in zip(norms, before, strict=True):
            norm.momentum, norm.num_batches_tracked = momentum, counter


def fill_backbone(
    model: nn.Module,
    weights: str,
    *,
    name: str,
    ignore: tuple[str, ...] = (),
    rename: Callable[[dict[str, Tensor]], dict[str, Tensor]] | None = None,
    option: str = "model.weights",
) -> None:
    """Give a backbone its weights.

    Args:
        model: Freshly built; changed in place.
        weights: ``pretrained`` takes the registered ones, ``random`` leaves the model as it is, anything else is the
            path of a checkpoint.
        name: Of the registered weights.
        ignore: Prefixes of keys that a checkpoint may have and the model need not, such as a classifier's.
        rename: Brings a checkpoint to the model's keys.
        option: The setting that holds ``weights``, named in hints.

    Raises:
        WeightsError: Weights are nowhere to be found, damaged, or of another model.
    """
    if weights == "random":
        return
    if weights == "pretrained":
        path = locate_weights(name, option=option)
    else:
        path = Path(weights).expanduser()
        if not path.is_file():
            raise WeightsError(
                f"{path}: no such file of weights",
                hint=f"Set '{option}' to 'pretrained', 'random', or the path of a .pth or .safetensors file.",
            )
    tensors = load_state_dict(path)
    load_into(model, rename(tensors) if rename else tensors, origin=str(path), ignore=ignore)
