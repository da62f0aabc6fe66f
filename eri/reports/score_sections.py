"""Sections of a report on how well systems predict: scores, comparisons, learning curves."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations

from eri.evaluation.comparison import Comparison, compare_predictions, holm
from eri.evaluation.held_out import common_clips
from eri.metrics.intensities import Metrics, ScoreLine
from eri.metrics.recognition import Recognition
from eri.reports.charts import Bar, Row, draw_intervals, draw_lines
from eri.reports.page import Block, Chart, Figure, Headline, Paragraphs, Table, Value, number
from eri.reports.systems import System

_FOREIGN = "The published scores are of the challenge's own clips: beside a run on other clips they say nothing."
_MEANS_ONLY = "They are means over the labels: the papers state none of a single label."


def make_headlines(systems: Sequence[System]) -> list[Headline]:
    """Return the score of each system in large type, and of a single one the figures beside it."""
    headlines = []
    for system in systems:
        scores, interval = system.scores, system.scores.interval
        name = "Mean Pearson" if isinstance(scores, Metrics) else scores.metric
        text = f"95 % [{number(interval.low)}, {number(interval.high)}]" if interval else scores.remark or "no interval"
        full = name if len(systems) == 1 else f"{name}: {system.name}"
        headlines.append(Headline(full, number(scores.score), text))
    if len(systems) > 1:
        return headlines
    system, scores = systems[0], systems[0].scores
    if isinstance(scores, Metrics):
        headlines.append(Headline("Concordance (CCC)", number(scores.ccc), "mean over the labels"))
        headlines.append(Headline("Mean squared error", number(scores.mse, 4)))
    if isinstance(scores, Recognition):
        uar = scores.uar_interval
        headlines.append(Headline("UAR", number(scores.uar), f"[{number(uar.low)}, {number(uar.high)}]" if uar else ""))
        headlines.append(Headline("Cross-entropy", number(scores.cross_entropy), "nats"))
    failed = len({one.clip_id for one in system.failures})
    return [
        *headlines,
        Headline("Clips scored", f"{scores.clips}", f"split {system.split}"),
        Headline("Without the model", f"{int(system.fallback.sum())}", "fallback (train mean)"),
        Headline("Clips without features", f"{failed}", "all splits"),
    ]


def make_scores(systems: Sequence[System]) -> list[Block]:
    """Return the scores of every label, beside what papers report."""
    by_name = [{line.name: line for line in system.scores.lines()} for system in systems]
    names = list(dict.fromkeys(name for lines in by_name for name in lines))
    task, references, heading = systems[0].task, systems[0].references, systems[0].scores.heading
    rows = [Row(name, [_bar(lines.get(name)) for lines in by_name], name not in task.labels) for name in names]
    rows += [Row(one.system, (Bar(one.value),), hollow=True) for one in references]
    text = "Whiskers are 95 % bootstrap intervals over clips."
    if references:
        text += f" Hollow marks are the {references[0].metric} that papers report for shipped systems."
        text += f" {_FOREIGN}" if task.is_classification else f" {_MEANS_ONLY} {_FOREIGN}"
    keep = (0.0, 1.0) if task.is_classification else (0.0,)
    several = len(systems) > 1
    cells: list[list[Value]] = []
    for system, lines in zip(systems, by_name, strict=True):
        for name in names:
            bar, line = _bar(lines.get(name)), lines.get(name)
            run = [system.name] * several
            cells.append([*run, name, bar.value, bar.low, bar.high, line.remark if line else ""])
    columns = [*["run"] * several, "label", heading, "low", "high", "remark"]
    tables = [Table("Scores with 95 % bootstrap intervals", columns, cells)]
    if references:
        published = [(one.system, one.metric, one.value, one.source) for one in references]
        tables.append(Table("Published scores", ["system", "metric", "score", "source"], published, 4))
    figure = Figure(
        f"{heading.capitalize()} of each {'class' if task.is_classification else 'label'}",
        [Chart(draw_intervals(rows, f"{heading} by label with 95 % intervals", heading, keep=keep), width=400)],
        tables,
        text,
        [system.name for system in systems] if several else (),
    )
    notes = dict.fromkeys(note for system in systems for note in system.notes)
    sentences = [note[:1].upper() + note[1:] + ("" if note.endswith(".") else ".") for note in notes]
    return [Paragraphs(sentences), figure]


def _bar(line: ScoreLine | None) -> Bar:
    if line is None:
        return Bar(None)
    interval = line.interval
    return Bar(line.value, interval.low, interval.high) if interval else Bar(line.value)


def make_comparison(systems: Sequence[System]) -> list[Block]:
    """Compare every two systems on the clips that both predict, paired by clip.

    Raises:
        RunError: They predict other labels or clips, or were made on other data.
    """
    held_out = [system.held_out() for system in systems]
    ids = common_clips(held_out)
    task, truth = systems[0].task, systems[0].table.label_matrix(ids)
    pairs = list(combinations(range(len(systems)), 2))
    found = [
        compare_predictions(
            held_out[i].values(ids),
            held_out[j].values(ids),
            truth,
            task.labels,
            kind=task.kind,
            names=(systems[i].name, systems[j].name),
        )
        for i, j in pairs
    ]
    rows = []
    for one, (i, j) in zip(found, pairs, strict=True):
        interval = one.mean.interval
        limits = (interval.low, interval.high) if interval else (None, None)
        rows.append(Row(f"{i + 1} − {j + 1}", (Bar(one.mean.difference, *limits),)))
    numbered = ", ".join(f"{place} is {system.name}" for place, system in enumerate(systems, start=1))
    figure = Figure(
        f"Differences of the {found[0].averaged_as}",
        [Chart(draw_intervals(rows, "differences of pairs with 95 % intervals", "first minus second"), width=400)],
        [_pairs_table(found)],
        f"{numbered}. Both are scored on the same resamples of the clips; an interval without zero is a difference.",
    )
    labels: list[list[Value]] = [
        [f"{one.first} − {one.second}", name, gap.first, gap.second, gap.difference, gap.p, gap.corrected]
        for one in found
        for name, gap in one.labels.items()
    ]
    columns = ["pair", "label", "first", "second", "difference", "p", "p after Holm within the pair"]
    return [figure, Table("Differences by label", columns, labels, 4)]


def _pairs_table(found: Sequence[Comparison]) -> Table:
    tested = [one.mean.p for one in found if one.mean.p is not None]
    corrected = iter(holm(tested))
    rows: list[list[Value]] = []
    for one in found:
        gap = one.mean
        limits: list[Value] = [gap.interval.low, gap.interval.high] if gap.interval else [None, None]
        after = None if gap.p is None else next(corrected)
        rows.append([one.first, one.second, one.clips, gap.first, gap.second, gap.difference, *limits, gap.p, after])
    columns = ["first", "second", "clips", "of first", "of second", "difference", "low", "high", "p", "p after Holm"]
    caption = f"Paired bootstrap, {found[0].resamples} resamples; p-values corrected for {len(tested)} pairs"
    return Table(caption, columns, rows, 4)


def make_learning(system: System) -> list[Block]:
    """Return the learning curves of a run."""
    history = system.history
    if history is None:
        return [Paragraphs(["No learning curves: the folder holds no history of epochs."])]
    chosen = None if system.epoch is None else float(system.epoch)
    charts = []
    for title, wanted in (("loss", ("loss", "val_loss")), ("score", ("val_pearson", "val_war", "val_uar"))):
        names = [name for name in wanted if name in history.columns]
        if names:
            lines = [history[name].tolist() for name in names]
            svg = draw_lines(
                history["epoch"].tolist(), lines, f"{title} over the epochs", "epoch", title, chosen=chosen
            )
            strokes = zip(names, ("solid", "dashed"), strict=False)
            charts.append(Chart(svg, ", ".join(f"{name} ({stroke})" for name, stroke in strokes)))
    columns = ["epoch", *(str(name) for name in history.columns if name != "epoch")]
    rows: list[list[Value]] = [[int(epoch), *map(float, values)] for epoch, *values in history[columns].to_numpy()]
    text = "" if chosen is None else f"Epoch {system.epoch} was chosen: its weights made the predictions."
    return [Figure("Learning curves", charts, [Table("Every epoch", columns, rows, 4)], text)]
