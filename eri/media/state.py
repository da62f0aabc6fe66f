"""The states that a row of a time grid can be in, shared by everything that decodes, embeds or learns."""

from __future__ import annotations

from enum import IntEnum


class State(IntEnum):
    """Why a row of features is as it is. Everything but ``VALID`` is masked by the heads."""

    VALID = 0
    NO_FACE = 1
    BLACK_FRAME = 2
    NO_AUDIO = 3
    SILENCE = 4
