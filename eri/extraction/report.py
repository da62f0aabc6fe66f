"""What an extraction is of, a shard, and what it reports: events, a report at its end, and ``failures.csv``."""

from __future__ import annotations

import csv
import hashlib
import io
import re
from collections import Counter
from collections.abc import Collection, Iterable
from dataclasses import astuple, dataclass, fields
from pathlib import Path
from typing import Literal

from eri.config import Stream
from eri.extraction.rates import StageRates, StageShares
from eri.features.folder import FeatureFolder
from eri.features.index import Entry
from eri.features.problems import explained
from eri.media.state import State
from eri.utils.errors import ConfigError, EriError, MediaError, WorkerError
from eri.utils.files import write_text
from eri.utils.tables import Shown, Summary

FAILURES = "failures.csv"


ExtractionStage = Literal["check", "extract", "wait", "end"]


@dataclass(frozen=True)
class Shard:
    """One of ``count`` disjoint parts that cover every clip.

    Which part a clip belongs to follows from the SHA-256 of its id alone: it is the same on every machine, and clips
    that are added later move no other. Parts are as even as a fair draw makes them: of N clips each has N / count,
    give or take a few times the square root of that.

    Examples:
        >>> shard = Shard.parse("2/3")
        >>> shard, str(shard)
        (Shard(number=2, count=3), '2/3')
        >>> [clip_id for clip_id in ("00001", "00002", "00003", "00004", "00005") if clip_id in shard]
        ['00002', '00003', '00004']
        >>> Shard.parse("4/3")
        Traceback (most recent call last):
        eri.utils.errors.ConfigError: there is no shard 4 of 3...
    """

    number: int  # from 1 to ``count``
    count: int

    def __post_init__(self) -> None:
        if not 1 <= self.number <= self.count:
            raise ConfigError(
                f"there is no shard {self.number} of {self.count}",
                hint="Shards are counted from 1: of 8, the first is 1/8 and the last 8/8.",
            )

    @classmethod
    def parse(cls, text: str) -> Shard:
        """Return the shard that a text such as ``3/8`` names; a ConfigError where it names none."""
        match = re.fullmatch(r"\s*([0-9]{1,9})\s*/\s*([0-9]{1,9})\s*", text)
        if match is None:
            raise ConfigError(
                f"'{text}' is no shard", hint="Write which of how many, such as --shard 3/8: the third of eight."
            )
        return cls(int(match[1]), int(match[2]))

    def __contains__(self, clip_id: object) -> bool:
        place = hashlib.sha256(str(clip_id).encode()).digest()
        return int.from_bytes(place[:8], "big") % self.count == self.number - 1

    def __str__(self) -> str:
        return f"{self.number}/{self.count}"


@dataclass(frozen=True)
class Failure:
    """One clip without features, as a row of ``failures.csv``."""

    clip_id: str
    extractor: str  # short name
    file: str  # as the data set calls it; empty where it names none
    reason: str  # a short machine-readable word, such as ``truncated`` or ``timeout``
    message: str  # what is wrong, in a sentence


_FAILURE_COLUMNS = [field.name for field in fields(Failure)]


@dataclass(frozen=True)
class ExtractionEvent:
    """Progress of one extractor.

    Its stage is ``check``: checking the cache; ``extract``: a clip was extracted or failed; ``wait``: only clips that
    another run works on are left; ``end``: this extractor is done.
    """

    extractor: str
    stage: ExtractionStage
    done: int  # clips cached, extracted or failed so far; while checking, clips checked
    total: int  # clips asked for
    computed: int = 0  # clips extracted by this run so far
    failed: int = 0
    seconds: float = 0.0  # since the first clip was begun; 0 while checking
    failure: Failure | None = None  # the clip that just failed
    shares: StageShares | None = None  # how busy each stage has been so far, at most once a second

    @property
    def clips_per_second(self) -> float:
        """Clips extracted or failed in a second; 0 before the first."""
        return (self.computed + self.failed) / self.seconds if self.seconds > 0 else 0.0


@dataclass(frozen=True)
class ExtractorReport:
    """The outcome for one extractor; counts by state are of all clips with features, cached ones included."""

    extractor: str
    modality: Stream
    folder: Path
    total: int  # clips asked for
    computed: int  # clips that this run extracted
    already_complete: int  # clips that needed no work, or that another run extracted meanwhile
    failures: tuple[Failure, ...]  # clips without features, by ascending id
    no_face: int  # clips without a face in any row
    partly_no_face: int  # clips with a face in some rows only
    black: int  # clips whose every row is a black frame
    no_audio: int  # clips without an audio track
    silent: int  # clips whose every row is silence
    seconds: float  # wall time
    stages: StageShares | None = None  # None where there was nothing to do
    rates: StageRates | None = None  # what the clips took that this run extracted, for planning

    @property
    def complete(self) -> int:
        """Clips with features."""
        return self.computed + self.already_complete

    @property
    def clips_per_second(self) -> float:
        """Clips extracted or failed in a second."""
        return (self.computed + len(self.failures)) / self.seconds if self.seconds > 0 else 0.0


