"""What commands show when they have ended: tables on a terminal, the same text elsewhere."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console, JustifyMethod
from rich.markup import escape
from rich.table import Table

from eri.storage import standing_for

if TYPE_CHECKING:
    import pandas as pd

    from eri.api.demo import DemoReport
    from eri.api.diagnosis import Check
    from eri.data.probe import ProbeReport
    from eri.evaluation.evaluate import Evaluation
    from eri.extraction.run import ExtractionReport
    from eri.metrics.intensities import Interval
    from eri.metrics.scoring import Scores
    from eri.submission import Finding

_FAILURES_SHOWN = 20
_MARKS = {"ready": "[green]ready[/green]", "optional": "[yellow]optional[/yellow]", "missing": "[red]missing[/red]"}

_BOUNDS = {
    "decode": "decoding (more --workers help where cores are free)",
    "faces": "the search for faces (more --workers help where cores are free)",
    "model": "the model",
    "write": "writing (is the disk slow?)",
}

_METRICS = {"mean_pearson": "mean ρ", "war": "WAR", "uar": "UAR"}
_PLAIN_WIDTH = 120  # of what is written to a file or a pipe, where rich would assume 80

_terminal = Console()
console = _terminal if _terminal.is_terminal else Console(width=max(_terminal.width, _PLAIN_WIDTH))


def table_of(
    title: str,
    headers: Sequence[str],
    rows: Iterable[Sequence[str]],
    *,
    numbers: Sequence[int] = (),
    unbroken: Sequence[int] = (),
) -> Table:
    """Return a table of plain text whose columns ``numbers`` are aligned to the right and ``unbroken`` not wrapped."""
    table = Table(title=title, title_justify="left", title_style="bold")
    for index, header in enumerate(headers):
        side: JustifyMethod = "right" if index in numbers else "left"
        table.add_column(header, justify=side, overflow="fold", no_wrap=index in unbroken)
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
            [_METRICS[published.metric], _figure(published.validation), _figure(published.test), published.source]
            if published
            else [""] * 4
        )
        rows.append([name, config.modality, config.description, *figures])
    headers = ("config", "modality", "system", "published", "val", "test", "source")
    console.print(table_of("systems, with the published figures", headers, rows, numbers=(4, 5), unbroken=(0,)))


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
    title = "extraction" if report.shard is None else f"extraction of shard {report.shard}"
    console.print(table_of(title, headers, rows, numbers=(1, 2, 3, 4, 6, 7)))
    for failure in report.failures[:_FAILURES_SHOWN]:
        line = f"failed: {failure.extractor}, clip {failure.clip_id} ({failure.reason}): {failure.message}"
        console.print(escape(line), soft_wrap=True, highlight=False)
    if len(report.failures) > _FAILURES_SHOWN:
        console.print(f"… and {len(report.failures) - _FAILURES_SHOWN} more")
    for part in report.extractors:
        if part.stages is not None:
            line = f"{part.extractor}: busy {part.stages}; bounded by {_BOUNDS[part.stages.bound]}"
            console.print(escape(line), soft_wrap=True, highlight=False)
        where = f"features: {standing_for(part.folder)}" + (" (failures.csv has the reasons)" if part.failures else "")
        console.print(escape(where), soft_wrap=True)


def show_probe(report: ProbeReport, *, every: bool, output: Path | None) -> None:
    """Show the odd clips of a data set (or all of them), the summary, and write the table where asked."""
    from eri.utils.files import write_text

    clips = report.table
    odd = clips["problem"].ne("") | clips["notes"].ne("") | clips["frame_rate_changes"] | clips["mirrored"]
    odd |= clips["rotation"].ne(0) | ~clips["audio"].astype(bool)
    chosen = clips if every else clips[odd]
    headers = ("clip", "split", "seconds", "fps", "size", "turned", "sound", "remarks")
    rows = [_probe_row(str(clip_id), row) for clip_id, row in chosen.iterrows()]
    if rows:
        title = "clips" if every else "clips to look at (--all shows every one)"
        console.print(table_of(title, headers, rows, numbers=(2, 3)))
    summary = report.summary
    console.print(
        f"{summary.clips} clips, {summary.hours:.2f} hours: {summary.without_video} without pictures, "
        f"{summary.without_audio} without sound, {summary.rotated} turned, "
        f"{summary.frame_rate_changes} with a changing frame rate",
        highlight=False,
    )
    for problem, count in summary.problems.items():
        console.print(escape(f"{problem}: {count}"), highlight=False)
    console.print(f"{summary.seconds_per_thousand:.1f} seconds per thousand clips", highlight=False)
    if output is not None:
        write_text(output, clips.to_csv())
        console.print(escape(f"table: {output}"))


def _probe_row(clip_id: str, row: pd.Series[Any]) -> list[str]:
    import pandas as pd

    def shown(value: Any, digits: int) -> str:
        return "" if value is None or pd.isna(value) else f"{value:.{digits}f}"

    rate = shown(row["fps"], 2) + (" changing" if row["frame_rate_changes"] else "")
    size = "" if pd.isna(row["width"]) else f"{int(row['width'])}×{int(row['height'])}"
    turned = (f"{int(row['rotation'])}°" if row["rotation"] else "") + (" mirrored" if row["mirrored"] else "")
    remarks = "; ".join(text for text in (row["problem"], row["message"], row["notes"]) if text)
    sound = "yes" if row["audio"] else "no"
    return [clip_id, str(row["split"]), shown(row["duration"], 2), rate, size, turned, sound, remarks]


def show_run(run: Path) -> None:
    """Show where a run was written and what can be done with it."""
    from eri.training import read_run

    console.print(escape(f"run: {run}"), soft_wrap=True, highlight=False)
    submits = ", and write the prediction file with `eri submit`" if not read_run(run).task.is_classification else ""
    console.print(f"Score it with `eri evaluate`{submits}.")


def show_evaluation(result: Evaluation) -> None:
    """Show the score of each label with its interval, or say that the split was predicted only."""
    if result.metrics is None:
        console.print(escape(f"{result.run}: the {result.split} split has no labels; its clips were predicted only."))
    else:
        console.print(_metrics_table(result, result.metrics))
        show_confusion(result.metrics)
    if result.fallback:
        shown = ", ".join(result.fallback[:_FAILURES_SHOWN])
        line = f"{len(result.fallback)} clips without features got the mean of train's labels: {shown}"
        console.print(escape(line), soft_wrap=True, highlight=False)
    for note in result.notes:
        console.print(escape(note), soft_wrap=True, highlight=False)
    console.print(escape(f"written: {result.run}/metrics.json, predictions.parquet"), soft_wrap=True, highlight=False)


def _metrics_table(result: Evaluation, metrics: Scores) -> Table:
    rows = figure_rows(metrics)
    if result.published is not None:
        rows.append([f"published {result.published_as}", signed(result.published), "", result.source or ""])
    title = f"{result.run.name}, {result.split} split, {metrics.clips} clips"
    return table_of(title, figure_headers(metrics), rows, numbers=(1,))


def figure_headers(scores: Scores) -> tuple[str, ...]:
    """Return the heads of the columns of :func:`figure_rows`."""
    return "", scores.heading, "95 % interval", "remarks"


def figure_rows(scores: Scores) -> list[list[str]]:
    """Return a row for each label or class, and for what sums them up."""
    return [[line.name, signed(line.value), interval_text(line.interval), line.remark] for line in scores.figures()]


def show_confusion(scores: Scores) -> None:
    """Show the confusion matrix of recognised classes; intensities have none."""
    from eri.metrics.recognition import Recognition

    if not isinstance(scores, Recognition):
        return
    names = list(scores.classes)
    rows = [[name, *map(str, counts)] for name, counts in zip(names, scores.confusion, strict=True)]
    headers = ("class ↓ decision →", *names)
    console.print(table_of("confusion", headers, rows, numbers=range(1, len(headers))))


def signed(value: float | None) -> str:
    """Return a score as text; undefined is a dash.

    Examples:
        >>> signed(0.40804), signed(None)
        ('0.408', '–')
    """
    return "–" if value is None else f"{value:.3f}"


def interval_text(interval: Interval | None) -> str:
    """Return an interval as text; none is empty."""
    return "" if interval is None else f"[{interval.low:.3f}, {interval.high:.3f}]"


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


def show_demo(report: DemoReport) -> None:
    """Show the scores, the control, the submission's verdict and the seconds of each stage."""
    show_extraction(report.extraction)
    rows = [_demo_row(name, result) for name, result in report.scores.items()]
    rows.append(_demo_row("multimodal, shuffled labels (control)", report.control))
    weights = "pretrained" if report.pretrained else "random"
    title = f"mean Pearson on the val split, backbones with {weights} weights"
    console.print(table_of(title, ("system", "mean Pearson", "95 % interval", "clips"), rows, numbers=(1, 3)))
    stages = ", ".join(f"{name} {seconds:.0f} s" for name, seconds in report.seconds.items())
    console.print(f"{stages}; in all {sum(report.seconds.values()):.0f} s", highlight=False, soft_wrap=True)
    show_submission(report.submission, report.findings)
    if not report.pretrained:
        console.print("Random weights: this proves the pipeline, not the science.")


def _demo_row(name: str, result: Evaluation) -> list[str]:
    metrics = result.metrics
    if metrics is None:
        return [name, signed(None), "", "0"]
    return [name, signed(metrics.figure), interval_text(metrics.interval), str(metrics.clips)]


def _figure(value: float | None) -> str:
    return "" if value is None else f"{value:.4f}".removeprefix("0")
