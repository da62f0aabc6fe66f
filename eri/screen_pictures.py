"""What `eri draw localization` shows."""

from __future__ import annotations

from typing import TYPE_CHECKING

from eri.screen import console, table_of

if TYPE_CHECKING:
    from eri.pictures import Localization


def show_localization(found: Localization, annotated: int) -> None:
    """Show how often the apex was located, what chance gives, and which clips could not be scored.

    Args:
        found: The score.
        annotated: Clips that have an annotated apex.
    """

    def share(value: float | None) -> str:
        return "–" if value is None else f"{value:.1%}"

    rows = [
        ["located", share(found.accuracy), f"{found.located} of {found.annotated} clips"],
        ["by chance", share(found.chance), "a part drawn at random"],
    ]
    console.print(table_of("the most emotional part is the annotated one", ("", "accuracy", ""), rows, numbers=(1,)))
    if found.outside:
        console.print(f"{found.outside} clip(s) left out: no part that the model reads shows their apex")
    if faceless := annotated - found.annotated - found.outside:
        console.print(f"{faceless} clip(s) left out: no face crop")
