"""The trained models behind a folder, and the extractors that made what they read."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from eri.config import ExtractorConfig, Runtime
from eri.evaluation.cross_validation import MODELS
from eri.evaluation.held_out import kind_of, read_ensemble
from eri.extraction.extractors.registry import create_extractor
from eri.features.records import Extractor, Prepared, Preparer
from eri.runs import video_extractor  # noqa: F401  # registers itself
from eri.training.run_folder import Run, read_run
from eri.utils.errors import RunError
from eri.utils.files import canonical_json, differences

_LOG = logging.getLogger(__name__)

_MILD = frozenset({"batch_norm", "dlib", "opencv", "retinaface-pytorch", "rules", "versions"})
"""Keys of an identity that name libraries, the version of our own rules, and ways to compute the same. Another one
there changes numbers a little; another weight or setting makes other features."""


@dataclass(frozen=True, eq=False)
class Source:
    """One extractor whose features some model reads.

    Attributes:
        modality: ``visual`` or ``audio``.
        config: Its settings.
        folder: Name of its feature folder.
        digest: Of its identity when the model was trained.
        identity: That identity.
    """

    modality: str
    config: ExtractorConfig
    folder: str
    digest: str
    identity: dict[str, Any]


@dataclass(frozen=True, eq=False)
class Member:
    """One trained model.

    Attributes:
        run: Its run.
        sources: What it reads, by modality.
    """

    run: Run
    sources: Mapping[str, Source]

    @property
    def bears_gaps(self) -> bool:
        """Whether it learnt from clips that lacked a modality: in the data, or by dropping modalities at random."""
        dropped = self.run.config.training.regularization.modality_dropout
        return dropped > 0 or any(self.run.environment.get("lacking", {}).values())


def read_members(path: Path) -> tuple[Member, ...]:
    """Read the runs behind a folder: the run itself, or the models of a cross-validation or an ensemble.

    Raises:
        RunError: One of them is incomplete or damaged.
    """
    return tuple(_member(run) for run in run_folders(path))


def run_folders(path: Path) -> Iterator[Path]:
    """Yield the folders of the runs behind a folder.

    Raises:
        RunError: It is damaged.
    """
    kind = kind_of(path)
    if kind == "run":
        yield path
    elif kind == "cross-validation":
        yield from sorted(model.parent for model in (path / MODELS).glob("[!.]*/config.yaml"))
    else:
        for member in read_ensemble(path)["members"]:
            yield from run_folders((path / member["path"]).resolve())


def _member(path: Path) -> Member:
    run = read_run(path)
    try:
        sources = {
            name: Source(name, config, recorded["folder"], recorded["digest"], recorded["identity"])
            for name, config in run.config.extractors.items()
            for recorded in (run.environment["features"][name],)
        }
    except (KeyError, TypeError) as error:
        raise RunError(f"{path}: does not say what features it was trained on", hint="Train it again.") from error
    return Member(run, sources)


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
