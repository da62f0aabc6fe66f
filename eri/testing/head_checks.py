"""What every head promises: one output a label, made of a clip's valid rows alone."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from eri.config import MODELS, HeadConfig
from eri.models.heads import Head, create_head
from eri.models.sequences import Sequences
from eri.testing.promises import Promises, parse_section
from eri.utils.errors import ConfigError

_LENGTHS = (7, 4, 1, 0)
"""Valid rows of the clips of the batch; the last has none, as one without a face."""
_DIMENSIONS = ({"visual": 6, "audio": 5}, {"visual": 9, "audio": 4})


def check_head(config: str | Mapping[str, Any] | HeadConfig, *, labels: int = 3, tolerance: float = 1e-4) -> None:
    """Check that a head keeps what :class:`~eri.models.heads.Head` promises.

    It builds for embeddings of two lengths. Its outputs are finite and of shape (clips, labels), also for a clip
    without a valid row, and the same twice in evaluation mode. Neither padding, nor masked rows between the valid
    ones, nor the other clips of a batch change a clip's output. Every parameter gets a gradient. A head of the same
    config that loads its ``state_dict`` has the same outputs.

    Args:
        config: The name of the head, its section ``model`` as a mapping, or as an object.
        labels: Outputs that are asked for.
        tolerance: Largest difference between two outputs that count as the same, float32 rounding included.

    Raises:
        CheckError: A promise is broken; the first that was found.
        ConfigError: No head has that name, or its settings do not fit.

    Examples:
        >>> check_head({"name": "gru", "hidden_size": 8})
    """
    section = parse_section("head", "name", _parse, config)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        for both in _DIMENSIONS:
            dimensions = both if section.fuses else {"audio": both["audio"]}
            _Check(section, dimensions, labels, tolerance).run()


def _parse(values: Mapping[str, Any]) -> HeadConfig:
    name = str(values.get("name"))
    if name not in MODELS:
        raise ConfigError(MODELS.unknown(name))
    section = MODELS[name].model_validate(values)
    if not isinstance(section, HeadConfig):
        raise ConfigError(f"the model '{name}' is no head", hint="Heads read features and are built by torch.")
    return section


class _Check(Promises):
    """The checks of one head for embeddings of given lengths."""

    def __init__(self, config: HeadConfig, dimensions: Mapping[str, int], labels: int, tolerance: float) -> None:
        super().__init__(f"the head '{config.name}' for embeddings of {dict(dimensions)}")
        self.config, self.dimensions, self.labels, self.tolerance = config, dimensions, labels, tolerance

    def run(self) -> None:
        head = self._build().eval()
        rows = {name: [torch.randn(count, size) for count in _LENGTHS] for name, size in self.dimensions.items()}
        batch = {name: _batch(clips) for name, clips in rows.items()}
        together = self._outputs(head, batch)
        self._same(together, self._outputs(head, batch), "gives other outputs when it is called twice", _DETERMINED)
        gaps = {name: _batch(clips, gaps=True) for name, clips in rows.items()}
        self._same(together, self._outputs(head, gaps), "depends on rows that are masked", _MASKS)
        for place in range(len(_LENGTHS)):
            alone = {name: _batch(clips[place : place + 1]) for name, clips in rows.items()}
            what = f"gives a clip of {_LENGTHS[place]} valid rows another output beside longer clips than alone"
            self._same(together[place : place + 1], self._outputs(head, alone), what, _MASKS)
        other = self._build().eval()
        other.load_state_dict(head.state_dict())
        what = "has other outputs after its state_dict is loaded into another one"
        self._same(together, self._outputs(other, batch), what, "Keep what decides them in parameters or buffers.")
        self._gradients(batch)

    def _build(self) -> Head:
        with self.naming("cannot be built"):
            return create_head(self.config, self.dimensions, self.labels)

    def _outputs(self, head: Head, batch: Mapping[str, Sequences]) -> Tensor:
        with self.naming("fails"), torch.no_grad():
            found: Tensor = head(batch)
            bounded, raw = head.bounded(batch, torch.sigmoid)
        lengths = next(iter(batch.values())).lengths.tolist()
        for what, outputs in (("forward", found), ("bounded", bounded), ("bounded", raw)):
            self.require(
                tuple(outputs.shape) == (len(lengths), self.labels),
                f"returns {tuple(outputs.shape)} from {what}() for {len(lengths)} clips and {self.labels} labels",
                "Return one output for each clip and label: (clips, labels).",
            )
        for count, row in zip(lengths, found, strict=True):
            self.require(
                torch.isfinite(row).all(),
                f"has an output that is not finite for a clip of {count} valid rows",
                "Clips without a valid row are given to a head too: divide by lengths.clamp(min=1).",
            )
        return found

    def _same(self, one: Tensor, other: Tensor, what: str, hint: str) -> None:
        difference = float((one - other).abs().max())
        self.require(difference <= self.tolerance, f"{what}: by {difference:.2g}", hint)

    def _gradients(self, batch: Mapping[str, Sequences]) -> None:
        head = self._build().train()
        with self.naming("fails in training"):
            outputs = head(batch)
            (outputs * torch.randn_like(outputs)).sum().backward()
        for name, parameter in head.named_parameters():
            self.require(
                parameter.grad is not None or not parameter.requires_grad,
                f"has a parameter that no gradient reaches: {name}",
                "Use it in forward() without detach(), or take it out.",
            )


_DETERMINED = "Draw nothing at random in evaluation mode."
_MASKS = "Let only rows count whose mask is True: the others hold zeros, and how many there are is up to the batch."


def _batch(clips: list[Tensor], *, gaps: bool = False) -> Sequences:
    """Return clips as a head gets them, their valid rows at the front; with ``gaps``, masked rows were among them."""
    longest = max(1, *map(len, clips)) * (2 if gaps else 1)
    values = torch.full((len(clips), longest, clips[0].shape[1]), 1e3 if gaps else 0.0)
    mask = torch.zeros(len(clips), longest, dtype=torch.bool)
    times = torch.zeros(len(clips), longest)
    for place, rows in enumerate(clips):
        where = slice(1, 2 * len(rows), 2) if gaps else slice(len(rows))
        values[place, where], mask[place, where] = rows, True
        times[place, where] = torch.arange(len(rows), dtype=torch.float32) / 2
    found = Sequences(values, mask, times).compact()
    if not gaps:
        return found
    parts = (found.values, found.mask, found.times)  # padded further than the longest clip asks for
    return Sequences(*(torch.cat([part, part.new_zeros(len(part), 2, *part.shape[2:])], dim=1) for part in parts))
