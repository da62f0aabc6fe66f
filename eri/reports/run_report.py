"""``eri report RUN…``: one page on what runs predict well and badly, and in what they differ."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from itertools import count
from pathlib import Path

from eri.data.clips import Split
from eri.metrics.bootstrap import RESAMPLES
from eri.reports.error_sections import (
    make_calibration,
    make_clips,
    make_confusion,
    make_cooccurrence,
    make_groups,
    make_scatter,
)
from eri.reports.page import Block, Paragraphs, Section, Source, Table, Value, write_page
from eri.reports.score_sections import make_comparison, make_headlines, make_learning, make_scores
from eri.reports.systems import System, read_system
from eri.runs.folders import EVERY_KIND, find_inputs, find_run
from eri.utils.errors import ConfigError

NAME = "report.html"
_MOST_FAILURES = 500


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
    sections = [Section("Scores", make_scores(systems))]
    if len(systems) == 1:
        sections += _parts(systems[0], clips, step)
    else:
        sections.append(Section("Comparison", make_comparison(systems)))
        for system in systems:
            blocks = [block for part in _parts(system, clips, step) for block in part.blocks]
            sections.append(Section(system.name, blocks, folded=True))
    content = {
        "subtitle": f"{table.name}, task {table.task.name}, split {systems[0].split}; "
        f"made {datetime.now(UTC).strftime('%Y-%m-%d %H:%M UTC')}",
        "headlines": make_headlines(systems),
        "sections": sections,
    }
    title = systems[0].name if len(systems) == 1 else f"{len(systems)} runs compared"
    return write_page(target, "report.html", title, content)


def _parts(system: System, clips: int, on_clip: Callable[[], None]) -> list[Section]:
    if system.task.is_classification:
        parts = [Section("Confusion matrix", make_confusion(system))]
    else:
        parts = [Section("Predicted against true", make_scatter(system))]
    parts += [Section("Calibration", make_calibration(system)), Section("Groups", make_groups(system))]
    if not system.task.is_classification and len(system.task.labels) > 1 and len(system.ids) > 1:
        parts.append(Section("Co-occurrence of labels", make_cooccurrence(system)))
    if system.kind == "run":
        parts.append(Section("Learning curves", make_learning(system)))
    parts.append(Section("Clips", make_clips(system, clips, on_clip)))
    if system.kind == "run":
        parts.append(Section("Failures", _make_failures(system)))
    origin = Table("Origin", ["what", "value"], _origin(system))
    return [*parts, Section("Origin", [origin, Source("Resolved settings", system.settings)])]


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
