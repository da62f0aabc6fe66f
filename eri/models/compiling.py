"""Compiling a network, once it has worked for so long that what remains is likely to repay it."""

from __future__ import annotations

import logging
import time
from typing import Any

import torch
from torch import Tensor, nn

_LOG = logging.getLogger(__name__)

# Seconds of a network's work after which it is compiled: whoever has worked so long is likely to go on for as long
# again, and a few per cent of that are what compiling takes.
REPAID_AFTER = 600.0


class CompiledLater(nn.Module):
    """A network in evaluation mode that is compiled by ``torch.compile`` after so many seconds of work.

    Only full batches, of ``size`` rows, go through the compiled network, since each size would be compiled by itself; a
    rest goes through the network as it is. On processors the weights, which must not change any more, are frozen into
    the compiled code, on CUDA the launches of a batch become one graph. Where no compiler is installed, the network
    stays as it is, and a warning says so.
    """

    def __init__(self, network: nn.Module, size: int, after: float | None = None) -> None:
        super().__init__()
        self._network = network
        self._size = size
        self._after = REPAID_AFTER if after is None else after
        self._seconds = 0.0
        self._compiled: Any = None
        self._failed = False

    def forward(self, inputs: Tensor) -> Tensor:
        """Return what the network makes of inputs (rows, ...)."""
        if len(inputs) != self._size or self._failed or self._seconds < self._after:
            # Of a GPU this is the time that launching takes, and that is what a graph of launches saves.
            begun = time.perf_counter()
            plain: Tensor = self._network(inputs)
            self._seconds += time.perf_counter() - begun
            return plain
        return self._run_compiled(inputs)

    def _run_compiled(self, inputs: Tensor) -> Tensor:
        first = self._compiled is None
        if first:
            options: dict[str, Any] = {"mode": "reduce-overhead"} if inputs.is_cuda else {"options": {"freezing": True}}
            self._compiled = torch.compile(self._network, dynamic=False, **options)
        begun = time.perf_counter()
        try:
            result: Tensor = self._compiled(inputs)
        except torch.OutOfMemoryError:
            raise
        except RuntimeError as error:  # what all errors of the compiler are
            if not first:
                raise
            self._failed = True
            reason = next(iter(str(error).splitlines()), type(error).__name__)
            _LOG.warning("the network is used as it is, since it cannot be compiled here: %s", reason)
            plain: Tensor = self._network(inputs)
            return plain
        if first:
            _LOG.info("the network was compiled in %.0f s", time.perf_counter() - begun)
        # The graph of the next batch writes where this result stands.
        return result.clone() if inputs.is_cuda else result
