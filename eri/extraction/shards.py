"""Shards: disjoint parts of a data set, for clusters that start the same command many times with different numbers."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass

from eri.utils.errors import ConfigError

_TEXT = re.compile(r"\s*([0-9]{1,9})\s*/\s*([0-9]{1,9})\s*")


@dataclass(frozen=True)
class Shard:
    """One of ``count`` disjoint parts that cover every clip.

    Which part a clip belongs to follows from the SHA-256 of its id alone: it is the same on every machine, and clips
    that are added later move no other. Parts are as even as a fair draw makes them: of N clips each has N / count,
    give or take a few times the square root of that. Of 1/1 everything is part.

    Attributes:
        number: Which part, from 1 to ``count``.
        count: How many parts there are.

    Raises:
        ConfigError: The number is not one of 1 to ``count``.

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

    number: int
    count: int

    def __post_init__(self) -> None:
        if not 1 <= self.number <= self.count:
            raise ConfigError(
                f"there is no shard {self.number} of {self.count}",
                hint="Shards are counted from 1: of 8, the first is 1/8 and the last 8/8.",
            )

    @classmethod
    def parse(cls, text: str) -> Shard:
        """Return the shard that a text such as ``3/8`` names.

        Raises:
            ConfigError: It names none.
        """
        match = _TEXT.fullmatch(text)
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
