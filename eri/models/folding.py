"""Making convolutional networks quicker at inference, with the same numbers but for rounding.

Three steps on the graph of a network: a batch normalisation behind a convolution is folded into its weights; identities
and dropout go; and on processors a convolution itself does the sum and the ReLU that follow, while its result is still
in the cache. The last is what ``torch.compile`` with freezing arrives at too, here without its half minute and its
compiler. A network whose graph cannot be traced, or that has nothing to gain, stays as it is.

Sources: B. Jacob et al., Quantization and Training of Neural Networks for Efficient Integer-Arithmetic-Only Inference,
CVPR 2018, eq. 14 (folding); post-operations of oneDNN (sum and ReLU).
"""

from __future__ import annotations

import copy
import logging
import operator
from typing import Any

import torch
from timm.models import get_notrace_functions, get_notrace_modules
from torch import Tensor, fx, nn
from torch.nn import functional
from torch.nn.utils import fuse_conv_bn_eval

from eri.config import Precision
from eri.models.running import forward_mode

_LOG = logging.getLogger(__name__)

_GONE = (nn.Identity, nn.Dropout, nn.Dropout2d)
_RELUS = (torch.relu, functional.relu)
_SUMS = (operator.add, operator.iadd, torch.add)
_LEAST_COSINE = {"float32": 0.99999, "bf16": 0.999}
# What tracing raises where the way through a network depends on what it sees.
_UNTRACEABLE = (fx.proxy.TraceError, TypeError, ValueError, RuntimeError, AttributeError, LookupError)


class FusedConvolution(nn.Module):
    """A convolution followed by a ReLU, or by a sum and a ReLU, in one pass and a number type; on processors only."""

    weight: Tensor
    bias: Tensor | None

    def __init__(self, convolution: nn.Conv2d, dtype: torch.dtype) -> None:
        super().__init__()
        bias = None if convolution.bias is None else convolution.bias.detach().to(dtype)
        self.register_buffer("weight", convolution.weight.detach().to(dtype, memory_format=torch.channels_last))
        self.register_buffer("bias", bias)
        padding, stride, dilation = (
            [int(value) for value in place] for place in (convolution.padding, convolution.stride, convolution.dilation)
        )
        self._geometry = (padding, stride, dilation, convolution.groups)

    def forward(self, images: Tensor, other: Tensor | None = None) -> Tensor:
        """Return relu(convolution), or relu(convolution + other) with ``other`` of the same shape."""
        inputs, options = images.to(self.weight.dtype), (self.weight, self.bias, *self._geometry)
        if torch.compiler.is_compiling():  # the compiler sees whole networks, and chooses itself what to fuse
            padding, stride, dilation, groups = self._geometry
            alone = functional.conv2d(inputs, self.weight, self.bias, stride, padding, dilation, groups)
            return torch.relu(alone if other is None else alone + other.to(self.weight.dtype))
        run: Any = torch.ops.mkldnn._convolution_pointwise
        fused: Tensor
        if other is None:
            fused = run(inputs, *options, "relu", [], "")
        else:
            fused = run.binary(inputs, other.to(self.weight.dtype), *options, "add", 1.0, "relu", [], "")
        return fused


def freeze(model: nn.Module, precision: Precision, side: int) -> nn.Module:
    """Return a network for inference only that computes the same in fewer steps, for images of ``side`` × ``side``.

    Embeddings differ by rounding only: their cosine is at least 0.99999 in float32 and 0.999 in bf16, which is tried on
    one image of noise. The given model, in evaluation mode on its device, is left alone, but shares weights with the
    result, which runs within :func:`~eri.models.running.forward_mode`.
    """
    try:
        frozen = _rewrite(model, precision)
        if frozen is None:
            return model
        device = next(frozen.buffers(), next(model.parameters())).device
        image = torch.randn(1, 3, side, side, generator=torch.Generator().manual_seed(0)).to(device)
        image = image.contiguous(memory_format=torch.channels_last)
        with forward_mode(device, precision):
            found = frozen(image).double()
        with forward_mode(device, "float32"):
            expected = model(image).double()
    except _UNTRACEABLE as error:
        _LOG.debug("a network is used as it is, because freezing it failed: %s", error)
        return model
    if float(functional.cosine_similarity(found, expected).min()) < _LEAST_COSINE[precision]:
        _LOG.debug("a network is used as it is, because freezing changed its numbers")
        return model
    return frozen


