"""What the checks of every kind share: a broken promise is an error that names the thing, and what to do about it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, TypeVar, cast

from pydantic import ValidationError

from eri.config import Strict, describe_misfits
from eri.utils.errors import CheckError, ConfigError, EriError

Section = TypeVar("Section", bound=Strict)


class Promises:
    """The checks of one thing, such as ``the head 'gru'``; a :class:`CheckError` begins with that."""

    def __init__(self, thing: str) -> None:
        self.thing = thing

    def require(self, kept: object, broken: str, hint: str) -> None:
        """Raise a :class:`CheckError` that says what is broken, unless it is kept."""
        if not kept:
            raise CheckError(f"{self.thing} {broken}", hint=hint)

    @contextmanager
    def naming(self, what: str, hint: str = "Correct what raises this.") -> Iterator[None]:
        """Raise a :class:`CheckError` in place of any error of a block but those of ``eri``."""
        try:
            yield
        except EriError:
            raise
        except Exception as error:
            raise CheckError(f"{self.thing} {what}: {type(error).__name__}: {error}", hint=hint) from error


def parse_section(kind: str, key: str, parse: Callable[[Mapping[str, Any]], Section], given: Any) -> Section:
    """Return the section of a config that is given as its name, as a mapping or as an object."""
    if isinstance(given, Strict):
        return cast(Section, given)
    try:
        return parse({key: given} if isinstance(given, str) else given)
    except ValidationError as error:
        raise ConfigError(
            f"the section of the {kind} to check: {describe_misfits(error)}",
            hint=f"Settings without a default must be given: check_{kind}({{'{key}': name, ...}}).",
        ) from None
