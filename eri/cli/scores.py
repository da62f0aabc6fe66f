"""What `eri evaluate`, `cv`, `ensemble`, `compare` and `search` show."""

from __future__ import annotations

from typing import TYPE_CHECKING

from eri.cli.tables import interval_text, number, say, score_headers, score_rows, show_confusion, show_table

if TYPE_CHECKING:
    from eri.evaluation.comparison import Comparison, Difference
    from eri.evaluation.cross_validation import CrossValidation
    from eri.evaluation.ensembling import EnsembleReport
    from eri.evaluation.evaluate import Evaluation
    from eri.evaluation.search import SearchReport
    from eri.metrics.scoring import Scores

_SHOWN = 20


def show_evaluation(result: Evaluation) -> None:
    """Show the score of each label with its interval, or say that the split was predicted only."""
    metrics = result.metrics
    if metrics is None:
        say(f"{result.run}: the {result.split} split has no labels; its clips were predicted only.")
    else:
        rows = score_rows(metrics)
        if result.published is not None:
            rows.append([f"published {result.published_as}", number(result.published), "", result.source or ""])
        title = f"{result.run.name}, {result.split} split, {metrics.clips} clips"
        show_table(title, score_headers(metrics), rows, numbers=(1,))
        show_confusion(metrics)
    if result.fallback:
        shown = ", ".join(result.fallback[:_SHOWN])
        say(f"{len(result.fallback)} clips without features got the fallback (train mean): {shown}")
    say(*result.notes, f"written: {result.run}/metrics.json, predictions.parquet")


def show_cross_validation(result: CrossValidation) -> None:
    """Show the scores over all clips and in each fold, and the optimism of selecting the epoch."""
    rows = score_rows(result.metrics)
    for fold in result.folds[:_SHOWN]:
        name = f"fold {fold.name}" + (f", repeat {fold.repeat}" if fold.repeat > 1 else "")
        rows.append(_row(name, fold.metrics, f"{fold.metrics.clips} clips"))
    title = f"{result.path.name}, {result.metrics.clips} clips out of fold"
    show_table(title, score_headers(result.metrics), rows, numbers=(1,))
    show_confusion(result.metrics)
    if len(result.folds) > _SHOWN:
        say(f"{len(result.folds) - _SHOWN} more folds are in cv.json")
    if result.over_folds is not None:
        mean, deviation = result.over_folds
        say(f"{result.metric}, mean over the folds: {number(mean)} ± {number(deviation)}")
    if len(result.single) > 1:
        say("one seed alone: " + ", ".join(number(value) for value in result.single.values()))
    say(
        f"optimism of the clips that selected the epoch: {number(result.optimism)}",
        *result.notes,
        f"written: {result.path}/cv.json, folds.csv, out_of_fold.parquet, predictions.parquet",
    )


def show_ensemble(report: EnsembleReport) -> None:
    """Show the nested scores of an ensemble beside its members, and its optimism."""
    rows = score_rows(report.metrics)
    for name, mean in report.members.items():
        weight = "" if report.weights is None else f"weight {report.weights[name]:.3f}"
        rows.append([f"{name} alone", number(mean), "", weight])
    title = f"{report.path.name}, nested over {report.metrics.clips} clips"
    show_table(title, score_headers(report.metrics), rows, numbers=(1,))
    show_confusion(report.metrics)
    fitted = f"{report.metrics.metric} on the clips it was fitted on: {number(report.fitted)}"
    say(
        f"{fitted}, so the optimism is {number(report.optimism)}",
        *report.notes,
        f"written: {report.path}/ensemble.json, predictions.parquet",
    )


def show_comparison(result: Comparison) -> None:
    """Show each difference with its interval and p-values."""
    pairs: list[tuple[str, Difference]] = [*result.labels.items(), (result.averaged_as, result.mean)]
    if result.overall is not None:
        pairs.append(("WAR", result.overall))
    rows = [
        [
            name,
            number(found.first),
            number(found.second),
            number(found.difference),
            interval_text(found.interval),
            number(found.p, 4),
            number(found.corrected, 4),
        ]
        for name, found in pairs
    ]
    headers = ("", "first", "second", "difference", f"{result.level:.0%} interval", "p", "p, Holm")
    title = f"{result.clips} clips, paired bootstrap"
    if result.subjects is not None:
        title = f"{result.clips} clips of {result.subjects} subjects, paired bootstrap over subjects"
    show_table(title, headers, rows, numbers=(1, 2, 3, 5, 6))
    say(f"first: {result.first}", f"second: {result.second}")
    for test in result.over_folds:
        how = "one tail" if test.tail == "greater" else "two tails"
        how += ", variance corrected for train sets that overlap" if test.corrected else ""
        difference = f"{number(test.first)} and {number(test.second)}"
        say(f"over {test.folds} folds, {difference}: paired t-test p {number(test.p, 4)} ({how})")
    if result.left_out:
        say(f"undefined, left out of the {result.averaged_as}: {', '.join(result.left_out)}")
    say(*result.notes)


def show_search(report: SearchReport) -> None:
    """Show the best settings of a search and where they were written."""
    say(f"{report.complete} trials complete, {report.pruned} pruned, {report.failed} failed")
    if report.best is None:
        say("no trial was completed")
        return
    say(
        *(f"  {key}: {value}" for key, value in report.values.items()),
        f"best validation {report.metric} {number(report.value)}",
        *report.notes,
        f"written: {report.best}",
    )


def _row(name: str, scores: Scores, remark: str) -> list[str]:
    remarks = ", ".join(filter(None, (remark, scores.remark)))
    return [name, number(scores.score), interval_text(scores.interval), remarks]
