"""What `eri draw`, `eri predict` and `eri profile` show."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from rich.markup import escape

from eri.cli.screen import console, table_of

if TYPE_CHECKING:
    from eri.models.profile import Comparison, VideoProfile
    from eri.reports.pictures import Localization
    from eri.reports.predictions import PredictionReport


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


_ROWS = 40


def show_predictions(report: PredictionReport) -> None:
    """Show the predictions of the first videos, the strongest label of each, and where the files are."""
    labels = list(report.task.labels)
    rows = []
    for file, row in report.table.head(_ROWS).iterrows():
        name = Path(str(file)).name.encode("utf-8", "replace").decode()
        if row["reason"]:
            rows.append([name, *[""] * len(labels), " ".join(str(row["reason"]).split())])
            continue
        remark = "; ".join(part for part in (str(row["rule"]), str(row["notes"])) if part)
        rows.append([name, *(f"{row[label]:.3f}" for label in labels), remark])
    title = f"{report.path.parent.name}: {len(report.table) - report.failed} of {len(report.table)} predicted"
    console.print(table_of(title, ("file", *labels, "remarks"), rows, numbers=range(1, len(labels) + 1)))
    if len(report.table) > _ROWS:
        _say(f"and {len(report.table) - _ROWS} more")
    for file, problem in report.problems.items():
        _say(f"{file}: no timeline: {problem}")
    _say(f"written: {report.path}")
    for paths in report.timelines.values():
        _say(f"written: {', '.join(map(str, paths))}")


def _say(line: str) -> None:
    shown = line.encode("utf-8", "replace").decode()
    console.print(escape(shown), soft_wrap=True, highlight=False)


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
