"""What a video lacks for a model to predict it, in words: no face, no sound, a file that cannot be read."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np

from eri.media.state import State
from eri.prediction.members import Member

_WORDS: Mapping[int, str] = MappingProxyType(
    {
        State.NO_FACE: "no face",
        State.BLACK_FRAME: "only black frames",
        State.NO_AUDIO: "no sound track",
        State.SILENCE: "silence",
    }
)


@dataclass(frozen=True)
class Gap:
    """Why a modality of a video has no valid row.

    Attributes:
        words: Such as ``no face``, or the message of an error.
        error: Whether the video could not be read, rather than shows nothing.
    """

    words: str
    error: bool = False


@dataclass(frozen=True)
class Verdict:
    """Whether a model predicts a video.

    Attributes:
        reason: Why it does not; empty where it does.
        empty: There is no valid row of any modality, so that the mean of the train labels stands in.
        notes: What a reader should know.
    """

    reason: str = ""
    empty: bool = False
    notes: tuple[str, ...] = ()


def describe_states(counts: Sequence[int]) -> Gap | None:
    """Return what lacks, by the number of rows in each state; None where a row is valid.

    Examples:
        >>> describe_states([0, 3, 1, 0, 0]).words, describe_states([1, 3, 0, 0, 0])
        ('no face', None)
    """
    if counts[State.VALID]:
        return None
    return Gap(_WORDS.get(int(np.argmax(counts)), "nothing to see or hear"))


def judge(member: Member, gaps: Mapping[str, Gap]) -> Verdict:
    """Decide whether a model predicts a video that lacks something.

    A model of one modality that is empty, or of several that are all empty, gives the train mean, as in evaluation. A
    model that has only some of its modalities predicts when it learnt from clips with such gaps, else refuses.

    Args:
        member: The model.
        gaps: What the video lacks, by modality.
    """
    own = {name: gaps[name] for name in member.sources if name in gaps}
    told = tuple(f"{name}: {gap.words}" for name, gap in own.items())
    if len(own) == len(member.sources):
        errors = [gap.words for gap in own.values() if gap.error]
        if errors:
            return Verdict(errors[0], empty=True)
        return Verdict(empty=True, notes=(*told, "the mean of the train labels stands in"))
    if own and not member.bears_gaps:
        there = " and ".join(name for name in member.sources if name not in own)
        return Verdict(f"{'; '.join(told)}; {member.run.path.name} did not learn to do with {there} alone")
    return Verdict(notes=told)


def judge_all(members: Sequence[Member], gaps: Mapping[str, Gap]) -> Verdict:
    """Decide for several models that predict together: all have to."""
    verdicts = [judge(member, gaps) for member in members]
    reason = next((verdict.reason for verdict in verdicts if verdict.reason), "")
    notes = tuple(dict.fromkeys(note for verdict in verdicts for note in verdict.notes))
    return Verdict(reason, any(verdict.empty for verdict in verdicts), notes)