@dataclass(frozen=True, repr=False)
class ExtractionReport(Shown):
    """The outcome of an extraction, extractor by extractor; of a shard of the data set, or of all of it."""

    extractors: tuple[ExtractorReport, ...]
    seconds: float
    shard: Shard | None = None

    def as_table(self) -> Summary:
        """Return the counts of each extractor, and the first failures."""
        rows = [
            (one.extractor, one.total, one.computed, one.already_complete, len(one.failures), one.folder)
            for one in self.extractors
        ]
        failed = tuple(f"failed: clip {one.clip_id} ({one.reason})" for one in self.failures[:3])
        more = len(self.failures) - len(failed)
        notes = (*failed, f"… {more:,} more failures") if more else failed
        return Summary("Extraction", ("extractor", "clips", "new", "cached", "failed", "folder"), rows, notes=notes)

    @property
    def failures(self) -> tuple[Failure, ...]:
        """The failures of all extractors."""
        return tuple(failure for report in self.extractors for failure in report.failures)

    @property
    def usable(self) -> bool:
        """True where every extractor has features of at least one clip, or of a shard without any clip."""
        return bool(self.extractors) and all(
            report.complete > 0 or (report.total == 0 and self.shard is not None) for report in self.extractors
        )

    @property
    def exit_code(self) -> int:
        """0: every clip has features. 3: some clips failed, the rest is usable. 1: an extractor has no features."""
        return (3 if self.failures else 0) if self.usable else 1


def tally_states(entries: Iterable[Entry]) -> dict[str, int]:
    """Count clips by what their rows say, under the names of :class:`ExtractorReport`.

    A clip without a valid row counts under the state that most of its rows have.
    """
    names = {State.NO_FACE: "no_face", State.BLACK_FRAME: "black", State.NO_AUDIO: "no_audio", State.SILENCE: "silent"}
    counts: Counter[str] = Counter()
    for entry in entries:
        if entry.state_counts[State.VALID]:
            counts["partly_no_face"] += entry.state_counts[State.NO_FACE] > 0
        elif entry.rows:
            counts[names[max(names, key=lambda state: entry.state_counts[state])]] += 1
    return {name: counts[name] for name in (*names.values(), "partly_no_face")}


def describe_failure(error: EriError, clip_id: str, extractor: str, file: str) -> Failure:
    """Return the row of ``failures.csv`` for an error of one clip."""
    reason = error.reason if isinstance(error, MediaError | WorkerError) else "data"
    # With its hint, in one line, and writable even where a file's name is not UTF-8.
    message = " ".join(str(error).split()).encode("utf-8", "replace").decode()
    return Failure(clip_id, extractor, file, reason, message)


def read_failures(folder: FeatureFolder) -> tuple[Failure, ...]:
    """Return the failures that a feature folder lists; none where the list is missing or not readable as one."""
    try:
        with (folder.path / FAILURES).open(encoding="utf-8", newline="") as stream:
            rows = list(csv.reader(stream))
    except (OSError, UnicodeDecodeError, csv.Error):
        return ()
    if not rows or rows[0] != _FAILURE_COLUMNS:
        return ()
    return tuple(Failure(*row) for row in rows[1:] if len(row) == len(_FAILURE_COLUMNS))


def update_failures(folder: FeatureFolder, finished: Collection[str], failures: Collection[Failure]) -> None:
    """Bring ``failures.csv`` up to date: rows of finished clips are replaced, the file goes when no row is left."""
    path = folder.path / FAILURES
    if not failures and not path.exists():
        return
    with folder.lock("failures"):
        kept = [
            failure
            for failure in read_failures(folder)
            if failure.clip_id not in finished and not folder.feature_path(failure.clip_id).exists()
        ]
        rows = sorted([*kept, *failures], key=lambda failure: failure.clip_id)
        text = io.StringIO()
        csv.writer(text, lineterminator="\n").writerows([_FAILURE_COLUMNS, *map(astuple, rows)])
        with explained(path):
            if rows:
                write_text(path, text.getvalue())
            else:
                path.unlink(missing_ok=True)
