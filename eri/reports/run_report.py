"""``eri report RUN…``: one page on what runs predict well and badly, and in what they differ."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from itertools import combinations, count
from pathlib import Path

from eri.data.clips import Split
from eri.evaluation.comparison import compare_predictions, holm
from eri.evaluation.held_out import common_clips
from eri.metrics.bootstrap import RESAMPLES
from eri.metrics.intensities import Metrics, ScoreLine
from eri.metrics.recognition import Recognition
from eri.reports import error_sections
from eri.reports.charts import Bar, Row, draw_intervals, draw_lines
from eri.reports.page import (
    Block,
    Chart,
    Figure,
    Headline,
    Paragraphs,
    Section,
    Source,
    Table,
    Value,
    number,
    write_page,
)
from eri.reports.systems import System, read_system
from eri.runs.folders import EVERY_KIND, find_inputs, find_run
from eri.utils.errors import ConfigError

NAME = "report.html"
_MOST_FAILURES = 500
_FOREIGN = "The published scores are of the challenge's own clips: beside a run on other clips they say nothing."
_MEANS_ONLY = "They are means over the labels: the papers state none of a single label."


def report(
    *runs: str | Path,
    output: str | Path | None = None,
    split: Split | None = None,
    data: str | Path | None = None,
    adapter: str | None = None,
    features: str | Path | None = None,
    folder: str | Path = "runs",
    bootstrap: int = RESAMPLES,
    on_clip: Callable[[int, int], None] | None = None,
) -> Path:
    """Write one self-contained HTML page on runs, cross-validations or ensembles of one task.

    Of a run, the predictions that ``eri evaluate`` wrote are used: nothing is predicted again.

    Args:
        runs: Folders, or names of them in ``folder``; none is the newest run there.
        output: The page; None is ``report.html`` in the first one's folder, or in ``folder`` where there are several.
        split: Of the clips that runs predicted; None takes ``val``, ``test`` or ``train``, the first with labels.
        data: None is the data that each was trained on.
        adapter: Dataset adapter of ``data``.
        features: None is the cache that each was trained on.
        folder: Folder of the run folders.
        bootstrap: Bootstrap resamples behind the 95 % intervals.
        on_clip: Called with the number of clips that are shown on the page so far, and of all that will be.

    Raises:
        RunError: A run is not there or has no predictions, they are of other clips or labels than another's, or the
            page cannot be written.
        DataError: No predicted clip has labels.
        ConfigError: One is named twice.
    """
    paths = [find_run(run, Path(folder), kinds=EVERY_KIND) for run in (runs or (None,))]
    repeated = [path for path, times in Counter(path.resolve() for path in paths).items() if times > 1]
    if repeated:
        raise ConfigError(f"{repeated[0]}: is named twice", hint="Name each run once.")
    systems = []
    for path in paths:
        table, cache = find_inputs(path, data, adapter, features)
        systems.append(read_system(path, table, cache, split, resamples=bootstrap))
    target = Path(output) if output is not None else (paths[0] if len(paths) == 1 else Path(folder)) / NAME
    # Of many runs, fewer clips are shown of each: the page stays small enough to be mailed.
    clips = 10 if len(systems) < 4 else 4
    total = sum(max(1, 2 * min(clips, len(system.ids) // 2)) for system in systems)
    done = count()

    def step() -> None:
        if on_clip is not None:
            on_clip(next(done), total)

    step()
    table = systems[0].table
    sections = [Section("Scores", _make_scores(systems))]
    if len(systems) == 1:
        sections += _parts(systems[0], clips, step)
    else:
        sections.append(Section("Comparison", _make_comparison(systems)))
        for system in systems:
            blocks = [block for part in _parts(system, clips, step) for block in part.blocks]
            sections.append(Section(system.name, blocks, folded=True))
    content = {
        "subtitle": f"{table.name}, task {table.task.name}, split {systems[0].split}; "
        f"made {datetime.now(UTC).strftime('%Y-%m-%d %H:%M UTC')}",
        "headlines": _make_headlines(systems),
        "sections": sections,
    }
    title = systems[0].name if len(systems) == 1 else f"{len(systems)} runs compared"
    return write_page(target, "report.html", title, content)


def _parts(system: System, clips: int, on_clip: Callable[[], None]) -> list[Section]:
    if system.task.is_classification:
        parts = [Section("Confusion matrix", error_sections.make_confusion(system))]
    else:
        parts = [Section("Predicted against true", error_sections.make_scatter(system))]
    parts += [
        Section("Calibration", error_sections.make_calibration(system)),
        Section("Groups", error_sections.make_groups(system)),
    ]
    if not system.task.is_classification and len(system.task.labels) > 1 and len(system.ids) > 1:
        parts.append(Section("Co-occurrence of labels", error_sections.make_cooccurrence(system)))
    if system.kind == "run":
        parts.append(Section("Learning curves", _make_learning(system)))
    parts.append(Section("Clips", error_sections.make_clips(system, clips, on_clip)))
    if system.kind == "run":
        parts.append(Section("Failures", _make_failures(system)))
    origin = Table("Origin", ["what", "value"], _origin(system))
    return [*parts, Section("Origin", [origin, Source("Resolved settings", system.settings)])]


def _make_headlines(systems: Sequence[System]) -> list[Headline]:
    """Return the score of each system in large type, and of a single one more scores beside it."""
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


def _make_scores(systems: Sequence[System]) -> list[Block]:
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
    several = len(systems) > 1
    cells: list[list[Value]] = []
    for system, lines in zip(systems, by_name, strict=True):
        for name in names:
            bar, line = _bar(lines.get(name)), lines.get(name)
            cells.append([*[system.name] * several, name, bar.value, bar.low, bar.high, line.remark if line else ""])
    columns = [*["run"] * several, "label", heading, "low", "high", "remark"]
    tables = [Table("Scores with 95 % bootstrap intervals", columns, cells)]
    if references:
        tables.append(Table("Published scores", ["system", "metric", "score", "source"], references, 4))
    keep = (0.0, 1.0) if task.is_classification else (0.0,)
    svg = draw_intervals(rows, f"{heading} by label with 95 % intervals", heading, keep=keep)
    title = f"{heading.capitalize()} of each {'class' if task.is_classification else 'label'}"
    legend = [system.name for system in systems] if several else ()
    notes = dict.fromkeys(note for system in systems for note in system.notes)
    sentences = [note[:1].upper() + note[1:] + ("" if note.endswith(".") else ".") for note in notes]
    return [Paragraphs(sentences), Figure(title, [Chart(svg, width=400)], tables, text, legend)]


def _bar(line: ScoreLine | None) -> Bar:
    if line is None:
        return Bar(None)
    return Bar(line.value, line.interval.low, line.interval.high) if line.interval else Bar(line.value)


def _make_comparison(systems: Sequence[System]) -> list[Block]:
    """Compare every two systems on the clips that both predict, paired by clip; RunError where they do not match."""
    held_out = [system.held_out() for system in systems]
    ids = common_clips(held_out)
    task, truth = systems[0].task, systems[0].table.label_matrix(ids)
    pairs = list(combinations(range(len(systems)), 2))
    found = []
    for i, j in pairs:
        first, second, names = held_out[i].values(ids), held_out[j].values(ids), (systems[i].name, systems[j].name)
        found.append(compare_predictions(first, second, truth, task.labels, kind=task.kind, names=names))
    tested = [one.mean.p for one in found if one.mean.p is not None]
    corrected = iter(holm(tested))
    rows: list[Row] = []
    cells: list[list[Value]] = []
    for one, (i, j) in zip(found, pairs, strict=True):
        gap, interval = one.mean, one.mean.interval
        limits = (interval.low, interval.high) if interval else (None, None)
        rows.append(Row(f"{i + 1} − {j + 1}", (Bar(gap.difference, *limits),)))
        after = None if gap.p is None else next(corrected)
        cells.append([one.first, one.second, one.clips, gap.first, gap.second, gap.difference, *limits, gap.p, after])
    columns = ["first", "second", "clips", "of first", "of second", "difference", "low", "high", "p", "p after Holm"]
    caption = f"Paired bootstrap, {found[0].resamples} resamples; p-values corrected for {len(tested)} pairs"
    numbered = ", ".join(f"{place} is {system.name}" for place, system in enumerate(systems, start=1))
    text = f"{numbered}. Both are scored on the same resamples of the clips; an interval without zero is a difference."
    svg = draw_intervals(rows, "differences of pairs with 95 % intervals", "first minus second")
    title = f"Differences of the {found[0].averaged_as}"
    labels: list[list[Value]] = [
        [f"{one.first} − {one.second}", name, gap.first, gap.second, gap.difference, gap.p, gap.corrected]
        for one in found
        for name, gap in one.labels.items()
    ]
    heads = ["pair", "label", "first", "second", "difference", "p", "p after Holm within the pair"]
    figure = Figure(title, [Chart(svg, width=400)], [Table(caption, columns, cells, 4)], text)
    return [figure, Table("Differences by label", heads, labels, 4)]


def _make_learning(system: System) -> list[Block]:
    history = system.history
    if history is None:
        return [Paragraphs(["No learning curves: the folder holds no history of epochs."])]
    chosen = None if system.epoch is None else float(system.epoch)
    charts, epochs = [], history["epoch"].tolist()
    for title, wanted in (("loss", ("loss", "val_loss")), ("score", ("val_pearson", "val_war", "val_uar"))):
        names = [name for name in wanted if name in history.columns]
        if names:
            lines = [history[name].tolist() for name in names]
            svg = draw_lines(epochs, lines, f"{title} over the epochs", ("epoch", title), chosen=chosen)
            strokes = zip(names, ("solid", "dashed"), strict=False)
            charts.append(Chart(svg, ", ".join(f"{name} ({stroke})" for name, stroke in strokes)))
    columns = ["epoch", *(str(name) for name in history.columns if name != "epoch")]
    rows: list[list[Value]] = [[int(epoch), *map(float, values)] for epoch, *values in history[columns].to_numpy()]
    text = "" if chosen is None else f"Epoch {system.epoch} was chosen: its weights made the predictions."
    return [Figure("Learning curves", charts, [Table("Every epoch", columns, rows, 4)], text)]


def _origin(system: System) -> Sequence[tuple[str, str]]:
    """Return everything that is needed to know what the scores are of."""
    environment, task = system.environment, system.task
    facts: dict[str, str] = {
        "folder": str(system.path),
        "kind": system.kind,
        "data": f"{system.table.name}, {len(system.table)} clips",
        "data fingerprint": system.table.fingerprint,
        "task": f"{task.name}: {', '.join(task.labels)} in [{task.low:g}, {task.high:g}]",
    }
    facts |= {name: str(environment.get(name, "")) for name in ("created", "seed", "precision")}
    for prefix, key in (("machine", "machine"), ("version", "versions")):
        facts |= {f"{prefix}: {name}": str(value) for name, value in environment.get(key, {}).items()}
    for name, source in environment.get("features", {}).items():
        facts[f"{name} features"] = f"{source['folder']} (identity {source['digest']})"
    return [(name, value) for name, value in facts.items() if value]


def _make_failures(system: System) -> list[Block]:
    """Return the clips without features, and why."""
    failures = system.failures
    if not failures:
        text = "No clip failed." if system.folders else "Not known: the features are not where they were."
        return [Paragraphs([text])]
    counted = Counter((one.extractor, one.reason) for one in failures)
    counts: list[list[Value]] = [[extractor, reason, times] for (extractor, reason), times in counted.most_common()]
    rows = [(one.clip_id, one.extractor, one.reason, one.file, one.message) for one in failures[:_MOST_FAILURES]]
    caption = "Clips without features"
    if len(failures) > len(rows):
        caption += f": the first {len(rows)} of {len(failures)}"
    return [
        Table("Failures by reason", ["extractor", "reason", "clips"], counts),
        Table(caption, ["clip", "extractor", "reason", "file", "message"], rows),
    ]
