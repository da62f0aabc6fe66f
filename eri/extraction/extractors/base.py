"""What extractors share: how an identity is made up, and how rows of many clips are embedded in batches."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from eri.config import DeepSpectrumConfig, ImageConfig, Runtime, Stream

if TYPE_CHECKING:
    from torch import Tensor

    from eri.models.backbones import Backbone


class BaseExtractor(ABC):
    """The base of our extractors, see :class:`~eri.features.records.Extractor`.

    Attributes:
        family: Name of the family of models, in the identity.
        libraries: Distributions whose versions may change the numbers.
        rules: Version of the rules in this family: raised when its numbers change for the same settings.
    """

    family: str
    libraries: ClassVar[tuple[str, ...]]
    rules: ClassVar[int] = 1
    name: str
    modality: Stream = "audio"
    dimension: int

    @abstractmethod
    def settings(self) -> dict[str, Any]:
        """Return what determines the numbers beside family, rules and libraries, as JSON values."""

    def identity(self) -> dict[str, Any]:
        """Return everything that determines the numbers, as JSON values."""
        from eri.models.running import library_versions  # imports torch, which worker processes do without

        versions = library_versions(*self.libraries)
        return {"family": self.family, "rules": self.rules, **self.settings(), "versions": versions}


def configured_backbone(
    config: ImageConfig | DeepSpectrumConfig, name: str, runtime: Runtime, option: str, *, frozen: bool = False
) -> Backbone:
    """Load the image backbone of a config; messages call its weights by an option of the command line."""
    from eri.models.backbones import create_backbone
    from eri.models.running import resolve_device

    device = resolve_device(runtime.device)
    settings = config.model_dump(include={"weights", "seed", "input_size", "precision"})
    return create_backbone(name, **settings, device=device, option=option, frozen=frozen)


def embed_rows(
    counts: Sequence[int], batch_size: int, dimension: int, launch: Callable[[list[tuple[int, slice]]], Tensor]
) -> list[NDArray[np.float32]]:
    """Embed the rows of many clips (``counts`` of each) in batches, one of which a GPU works on while the next is made.

    ``launch`` embeds the pieces (index of the clip, its rows) of a batch, (rows, dimension), without waiting. The
    result is float32 (rows, dimension) per clip.
    """
    from eri.models.running import batches, store_rows

    results = [np.empty((count, dimension), dtype=np.float32) for count in counts]
    launched: list[tuple[list[tuple[int, slice]], Tensor]] = []
    for batch in batches(counts, batch_size):
        launched.append((batch, launch(batch)))
        if len(launched) > 1:
            earlier, embedded = launched.pop(0)
            store_rows(results, earlier, embedded.cpu().numpy())
    for earlier, embedded in launched:
        store_rows(results, earlier, embedded.cpu().numpy())
    return results
