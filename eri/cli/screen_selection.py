"""What `eri cv`, `eri ensemble`, `eri compare` and `eri search` show."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from rich.markup import escape

from eri.cli.screen import console, figure_headers, figure_rows, interval_text, show_confusion, signed, table_of

if TYPE_CHECKING:
    from eri.evaluation.comparison import Comparison, Difference
    from eri.evaluation.cross_validation import CrossValidation, ModelTrained
    from eri.evaluation.ensembling import EnsembleReport
    from eri.evaluation.search import SearchReport, TrialEnded
    from eri.metrics.scoring import Scores

_FOLDS_SHOWN = 20


def show_model(event: ModelTrained) -> None:
    """Show that one model of a cross-validation is trained."""
    _say(f"{event.done}/{event.total} {event.name}: {event.metric} {signed(event.figure)}")


def show_cross_validation(result: CrossValidation) -> None:
    """Show the scores over all clips and in each fold, and what choosing the epoch promised too much."""
    rows = figure_rows(result.metrics)
    for fold in result.folds[:_FOLDS_SHOWN]:
        name = f"fold {fold.name}" + (f", repeat {fold.repeat}" if fold.repeat > 1 else "")
        rows.append(_row(name, fold.metrics, f"{fold.metrics.clips} clips"))
    title = f"{result.path.name}, {result.metrics.clips} clips out of fold"
    console.print(table_of(title, figure_headers(result.metrics), rows, numbers=(1,)))
    show_confusion(result.metrics)
    if len(result.folds) > _FOLDS_SHOWN:
        _say(f"{len(result.folds) - _FOLDS_SHOWN} more folds are in cv.json")
    if result.over_folds is not None:
        mean, deviation = result.over_folds
        _say(f"{result.metric}, mean over the folds: {signed(mean)} ± {signed(deviation)}")
    if len(result.single) > 1:
        _say("one seed alone: " + ", ".join(signed(value) for value in result.single.values()))
    _say(f"optimism of the clips that chose the epoch: {signed(result.optimism)}")
    _say_all((*result.notes, f"written: {result.path}/cv.json, folds.csv, out_of_fold.parquet, predictions.parquet"))


def show_ensemble(report: EnsembleReport) -> None:
    """Show the nested scores of an ensemble beside its members, and its optimism."""
    rows = figure_rows(report.metrics)
    for name, mean in report.members.items():
        weight = "" if report.weights is None else f"weight {report.weights[name]:.3f}"
        rows.append([f"{name} alone", signed(mean), "", weight])
    title = f"{report.path.name}, nested over {report.metrics.clips} clips"
    console.print(table_of(title, figure_headers(report.metrics), rows, numbers=(1,)))
    show_confusion(report.metrics)
    fitted = f"{report.metrics.metric} on the clips it was fitted on: {signed(report.fitted)}"
    _say(f"{fitted}, so the optimism is {signed(report.optimism)}")
    _say_all((*report.notes, f"written: {report.path}/ensemble.json, predictions.parquet"))


def show_comparison(result: Comparison) -> None:
    """Show each difference with its interval and p-values."""
    pairs: list[tuple[str, Difference]] = [*result.labels.items(), (result.averaged_as, result.mean)]
    if result.overall is not None:
        pairs.append(("WAR", result.overall))
    rows = [
        [
            name,
            signed(found.first),
            signed(found.second),
            signed(found.difference),
            interval_text(found.interval),
            _probability(found.p),
            _probability(found.corrected),
        ]
        for name, found in pairs
    ]
    headers = ("", result.first, result.second, "difference", f"{result.level:.0%} interval", "p", "p, Holm")
    title = f"{result.clips} clips, paired bootstrap"
    if result.subjects is not None:
        title = f"{result.clips} clips of {result.subjects} subjects, paired bootstrap over subjects"
    console.print(table_of(title, headers, rows, numbers=(1, 2, 3, 5, 6)))
    for test in result.over_folds:
        how = "one tail" if test.tail == "greater" else "two tails"
        how += ", variance corrected for train sets that overlap" if test.corrected else ""
        difference = f"{signed(test.first)} and {signed(test.second)}"
        _say(f"over {test.folds} folds, {difference}: paired t-test p {_probability(test.p)} ({how})")
    if result.left_out:
        _say(f"undefined, left out of the {result.averaged_as}: {', '.join(result.left_out)}")
    _say_all(result.notes)


def show_trial(event: TrialEnded) -> None:
    """Show that one trial of a search is over."""
    values = ", ".join(f"{key}={value}" for key, value in event.values.items())
    outcome = event.error or (signed(event.value) if event.state == "complete" else "")
    _say(f"trial {event.number} {event.state} {outcome} ({values})")


def show_search(report: SearchReport) -> None:
    """Show the best settings of a search and where they were written."""
    _say(f"{report.complete} trials complete, {report.pruned} pruned, {report.failed} failed")
    if report.best is None:
        _say("no trial was completed")
        return
    for key, value in report.values.items():
        _say(f"  {key}: {value}")
    _say(f"best validation {report.metric} {signed(report.value)}")
    _say_all((*report.notes, f"written: {report.best}"))


def _row(name: str, scores: Scores, remark: str) -> list[str]:
    remarks = ", ".join(filter(None, (remark, scores.remark)))
    return [name, signed(scores.figure), interval_text(scores.interval), remarks]


def _probability(value: float | None) -> str:
    return "–" if value is None else f"{value:.4f}"


def _say_all(lines: Iterable[str]) -> None:
    for line in lines:
        _say(line)


def _say(line: str) -> None:
    console.print(escape(line), soft_wrap=True, highlight=False)
