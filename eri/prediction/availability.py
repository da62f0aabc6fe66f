"""What a video lacks for a model to predict it, in words: no face, no audio, a file that cannot be read."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from eri.media.state import State
from eri.runs.opening import Member

_WORDS: Mapping[int, str] = {
    State.NO_FACE: "no face",
    State.BLACK_FRAME: "only black frames",
    State.NO_AUDIO: "no audio track",
    State.SILENCE: "silence",
}


@dataclass(frozen=True)
class Missing:
    """Why a modality of a video has no valid row."""

    words: str  # such as ``no face``, or the message of an error
    error: bool = False  # whether the video could not be read, rather than shows nothing


@dataclass(frozen=True)
class Availability:
    """Whether models predict a video, and what a reader should know."""

    reason: str = ""  # why they do not; empty where they do
    empty: bool = False  # some model has no valid row of any modality, and predicts the mean of the train labels
    notes: tuple[str, ...] = ()


def describe_states(counts: Sequence[int]) -> Missing | None:
    """Return what is missing, by the number of rows in each state; None where a row is valid.

    Examples:
        >>> describe_states([0, 3, 1, 0, 0]).words, describe_states([1, 3, 0, 0, 0])
        ('no face', None)
    """
    if counts[State.VALID]:
        return None
    return Missing(_WORDS.get(int(np.argmax(counts)), "nothing to see or hear"))


def check_availability(members: Sequence[Member], missing: Mapping[str, Missing]) -> Availability:
    """Decide whether models that predict together predict a video that lacks something, by modality: all have to.

    A model of one modality that is empty, or of several that are all empty, predicts the mean of the train labels, as
    in evaluation. A model that has only some of its modalities predicts when it learnt from such clips, else refuses.
    """
    found = [_check(member, missing) for member in members]
    reason = next((one.reason for one in found if one.reason), "")
    notes = tuple(dict.fromkeys(note for one in found for note in one.notes))
    return Availability(reason, any(one.empty for one in found), notes)


def _check(member: Member, missing: Mapping[str, Missing]) -> Availability:
    own = {name: missing[name] for name in member.sources if name in missing}
    notes = tuple(f"{name}: {lack.words}" for name, lack in own.items())
    if len(own) == len(member.sources):
        errors = [lack.words for lack in own.values() if lack.error]
        if errors:
            return Availability(errors[0], empty=True)
        return Availability(empty=True, notes=(*notes, "predicted as the mean of the train labels"))
    if own and not member.handles_missing_modalities:
        there = " and ".join(name for name in member.sources if name not in own)
        name = member.run.path.name
        return Availability(f"{'; '.join(notes)}; {name} was not trained to predict from {there} alone")
    return Availability(notes=notes)
