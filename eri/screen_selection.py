"""What `eri cv`, `eri ensemble`, `eri compare` and `eri search` show."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from rich.markup import escape

from eri.metrics import Metrics
from eri.screen import console, interval_text, signed, table_of

if TYPE_CHECKING:
    from eri.search import SearchReport, TrialEnded
    from eri.selection import Comparison, CrossValidation, Difference, EnsembleReport, ModelTrained

_HEADERS = ("", "Pearson", "95 % interval", "remarks")
_FOLDS_SHOWN = 20


def show_model(event: ModelTrained) -> None:
    """Show that one model of a cross-validation is trained."""
    _say(f"{event.done}/{event.total} {event.name}: Pearson {signed(event.pearson)}")


def show_cross_validation(result: CrossValidation) -> None:
    """Show the scores over all clips and in each fold, and what choosing the epoch promised too much."""
    rows = _label_rows(result.metrics)
    for fold in result.folds[:_FOLDS_SHOWN]:
        name = f"fold {fold.name}" + (f", repeat {fold.repeat}" if fold.repeat > 1 else "")
        rows.append(_row(name, fold.metrics.mean, fold.metrics, f"{fold.metrics.clips} clips"))
    title = f"{result.path.name}, {result.metrics.clips} clips out of fold"
    console.print(table_of(title, _HEADERS, rows, numbers=(1,)))
    if len(result.folds) > _FOLDS_SHOWN:
        _say(f"{len(result.folds) - _FOLDS_SHOWN} more folds are in cv.json")
    if len(result.single) > 1:
        _say("one seed alone: " + ", ".join(signed(value) for value in result.single.values()))
    _say(f"optimism of the clips that chose the epoch: {signed(result.optimism)}")
    _say_all((*result.notes, f"written: {result.path}/cv.json, folds.csv, out_of_fold.parquet, predictions.parquet"))


def show_ensemble(report: EnsembleReport) -> None:
    """Show the nested scores of an ensemble beside its members, and its optimism."""
    rows = _label_rows(report.metrics)
    for name, mean in report.members.items():
        weight = "" if report.weights is None else f"weight {report.weights[name]:.3f}"
        rows.append([f"{name} alone", signed(mean), "", weight])
    title = f"{report.path.name}, nested over {report.metrics.clips} clips"
    console.print(table_of(title, _HEADERS, rows, numbers=(1,)))
    _say(f"on the clips it was fitted on: {signed(report.fitted)}, so the optimism is {signed(report.optimism)}")
    _say_all((*report.notes, f"written: {report.path}/ensemble.json, predictions.parquet"))


def show_comparison(result: Comparison) -> None:
    """Show each difference with its interval and p-values."""
    pairs: list[tuple[str, Difference]] = [*result.labels.items(), ("mean", result.mean)]
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
    console.print(table_of(f"{result.clips} clips, paired bootstrap", headers, rows, numbers=(1, 2, 3, 5, 6)))
    if result.left_out:
        _say(f"constant, left out of the mean: {', '.join(result.left_out)}")
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
    _say(f"best validation Pearson {signed(report.value)}")
    _say_all((*report.notes, f"written: {report.best}"))


def _label_rows(metrics: Metrics) -> list[list[str]]:
    rows = [
        [name, signed(score.pearson), interval_text(score.interval), score.reason or ""]
        for name, score in metrics.labels.items()
    ]
    return [*rows, _row("mean", metrics.mean, metrics, "")]


def _row(name: str, mean: float | None, metrics: Metrics, remark: str) -> list[str]:
    constant = f"constant: {', '.join(metrics.constant)}" if metrics.constant else ""
    return [name, signed(mean), interval_text(metrics.interval), ", ".join(filter(None, (remark, constant)))]


def _probability(value: float | None) -> str:
    return "–" if value is None else f"{value:.4f}"


def _say_all(lines: Iterable[str]) -> None:
    for line in lines:
        _say(line)


def _say(line: str) -> None:
    console.print(escape(line), soft_wrap=True, highlight=False)
