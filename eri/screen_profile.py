"""What `eri profile` shows: a model's costs beside the published ones, and where the work is done."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.markup import escape

from eri.screen import console, table_of

if TYPE_CHECKING:
    from eri.profiling import Comparison, VideoProfile


def show_profile(result: VideoProfile) -> None:
    """Show the table of costs, why they differ from the published ones, and the work of each part."""
    profile = result.profile
    memory = "not told by this system" if profile.memory is None else f"{profile.memory / 2**20:,.0f} MiB"
    whose = "tensors" if profile.device not in ("cpu",) else "the whole process"
    rows = [
        _compared("parameters", result.parameters, "M"),
        ["of these trainable", f"{profile.trainable / 1e6:.2f} M", "", ""],
        _compared("MACs", result.macs, "G"),
        [f"peak memory ({whose})", memory, "", ""],
        [f"latency (median of {profile.runs}, {profile.device})", f"{1000 * profile.latency:,.1f} ms", "", ""],
    ]
    headers = ("what", "here", "published", "difference")
    console.print(table_of(f"{result.name}: {result.input}", headers, rows, numbers=(1, 2, 3)))
    published = result.published
    if published is not None:
        console.print(escape(f"published: {published.source}"), soft_wrap=True, highlight=False)
        for what, comparison in (("parameters", result.parameters), ("MACs", result.macs)):
            if not comparison.agrees:
                reason = published.explanation or "no reason is known; the parts below show where the work is done"
                console.print(escape(f"{what} differ by more than 2 %: {reason}"), soft_wrap=True, highlight=False)
        if published.explanation and result.parameters.agrees and result.macs.agrees:
            console.print(escape(f"note: {published.explanation}"), soft_wrap=True, highlight=False)
    work = profile.work
    parts = [[name, f"{macs / 1e9:.3f} G", f"{macs / work.macs:.1%}"] for name, macs in work.parts.items()]
    console.print(table_of("MACs by part", ("part", "MACs", "share"), parts, numbers=(1, 2)))
    console.print(escape(f"not counted: biases, and {', '.join(work.left_out)}"), soft_wrap=True, highlight=False)


def _compared(what: str, comparison: Comparison, unit: str) -> list[str]:
    here = f"{comparison.measured:.2f} {unit}"
    if comparison.published is None or comparison.difference is None:
        return [what, here, "", ""]
    return [what, here, f"{comparison.published:.2f} {unit}", f"{comparison.difference:+.1%}"]
