"""Sections on what a run was made from: its config, data, versions, features and failures."""

from __future__ import annotations

from collections import Counter
from typing import Any

from eri.reports.html.blocks import Block, Paragraphs, Source, Value, make_table
from eri.reports.pages.systems import System

_MOST_FAILURES = 500


def make_origins(system: System) -> list[Block]:
    """Return everything needed to know what the figures are of."""
    return [make_table("Origin", ["what", "value"], _facts(system)), Source("Resolved settings", system.settings)]


def _facts(system: System) -> list[list[Value]]:
    environment, task = system.environment, system.task
    facts: dict[str, str] = {
        "folder": str(system.path),
        "kind": system.kind,
        "data": f"{system.table.name}, {len(system.table)} clips",
        "data fingerprint": system.table.fingerprint,
        "task": f"{task.name}: {', '.join(task.labels)} in [{task.low:g}, {task.high:g}]",
    }
    if environment:
        facts |= {"created": str(environment.get("created", "")), "seed": str(environment.get("seed", ""))}
        facts |= {"precision": str(environment.get("precision", ""))}
        facts |= _prefixed("machine", environment.get("machine", {}))
        facts |= _prefixed("version", environment.get("versions", {}))
        for name, source in environment.get("features", {}).items():
            facts[f"{name} features"] = f"{source['folder']} (identity {source['digest']})"
    return [[name, value] for name, value in facts.items() if value]


def _prefixed(prefix: str, values: dict[str, Any]) -> dict[str, str]:
    return {f"{prefix}: {name}": str(value) for name, value in values.items()}


def make_failures(system: System) -> list[Block]:
    """Return the clips without features, and why."""
    failures = system.failures
    if not failures:
        said = "No clip failed." if system.folders else "Not known: the features are not where they were."
        return [Paragraphs((said,))]
    counted = Counter((one.extractor, one.reason) for one in failures)
    counts: list[list[Value]] = [[extractor, reason, count] for (extractor, reason), count in counted.most_common()]
    rows: list[list[Value]] = [
        [one.clip_id, one.extractor, one.reason, one.file, one.message] for one in failures[:_MOST_FAILURES]
    ]
    caption = "Clips without features"
    if len(failures) > len(rows):
        caption += f": the first {len(rows)} of {len(failures)}"
    return [
        make_table("Failures by reason", ["extractor", "reason", "clips"], counts),
        make_table(caption, ["clip", "extractor", "reason", "file", "message"], rows),
    ]
