"""Batches of sequences of unequal length.

A masked row (no face, no audio, padding) must not touch the numbers: it is removed before a net sees the sequence, so
that what stands in it has no influence at all.
"""

from __future__ import annotations

import torch
from torch import Tensor


class Sequences:
    """Embeddings of several clips, padded to one length.

    Not a dataclass on purpose: Lightning Fabric would look into one and round the values to bf16 before they are
    standardised.

    Attributes:
        values: float (clips, rows, dimension).
        mask: bool (clips, rows), True where the row is valid; anywhere in the sequence.
        times: float32 (clips, rows), seconds from the clip's start; the rows' numbers where none are given.
        counts: Valid rows of each clip, int64 (clips,) on the CPU, where it is known that they stand at the front of a
            batch no longer than the longest clip; else None. With it, nothing has to wait for the device to count them.

    Examples:
        >>> values = torch.tensor([[[9.0], [1.0], [2.0]], [[9.0], [9.0], [9.0]]])
        >>> batch = Sequences(values, torch.tensor([[False, True, True], [False, False, False]])).compact()
        >>> batch.values.squeeze(-1).tolist(), batch.lengths.tolist(), batch.times.tolist()
        ([[1.0, 2.0], [0.0, 0.0]], [2, 0], [[1.0, 2.0], [0.0, 0.0]])
    """

    def __init__(self, values: Tensor, mask: Tensor, times: Tensor | None = None, counts: Tensor | None = None) -> None:
        if times is None:
            times = torch.arange(mask.shape[1], dtype=torch.float32, device=mask.device).expand(mask.shape)
        self.values = values
        self.mask = mask
        self.times = times
        self.counts = counts

    @property
    def lengths(self) -> Tensor:
        """Valid rows of each clip, int64 (clips,)."""
        return self.mask.sum(dim=1)

    @property
    def present(self) -> Tensor:
        """Which clips have a valid row, bool (clips,)."""
        return self.mask.any(dim=1)

    def compact(self) -> Sequences:
        """Move the valid rows of each clip to its front, in order, and zero everything after them."""
        if self.counts is not None:
            return self.with_values(self.values)
        counts = self.known_counts()
        steps = torch.arange(max(1, int(counts.max())), device=self.mask.device)
        mask = steps < counts.to(self.mask.device)[:, None]
        values = self.values.new_zeros((*mask.shape, self.values.shape[2]))
        values[mask] = self.values[self.mask]
        times = self.times.new_zeros(mask.shape)
        times[mask] = self.times[self.mask]
        return Sequences(values, mask, times, counts)

    def centered(self) -> Sequences:
        """Subtract from each clip the mean of its valid rows: what is the same in all, such as whose face it is.

        Examples:
            >>> mask = torch.tensor([[True, True, False]])
            >>> Sequences(torch.tensor([[[1.0], [3.0], [9.0]]]), mask).centered().values.flatten().tolist()
            [-1.0, 1.0, 0.0]
        """
        known = self.with_values(self.values)
        means = known.values.sum(dim=1) / self.lengths.clamp(min=1)[:, None]
        return self.with_values(self.values - means[:, None])

    def known_counts(self) -> Tensor:
        """Return the valid rows of each clip on the CPU: ``counts``, or what the device has to be asked for."""
        return self.lengths.cpu() if self.counts is None else self.counts

    @property
    def full(self) -> bool:
        """Whether every row of every clip is valid; where ``counts`` are not known, the device has to be asked."""
        return int(self.known_counts().min()) == self.mask.shape[1]

    def with_values(self, values: Tensor) -> Sequences:
        """Return other values of the same rows; those that are not valid become zero."""
        if self.counts is None or not self.full:
            values = values.masked_fill(~self.mask[..., None], 0.0)
        return Sequences(values, self.mask, self.times, self.counts)