class _Tracer(fx.Tracer):
    """Keeps normalisations whole, since timm's hold an activation too, and what timm says must not be traced."""

    def __init__(self) -> None:
        super().__init__(autowrap_functions=tuple(get_notrace_functions()))
        self._kept = (nn.BatchNorm2d, *get_notrace_modules())

    def is_leaf_module(self, m: nn.Module, module_qualified_name: str) -> bool:
        """Return whether a module is one step of the graph."""
        return isinstance(m, self._kept) or super().is_leaf_module(m, module_qualified_name)


def _rewrite(model: nn.Module, precision: Precision) -> fx.GraphModule | None:
    """Return the network with fewer steps; None where there is nothing to gain."""
    traced = fx.GraphModule(model, _Tracer().trace(model))
    dtype = torch.bfloat16 if precision == "bf16" else torch.float32
    _drop_identities(traced)
    changes = _fold_normalisations(traced)
    if next(model.parameters()).device.type == "cpu" and torch.backends.mkldnn.is_available():  # type: ignore[no-untyped-call]
        changes += _fuse_activations(traced, dtype)
    if not changes:
        return None
    for node in traced.graph.nodes:
        convolution = _module(traced, node)
        if isinstance(convolution, nn.Conv2d) and convolution.weight.dtype != dtype:
            traced.set_submodule(node.target, copy.deepcopy(convolution).to(dtype))
    traced.graph.lint()
    traced.delete_all_unused_submodules()
    traced.recompile()
    return traced


def _drop_identities(traced: fx.GraphModule) -> None:
    for node in list(traced.graph.nodes):
        if isinstance(_module(traced, node), _GONE):
            node.replace_all_uses_with(node.args[0])
            traced.graph.erase_node(node)


def _fold_normalisations(traced: fx.GraphModule) -> int:
    folded = 0
    for node in list(traced.graph.nodes):
        normalisation = _module(traced, node)
        if not isinstance(normalisation, nn.BatchNorm2d) or normalisation.running_mean is None:
            continue
        convolution = _only_convolution(traced, node.args[0])
        if convolution is None:
            continue
        traced.set_submodule(node.args[0].target, fuse_conv_bn_eval(convolution, normalisation))
        activation = getattr(normalisation, "act", None)
        if isinstance(activation, nn.Module) and not isinstance(activation, nn.Identity):
            traced.set_submodule(node.target, activation)
        else:
            node.replace_all_uses_with(node.args[0])
            traced.graph.erase_node(node)
        folded += 1
    return folded


def _fuse_activations(traced: fx.GraphModule, dtype: torch.dtype) -> int:
    fused = 0
    for node in list(traced.graph.nodes):
        if not _is_relu(traced, node):
            continue
        source = node.args[0]
        convolution, steps = _only_convolution(traced, source), [source]
        inputs: tuple[Any, ...] = ()
        if convolution is not None:
            inputs = (source.args[0],)
        elif _is_sum(source):
            # Of two branches, the one whose convolution comes last: the other one's result is there by then.
            branch = next((one for one in reversed(source.args) if _only_convolution(traced, one) is not None), None)
            if branch is not None:
                convolution, steps = _only_convolution(traced, branch), [source, branch]
                inputs = (branch.args[0], next(one for one in source.args if one is not branch))
        if convolution is None or convolution.padding_mode != "zeros" or isinstance(convolution.padding, str):
            continue
        name = steps[-1].target
        with traced.graph.inserting_before(node):
            traced.set_submodule(name, FusedConvolution(convolution, dtype))
            step = traced.graph.call_module(name, inputs)
        node.replace_all_uses_with(step)
        for old in (node, *steps):
            traced.graph.erase_node(old)
        fused += 1
    return fused


def _module(traced: fx.GraphModule, node: Any) -> nn.Module | None:
    if not isinstance(node, fx.Node) or node.op != "call_module":
        return None
    return traced.get_submodule(str(node.target))


def _only_convolution(traced: fx.GraphModule, node: Any) -> nn.Conv2d | None:
    """Return the convolution that a step runs; None if its result or the convolution itself is used elsewhere too."""
    module = _module(traced, node)
    if type(module) is not nn.Conv2d or len(node.users) != 1:
        return None
    uses = sum(other.op == "call_module" and other.target == node.target for other in traced.graph.nodes)
    return module if uses == 1 else None


def _is_relu(traced: fx.GraphModule, node: fx.Node) -> bool:
    return isinstance(_module(traced, node), nn.ReLU) or (node.op == "call_function" and node.target in _RELUS)


def _is_sum(node: Any) -> bool:
    """Return whether a step adds the results of two others and hands the sum to one step only."""
    if not isinstance(node, fx.Node) or node.op != "call_function" or node.target not in _SUMS or node.kwargs:
        return False
    return len(node.users) == 1 and len(set(node.args)) == 2 and all(isinstance(one, fx.Node) for one in node.args)
