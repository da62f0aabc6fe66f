"""What commands show when they have ended: tables on a terminal, the same text elsewhere."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console
from rich.markup import escape
from rich.table import Table

if TYPE_CHECKING:
    from eri.diagnosis import Check
    from eri.extraction import ExtractionReport
    from eri.submission import Finding

_FAILURES_SHOWN = 20
_MARKS = {"ready": "[green]ready[/green]", "optional": "[yellow]optional[/yellow]", "missing": "[red]missing[/red]"}

console = Console(soft_wrap=False)


def table_of(
    title: str, headers: Sequence[str], rows: Iterable[Sequence[str]], *, numbers: Sequence[int] = ()
) -> Table:
    """Return a table whose cells are plain text, with the named columns aligned to the right."""
    table = Table(title=title, title_justify="left", title_style="bold")
    for index, header in enumerate(headers):
        table.add_column(header, justify="right" if index in numbers else "left", overflow="fold")
    for row in rows:
        table.add_row(*(escape(cell) for cell in row))
    return table


def show_checks(checks: Sequence[Check]) -> None:
    """Show the doctor's report, a table a section."""
    for section in dict.fromkeys(check.section for check in checks):
        table = Table(title=section, title_justify="left", title_style="bold")
        for header in ("what", "state", "found", "what to do"):
            table.add_column(header, overflow="fold")
        for check in checks:
            if check.section == section:
                cells = (escape(check.name), _MARKS[check.status], escape(check.found), escape(check.advice))
                table.add_row(*cells)
        console.print(table)
    missing = [check.name for check in checks if check.status == "missing"]
    console.print(f"missing: {', '.join(missing)}" if missing else "Everything that must be there is there.")


def show_configs() -> None:
    """Show the shipped configs with the published figures."""
    from eri.config import config_names, load_config

    rows = []
    for name in config_names():
        config = load_config(name)
        published = config.published
        figures = (
            [_figure(published.validation), _figure(published.test), published.source] if published else ["", "", ""]
        )
        rows.append([name, config.modality, config.description, *figures])
    headers = ("config", "modality", "system", "val ρ", "test ρ", "source")
    console.print(table_of("systems, with the published mean Pearson", headers, rows, numbers=(3, 4)))


def show_extraction(report: ExtractionReport) -> None:
    """Show counts and failures of an extraction."""
    rows = []
    for part in report.extractors:
        states = {
            "no face": part.no_face,
            "face in some frames only": part.partly_no_face,
            "black": part.black,
            "no audio": part.no_audio,
            "silent": part.silent,
        }
        noted = ", ".join(f"{count} {name}" for name, count in states.items() if count)
        counts = [str(number) for number in (part.total, part.computed, part.already_complete, len(part.failures))]
        rows.append([part.extractor, *counts, noted, f"{part.seconds:.1f} s", f"{part.clips_per_second:.1f}"])
    headers = ("extractor", "clips", "new", "complete before", "failed", "noted", "time", "clips/s")
    console.print(table_of("extraction", headers, rows, numbers=(1, 2, 3, 4, 6, 7)))
    for failure in report.failures[:_FAILURES_SHOWN]:
        console.print(
            escape(f"failed: {failure.extractor}, clip {failure.clip_id} ({failure.reason}): {failure.message}")
        )
    if len(report.failures) > _FAILURES_SHOWN:
        console.print(f"… and {len(report.failures) - _FAILURES_SHOWN} more")
    for part in report.extractors:
        where = f"features: {part.folder}" + (" (failures.csv has the reasons)" if part.failures else "")
        console.print(escape(where), soft_wrap=True)


def show_findings(file: Path, findings: Sequence[Finding]) -> None:
    """Show what the validator found in a file."""
    for finding in findings:
        place = f"line {finding.line}" if finding.line is not None else "whole file"
        line = f"{finding.severity}: {place}: [{finding.code}] {finding.message}"
        console.print(escape(line), soft_wrap=True, highlight=False)
    errors = sum(finding.severity == "error" for finding in findings)
    warnings = len(findings) - errors
    verdict = "refused" if errors else "accepted"
    console.print(escape(f"{file}: {verdict}, {errors} errors, {warnings} warnings"), soft_wrap=True, highlight=False)


def show_submission(path: Path, findings: Sequence[Finding]) -> None:
    """Show where a submission was written, which rows a rule filled, and the validator's verdict."""
    import json

    manifest = json.loads((path.parent / "manifest.json").read_text(encoding="utf-8"))
    for clip_id, rule in manifest["filled_by_rule"].items():
        console.print(escape(f"clip {clip_id}: filled by the rule '{rule}'"), soft_wrap=True, highlight=False)
    show_findings(path, findings)


def has_errors(findings: Sequence[Finding]) -> bool:
    """Return whether the organisers would refuse the file."""
    return any(finding.severity == "error" for finding in findings)


def _figure(value: float | None) -> str:
    return "" if value is None else f"{value:.4f}".removeprefix("0")
