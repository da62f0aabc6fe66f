"""``eri report RUN…``: one page on what runs predict well and badly, and in what they differ."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from eri.data.clips import Split
from eri.metrics.bootstrap import RESAMPLES
from eri.reports.html.blocks import Block, Section
from eri.reports.html.document import write_report_page
from eri.reports.pages.clips import make_clips
from eri.reports.pages.errors import make_calibration, make_confusion, make_cooccurrence, make_groups, make_scatter
from eri.reports.pages.origins import make_failures, make_origins
from eri.reports.pages.scores import make_comparison, make_headlines, make_learning, make_scores
from eri.reports.pages.systems import System, read_system
from eri.runs.folders import EVERY_KIND, find_inputs, find_run
from eri.utils.errors import ConfigError, RunError

NAME = "report.html"
_MANY = 4
"""Of as many runs and more, fewer clips are shown of each: the page stays small enough to be mailed."""


def report(
    *runs: str | Path,
    output: str | Path | None = None,
    split: Split | None = None,
    data: str | Path | None = None,
    adapter: str | None = None,
    features: str | Path | None = None,
    folder: str | Path = "runs",
    bootstrap: int = RESAMPLES,
) -> Path:
    """Write one self-contained HTML page on runs, cross-validations or ensembles of one task.

    Of a run, the predictions that ``eri evaluate`` kept are taken: nothing is predicted anew.

    Args:
        runs: Folders, or names of them in ``folder``; none is the newest run there.
        output: The page; None is ``report.html`` in the first one's folder, or in ``folder`` where there are several.
        split: Of the clips that runs predicted; None takes ``val``, ``test`` or ``train``, the first with labels.
        data: None is the data that each was trained on.
        adapter: Reader of ``data``.
        features: None is the cache that each was trained on.
        folder: Where run folders stand.
        bootstrap: Draws behind the 95 % intervals.

    Raises:
        RunError: One is not there, has no predictions, or they are of other clips or labels than another's.
        DataError: No predicted clip has labels.
        ConfigError: One is named twice.
    """
    paths = [find_run(run, Path(folder), kinds=EVERY_KIND) for run in (runs or (None,))]
    doubled = [path for place, path in enumerate(paths) if path.resolve() in [one.resolve() for one in paths[:place]]]
    if doubled:
        raise ConfigError(f"{doubled[0]}: is named twice", hint="Name each run once.")
    systems = []
    for path in paths:
        table, cache = find_inputs(path, data, adapter, features)
        systems.append(read_system(path, table, cache, split, resamples=bootstrap))
    target = Path(output) if output is not None else (paths[0] if len(paths) == 1 else Path(folder)) / NAME
    sections = _one(systems[0]) if len(systems) == 1 else _several(systems)
    table = systems[0].table
    made = datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC")
    subtitle = f"{table.name}, task {table.task.name}, split {systems[0].split}; made {made}"
    title = systems[0].name if len(systems) == 1 else f"{len(systems)} runs compared"
    try:
        return write_report_page(target, title, subtitle, make_headlines(systems), sections)
    except OSError as error:
        raise RunError(
            f"{target}: cannot be written ({error.strerror or error})", hint="Choose another file: -o PAGE.html"
        ) from error


def _one(system: System) -> list[Section]:
    return [Section("Scores", tuple(make_scores([system]))), *_parts(system, 10)]


def _several(systems: Sequence[System]) -> list[Section]:
    count = 10 if len(systems) < _MANY else 4
    sections = [
        Section("Scores", tuple(make_scores(systems))),
        Section("Comparison", tuple(make_comparison(systems))),
    ]
    for system in systems:
        blocks = tuple(block for part in _parts(system, count) for block in part.blocks)
        sections.append(Section(system.name, blocks, folded=True))
    return sections


def _parts(system: System, clips: int) -> list[Section]:
    parts: list[tuple[str, list[Block]]]
    if system.task.is_classification:
        parts = [("Confusion matrix", make_confusion(system))]
    else:
        parts = [("Predicted against true", make_scatter(system))]
    parts += [("Calibration", make_calibration(system)), ("Groups", make_groups(system))]
    if not system.task.is_classification and len(system.task.labels) > 1 and len(system.ids) > 1:
        parts.append(("Co-occurrence of labels", make_cooccurrence(system)))
    if system.kind == "run":
        parts.append(("Learning curves", make_learning(system)))
    parts.append(("Clips", make_clips(system, clips)))
    if system.kind == "run":
        parts.append(("Failures", make_failures(system)))
    parts.append(("Origin", make_origins(system)))
    return [Section(title, tuple(blocks)) for title, blocks in parts]
