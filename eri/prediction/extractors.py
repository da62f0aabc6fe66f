"""The extractors that a run was trained with, made again and checked against what the run recorded of them."""

from __future__ import annotations

import json
import logging
from collections.abc import Sequence
from typing import Any, Literal

from eri.config import Runtime
from eri.extraction.extractors.registry import create_extractor
from eri.features.records import Extractor, Prepared, Preparer
from eri.runs import video_extractor  # noqa: F401  # registers itself
from eri.runs.opening import Source
from eri.utils.errors import RunError
from eri.utils.files import canonical_json, differences

_LOG = logging.getLogger(__name__)

_MILD = frozenset({"batch_norm", "dlib", "opencv", "retinaface-pytorch", "rules", "versions"})
"""Keys of an identity that name libraries, the version of our own rules, and ways to compute the same. Another one
there changes numbers a little; another weight or setting makes other features."""


class RecordedExtractor:
    """An extractor that goes by the identity it had when a run was trained with it.

    Args:
        source: What was recorded.
        runtime: Device and batch size.

    Raises:
        EriError: It cannot be loaded: weights that are missing, a package that is not installed.
        RunError: Its weights or settings are others than those that the run was trained with.
    """

    def __init__(self, source: Source, runtime: Runtime) -> None:
        self.inner: Extractor = create_extractor(source.config, runtime)
        self._identity = source.identity
        self.name: str = self.inner.name
        self.modality: Literal["visual", "audio"] = self.inner.modality
        self.dimension = self.inner.dimension
        changed = [key for key, _, _ in differences(source.identity, json.loads(canonical_json(self.inner.identity())))]
        grave = [key for key in changed if _MILD.isdisjoint(key.split("."))]
        if grave:
            raise RunError(
                f"{self.name}: not what the run was trained with, it differs in {', '.join(grave)}",
                hint="Bring back the weights that it had, or train a run with these.",
            )
        if changed:
            _LOG.warning("%s: %s changed since the run was trained", self.name, ", ".join(changed))

    @property
    def preparer(self) -> Preparer:
        """The part that opens media."""
        return self.inner.preparer

    def identity(self) -> dict[str, Any]:
        """Return the recorded identity."""
        return self._identity

    def embed(self, prepared: Sequence[Prepared]) -> list[Any]:
        """Embed clips, see :meth:`~eri.features.records.Extractor.embed`."""
        return self.inner.embed(prepared)
