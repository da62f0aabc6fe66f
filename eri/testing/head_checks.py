"""What every head promises: one output a label, made of a clip's valid rows alone."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from pydantic import ValidationError
from torch import Tensor

from eri.config import MODELS, HeadConfig, describe_misfits
from eri.models.heads import Head, create_head
from eri.models.sequences import Sequences
from eri.utils.errors import CheckError, ConfigError, EriError

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
    section = _section(config)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        for both in _DIMENSIONS:
            dimensions = both if section.fuses else {"audio": both["audio"]}
            _Check(section, dimensions, labels, tolerance).run()


def _section(config: str | Mapping[str, Any] | HeadConfig) -> HeadConfig:
    if isinstance(config, HeadConfig):
        return config
    values = {"name": config} if isinstance(config, str) else config
    name = str(values.get("name"))
    if name not in MODELS:
        raise ConfigError(MODELS.unknown(name))
    try:
        section = MODELS[name].model_validate(values)
    except ValidationError as error:
        raise ConfigError(
            f"the section of the head to check: {describe_misfits(error)}",
            hint="Settings without a default must be given: check_head({'name': name, ...}).",
        ) from None
    if not isinstance(section, HeadConfig):
        raise ConfigError(f"the model '{name}' is no head", hint="Heads read features and are built by torch.")
    return section


class _Check:
    """The checks of one head for embeddings of given lengths."""

    def __init__(self, config: HeadConfig, dimensions: Mapping[str, int], labels: int, tolerance: float) -> None:
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

    def _fail(self, what: str, hint: str) -> CheckError:
        name = getattr(self.config, "name", type(self.config).__name__)
        return CheckError(f"the head '{name}' for embeddings of {dict(self.dimensions)} {what}", hint=hint)

    @contextmanager
    def _naming(self, what: str) -> Iterator[None]:
        try:
            yield
        except EriError:
            raise
        except Exception as error:
            raise self._fail(f"{what}: {type(error).__name__}: {error}", "Correct what raises this.") from error

    def _build(self) -> Head:
        with self._naming("cannot be built"):
            return create_head(self.config, self.dimensions, self.labels)

    def _outputs(self, head: Head, batch: Mapping[str, Sequences]) -> Tensor:
        with self._naming("fails"), torch.no_grad():
            found: Tensor = head(batch)
            bounded, raw = head.bounded(batch, torch.sigmoid)
        clips = len(next(iter(batch.values())).mask)
        for what, outputs in (("forward", found), ("bounded", bounded), ("bounded", raw)):
            if tuple(outputs.shape) != (clips, self.labels):
                raise self._fail(
                    f"returns {tuple(outputs.shape)} from {what}() for {clips} clips and {self.labels} labels",
                    "Return one output for each clip and label: (clips, labels).",
                )
        for place, row in enumerate(found):
            if not torch.isfinite(row).all():
                count = int(next(iter(batch.values())).lengths[place])
                raise self._fail(
                    f"has an output that is not finite for a clip of {count} valid rows",
                    "Clips without a valid row are given to a head too: divide by lengths.clamp(min=1).",
                )
        return found

    def _same(self, one: Tensor, other: Tensor, what: str, hint: str) -> None:
        if (difference := float((one - other).abs().max())) > self.tolerance:
            raise self._fail(f"{what}: by {difference:.2g}", hint)

    def _gradients(self, batch: Mapping[str, Sequences]) -> None:
        head = self._build().train()
        with self._naming("fails in training"):
            outputs = head(batch)
            (outputs * torch.randn_like(outputs)).sum().backward()
        for name, parameter in head.named_parameters():
            if parameter.requires_grad and parameter.grad is None:
                raise self._fail(
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
    found = Sequences(values, mask, times)
    if not gaps:
        return found.compact()
    compacted = found.compact()  # and padded further than the longest clip asks for
    return Sequences(*(_padded(part) for part in (compacted.values, compacted.mask, compacted.times)))


def _padded(part: Tensor) -> Tensor:
    return torch.cat([part, part.new_zeros((part.shape[0], 2, *part.shape[2:]))], dim=1)
