"""Sections on how well systems predict: scores, comparisons, learning curves."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import combinations

from eri.evaluation.comparison import Comparison, common_clips, compare_predictions, holm
from eri.metrics.intensities import Metrics
from eri.metrics.intensities import ScoreLine as Line
from eri.metrics.recognition import Recognition
from eri.reports.charts import Bar, Row, draw_intervals, draw_lines
from eri.reports.html.blocks import Block, Chart, Figure, Headline, Paragraphs, Table, Value, make_table, number
from eri.reports.pages.systems import Reference, System

_SHARED_LOSSES = ("loss", "val_loss")
_FOREIGN = "The published figures are of the challenge's own clips: beside a run on other clips they say nothing."
_MEANS_ONLY = "They are means over the labels: the papers state none of a single label."


def make_headlines(systems: Sequence[System]) -> list[Headline]:
    """Return the figures of each system in large type, and of a single one what stands beside them."""
    lines = [_headline(system, alone=len(systems) == 1) for system in systems]
    if len(systems) > 1:
        return lines
    system, scores = systems[0], systems[0].scores
    if isinstance(scores, Metrics):
        lines.append(Headline("Concordance (CCC)", number(scores.ccc), "mean over the labels"))
        lines.append(Headline("Mean squared error", number(scores.mse, 4)))
    if isinstance(scores, Recognition):
        interval = scores.uar_interval
        lines.append(
            Headline(
                "UAR", number(scores.uar), f"[{number(interval.low)}, {number(interval.high)}]" if interval else ""
            )
        )
        lines.append(Headline("Cross-entropy", number(scores.cross_entropy), "nats"))
    lines.append(Headline("Clips scored", f"{scores.clips}", f"split {system.split}"))
    lines.append(Headline("Without the model", f"{int(system.fallback.sum())}", "got the train mean"))
    lines.append(Headline("Clips without features", f"{len({one.clip_id for one in system.failures})}", "all splits"))
    return lines


def _headline(system: System, *, alone: bool) -> Headline:
    scores, interval = system.scores, system.scores.interval
    name = "Mean Pearson" if isinstance(scores, Metrics) else scores.metric
    text = f"95 % [{number(interval.low)}, {number(interval.high)}]" if interval else scores.remark or "no interval"
    return Headline(name if alone else f"{name}: {system.name}", number(scores.score), text)


def make_scores(systems: Sequence[System]) -> list[Block]:
    """Return the scores of every label, beside what papers report."""
    lines = [system.scores.lines() for system in systems]
    names = list(dict.fromkeys(line.name for figures in lines for line in figures))
    by_name = [{line.name: line for line in figures} for figures in lines]
    rows = [
        Row(name, tuple(_bar(figures.get(name)) for figures in by_name), _sums_up(systems[0], name)) for name in names
    ]
    references = systems[0].references
    shown = [Row(one.system, (Bar(one.value),), hollow=True) for one in references]
    heading = systems[0].scores.heading
    text = "Whiskers are 95 % bootstrap intervals over clips."
    if shown:
        text += f" Hollow marks are the {references[0].metric} that papers report for shipped systems."
        text += f" {_FOREIGN}" if systems[0].task.is_classification else f" {_MEANS_ONLY} {_FOREIGN}"
    keep = (0.0, 1.0) if systems[0].task.is_classification else (0.0,)
    picture = draw_intervals([*rows, *shown], f"{heading} by label with 95 % intervals", heading, keep=keep)
    figure = Figure(
        f"{heading.capitalize()} of each {'class' if systems[0].task.is_classification else 'label'}",
        (Chart(picture, width=400),),
        _scores_table(systems, names, by_name),
        text,
        tuple(system.name for system in systems) if len(systems) > 1 else (),
        (_references_table(references),) if references else (),
    )
    return [Paragraphs(tuple(dict.fromkeys(_sentence(note) for system in systems for note in system.notes))), figure]


def _sentence(note: str) -> str:
    return note[:1].upper() + note[1:] + ("" if note.endswith(".") else ".")


def _sums_up(system: System, name: str) -> bool:
    return name not in system.task.labels


def _bar(figure: Line | None) -> Bar:
    if figure is None:
        return Bar(None)
    interval = figure.interval
    return Bar(figure.value, interval.low if interval else None, interval.high if interval else None)


def _scores_table(systems: Sequence[System], names: Sequence[str], by_name: Sequence[Mapping[str, Line]]) -> Table:
    several = len(systems) > 1
    rows: list[list[Value]] = []
    for system, figures in zip(systems, by_name, strict=True):
        for name in names:
            line = figures.get(name)
            bar = _bar(line)
            rows.append(
                [*([system.name] if several else []), name, bar.value, bar.low, bar.high, line.remark if line else ""]
            )
    columns = [*(["run"] if several else []), "label", systems[0].scores.heading, "low", "high", "remark"]
    return make_table("Scores with 95 % bootstrap intervals", columns, rows)


def _references_table(references: Sequence[Reference]) -> Table:
    rows: list[list[Value]] = [[one.system, one.metric, one.value, one.source] for one in references]
    return make_table("Published figures", ["system", "metric", "figure", "source"], rows, 4)


def make_comparison(systems: Sequence[System]) -> list[Block]:
    """Compare every two systems on the clips that both predict, paired by clip.

    Raises:
        RunError: They predict other labels or clips, or were made on other data.
    """
    held_out = [system.held_out() for system in systems]
    ids = common_clips(held_out)
    task, truth = systems[0].task, systems[0].table.label_matrix(ids)
    found = [
        compare_predictions(
            held_out[i].values(ids),
            held_out[j].values(ids),
            truth,
            task.labels,
            kind=task.kind,
            names=(systems[i].name, systems[j].name),
        )
        for i, j in combinations(range(len(systems)), 2)
    ]
    places = list(combinations(range(1, len(systems) + 1), 2))
    rows = [_pair_row(one, f"{i} − {j}") for one, (i, j) in zip(found, places, strict=True)]
    numbered = ", ".join(f"{place} is {system.name}" for place, system in enumerate(systems, start=1))
    figure = Figure(
        f"Differences of the {found[0].averaged_as}",
        (Chart(draw_intervals(rows, "differences of pairs with 95 % intervals", "first minus second"), width=400),),
        _pairs_table(found),
        f"{numbered}. Both meet the same resamples of the clips; intervals without zero tell of a difference.",
    )
    labels: list[list[Value]] = [
        [f"{one.first} − {one.second}", name, gap.first, gap.second, gap.difference, gap.p, gap.corrected]
        for one in found
        for name, gap in one.labels.items()
    ]
    columns = ["pair", "label", "first", "second", "difference", "p", "p after Holm within the pair"]
    return [figure, make_table("Differences label by label", columns, labels, 4)]


def _pair_row(one: Comparison, name: str) -> Row:
    gap = one.mean
    limits = (gap.interval.low, gap.interval.high) if gap.interval else (None, None)
    return Row(name, (Bar(gap.difference, *limits),))


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
    caption = f"Paired bootstrap, {found[0].resamples} draws; p-values corrected for {len(tested)} pairs"
    return make_table(caption, columns, rows, 4)


def make_learning(system: System) -> list[Block]:
    """Return the learning curves of a run."""
    history = system.history
    if history is None:
        return [Paragraphs(("No learning curve was kept: the folder holds no history of epochs.",))]
    epochs = [float(epoch) for epoch in history["epoch"]]
    losses = [name for name in _SHARED_LOSSES if name in history.columns]
    figures = [name for name in ("val_pearson", "val_war", "val_uar") if name in history.columns]
    chosen = None if system.epoch is None else float(system.epoch)
    charts = [
        Chart(
            draw_lines(
                epochs,
                [[None if value != value else float(value) for value in history[name]] for name in names],
                f"{title} over the epochs",
                "epoch",
                title,
                chosen=chosen,
            ),
            ", ".join(f"{name} ({stroke})" for name, stroke in zip(names, ("solid", "dashed"), strict=False)),
        )
        for title, names in (("loss", losses), ("score", figures))
        if names
    ]
    columns = [str(name) for name in history.columns]
    rows: list[list[Value]] = [
        [int(row["epoch"]), *(float(row[name]) for name in columns if name != "epoch")] for _, row in history.iterrows()
    ]
    table = make_table("Every epoch", ["epoch", *(name for name in columns if name != "epoch")], rows, 4)
    text = "" if chosen is None else f"Epoch {system.epoch} was chosen: its weights made the predictions."
    return [Figure("Learning curves", tuple(charts), table, text)]
