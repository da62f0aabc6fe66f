"""What commands show when they have ended: clips, features, scores, submissions, predictions, costs."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from eri.cli.tables import number, say, show_scores, show_table

if TYPE_CHECKING:
    import pandas as pd

    from eri.api.demo import DemoReport
    from eri.api.diagnosis import Check
    from eri.data.probe import ProbeReport
    from eri.evaluation.comparison import Comparison
    from eri.evaluation.cross_validation import CrossValidation
    from eri.evaluation.ensembling import EnsembleReport
    from eri.evaluation.evaluate import Evaluation
    from eri.evaluation.search import SearchReport
    from eri.exports import ExportReport as RunExport
    from eri.extraction.planning import Plan
    from eri.extraction.report import ExtractionReport
    from eri.features.exchange.exporting import ExportReport
    from eri.features.exchange.importing import ImportReport
    from eri.features.verify import ClearingReport, FeatureFinding, VerifyReport
    from eri.models.profile import Comparison as Cost
    from eri.models.profile import VideoProfile
    from eri.reports.activation import Localization
    from eri.reports.predictions import PredictionReport
    from eri.submission import Finding

_SHOWN = 20
_ROWS = 40

_ADVICE = {
    "decode": "decoding (more --workers help if cores are free)",
    "faces": "face detection (more --workers help if cores are free)",
    "model": "the model",
    "write": "writing (is the disk slow?)",
}
_METRICS = {"mean_pearson": "mean ρ", "war": "WAR", "uar": "UAR"}


def show_written(path: Path) -> None:
    """Show which file was written."""
    say(f"written: {path}" + (f" ({path.stat().st_size / 1e6:.1f} MB)" if path.suffix == ".html" else ""))


def show_checks(checks: Sequence[Check]) -> None:
    """Show the doctor's report, a table per section."""
    for section in dict.fromkeys(check.section for check in checks):
        rows = [[one.name, one.status, one.found, one.advice] for one in checks if one.section == section]
        show_table(section, ("what", "state", "found", "what to do"), rows)
    missing = [check.name for check in checks if check.status == "missing"]
    say(f"missing: {', '.join(missing)}" if missing else "Everything that is required is there.")


def show_configs(configs: pd.DataFrame) -> None:
    """Show the shipped configs with the published scores."""
    rows = []
    for name, row in configs.iterrows():
        scores = [""] * 4
        if isinstance(row["source"], str):
            values = [_digits(value, 4).removeprefix("0") for value in row[["validation", "test"]]]
            scores = [_METRICS[row["metric"]], *values, row["source"]]
        rows.append([str(name), row["modality"], row["description"], *scores])
    headers = ("config", "modality", "system", "published", "val", "test", "source")
    show_table("systems, with the published scores", headers, rows, numbers=(4, 5))


def _digits(value: Any, digits: int) -> str:
    import pandas as pd

    return "" if value is None or pd.isna(value) else f"{value:.{digits}f}"


def show_schema(schema: Mapping[str, Any]) -> None:
    """Print a JSON schema."""
    typer.echo(json.dumps(schema, indent=2))


def show_extraction(report: ExtractionReport) -> None:
    """Show counts and failures of an extraction."""
    from eri.storage import standing_for

    rows = []
    for part in report.extractors:
        states = {
            "no face": part.no_face,
            "face in some frames only": part.partly_no_face,
            "black": part.black,
            "no audio": part.no_audio,
            "silent": part.silent,
        }
        warnings = ", ".join(f"{count} {name}" for name, count in states.items() if count)
        counts = map(str, (part.total, part.computed, part.already_complete, len(part.failures)))
        rows.append([part.extractor, *counts, warnings, f"{part.seconds:.1f} s", f"{part.clips_per_second:.1f}"])
    headers = ("extractor", "clips", "new", "cached", "failed", "warnings", "time", "clips/s")
    title = "extraction" if report.shard is None else f"extraction of shard {report.shard}"
    show_table(title, headers, rows, numbers=(1, 2, 3, 4, 6, 7))
    for failure in report.failures[:_SHOWN]:
        say(f"failed: {failure.extractor}, clip {failure.clip_id} ({failure.reason}): {failure.message}")
    _say_rest(len(report.failures) - _SHOWN)
    for part in report.extractors:
        if part.stages is not None:
            say(f"{part.extractor}: busy {part.stages}; bottleneck: {_ADVICE[part.stages.bound]}")
        say(f"features: {standing_for(part.folder)}" + (" (failures.csv has the reasons)" if part.failures else ""))


def _say_rest(count: int, more: str = "") -> None:
    if count > 0:
        say(f"… and {count} more{more}")


def show_probe(report: ProbeReport, *, all: bool = False) -> None:  # noqa: A002  the option's name
    """Show the clips with issues (or all of them) and the summary of a data set."""
    clips = report.table
    issue = clips["problem"].ne("") | clips["notes"].ne("") | clips["frame_rate_changes"] | clips["mirrored"]
    issue |= clips["rotation"].ne(0) | ~clips["audio"].astype(bool)
    rows = [_probe_row(str(clip_id), row) for clip_id, row in (clips if all else clips[issue]).iterrows()]
    if rows:
        headers = ("clip", "split", "seconds", "fps", "size", "rotated", "audio", "remarks")
        show_table("clips" if all else "clips with issues (--all shows every clip)", headers, rows, numbers=(2, 3))
    summary = report.summary
    say(
        f"{summary.clips} clips, {summary.hours:.2f} hours: {summary.without_video} without video, "
        f"{summary.without_audio} without audio, {summary.rotated} rotated, "
        f"{summary.frame_rate_changes} with a changing frame rate",
        *(f"{problem}: {count}" for problem, count in summary.problems.items()),
        f"{summary.seconds_per_thousand:.1f} seconds per thousand clips",
    )


def _probe_row(clip_id: str, row: pd.Series[Any]) -> list[str]:
    width, height = _digits(row["width"], 0), _digits(row["height"], 0)
    rate = _digits(row["fps"], 2) + (" changing" if row["frame_rate_changes"] else "")
    rotated = (f"{int(row['rotation'])}°" if row["rotation"] else "") + (" mirrored" if row["mirrored"] else "")
    remarks = "; ".join(text for text in (row["problem"], row["message"], row["notes"]) if text)
    shown = [rate, f"{width}×{height}" if width else "", rotated, "yes" if row["audio"] else "no", remarks]
    return [clip_id, str(row["split"]), _digits(row["duration"], 2), *shown]


def show_run(run: Path) -> None:
    """Show where a run was written and what can be done with it."""
    from eri.training import read_run
    from eri.training.processes import current_rank

    if current_rank().writes:
        submits = "" if read_run(run).task.is_classification else ", and write the prediction file with `eri submit`"
        say(f"run: {run}", f"Score it with `eri evaluate`{submits}.")


def show_evaluation(result: Evaluation) -> None:
    """Show the score of each label with its interval, or say that the split was predicted only."""
    metrics = result.metrics
    if metrics is None:
        say(f"{result.run}: the {result.split} split has no labels; its clips were predicted only.")
    else:
        paper = [f"published {result.published_as}", number(result.published), "", result.source or ""]
        title = f"{result.run.name}, {result.split} split, {metrics.clips} clips"
        show_scores(title, metrics, [paper] if result.published is not None else [])
    if result.fallback:
        shown = ", ".join(result.fallback[:_SHOWN])
        say(f"{len(result.fallback)} clips without features got the fallback (train mean): {shown}")
    say(*result.notes, f"written: {result.run}/metrics.json, predictions.parquet")


def show_cross_validation(result: CrossValidation) -> None:
    """Show the scores over all clips and in each fold, and the optimism of selecting the epoch."""
    rows = []
    for fold in result.folds[:_SHOWN]:
        scores, name = fold.metrics, f"fold {fold.name}" + (f", repeat {fold.repeat}" if fold.repeat > 1 else "")
        remarks = ", ".join(filter(None, (f"{scores.clips} clips", scores.remark)))
        rows.append([name, number(scores.score), str(scores.interval or ""), remarks])
    show_scores(f"{result.path.name}, {result.metrics.clips} clips out of fold", result.metrics, rows)
    if len(result.folds) > _SHOWN:
        say(f"{len(result.folds) - _SHOWN} more folds are in cv.json")
    if result.over_folds is not None:
        mean, deviation = map(number, result.over_folds)
        say(f"{result.metric}, mean over the folds: {mean} ± {deviation}")
    if len(result.single) > 1:
        say("one seed alone: " + ", ".join(map(number, result.single.values())))
    say(
        f"optimism of the clips that selected the epoch: {number(result.optimism)}",
        *result.notes,
        f"written: {result.path}/cv.json, folds.csv, out_of_fold.parquet, predictions.parquet",
    )


def show_ensemble(report: EnsembleReport) -> None:
    """Show the nested scores of an ensemble beside its members, and its optimism."""
    weights = {name: f"weight {weight:.3f}" for name, weight in (report.weights or {}).items()}
    rows = [[f"{name} alone", number(mean), "", weights.get(name, "")] for name, mean in report.members.items()]
    show_scores(f"{report.path.name}, nested over {report.metrics.clips} clips", report.metrics, rows)
    fitted = f"{report.metrics.metric} on the clips it was fitted on: {number(report.fitted)}"
    say(
        f"{fitted}, so the optimism is {number(report.optimism)}",
        *report.notes,
        f"written: {report.path}/ensemble.json, predictions.parquet",
    )


def show_comparison(result: Comparison) -> None:
    """Show each difference with its interval and p-values."""
    rows = []
    for name, one in result.pairs().items():
        values = map(number, (one.first, one.second, one.difference))
        rows.append([name, *values, str(one.interval or ""), number(one.p, 4), number(one.corrected, 4)])
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


def show_submission(result: tuple[Path, Sequence[Finding]]) -> None:
    """Show where a submission was written, which rows a rule filled, and the validator's verdict."""
    path, findings = result
    manifest = json.loads((path.parent / "manifest.json").read_text(encoding="utf-8"))
    say(*(f"clip {clip_id}: filled by the rule '{rule}'" for clip_id, rule in manifest["filled_by_rule"].items()))
    show_findings(findings, str(path))


def show_findings(findings: Sequence[Finding], file: str = "the file") -> None:
    """Show what the validator found in a file."""
    for finding in findings:
        place = f"line {finding.line}" if finding.line is not None else "whole file"
        say(f"{finding.severity}: {place}: [{finding.code}] {finding.message}")
    errors = sum(finding.severity == "error" for finding in findings)
    verdict = "refused" if errors else "accepted"
    say(f"{file}: {verdict}, {errors} errors, {len(findings) - errors} warnings")


def show_demo(report: DemoReport | Path) -> None:
    """Show the scores, the baseline, the submission's verdict and the seconds of each stage."""
    if isinstance(report, Path):
        say(f"written: {report}")
        return
    show_extraction(report.extraction)
    rows = []
    for name, result in {**report.scores, "multimodal, shuffled labels (baseline)": report.control}.items():
        scores = result.metrics
        score, interval, clips = (scores.score, scores.interval, scores.clips) if scores else (None, None, 0)
        rows.append([name, number(score), str(interval or ""), str(clips)])
    weights = "pretrained" if report.pretrained else "random"
    title = f"mean Pearson on the val split, backbones with {weights} weights"
    show_table(title, ("system", "mean Pearson", "95 % interval", "clips"), rows, numbers=(1, 3))
    stages = ", ".join(f"{name} {seconds:.0f} s" for name, seconds in report.seconds.items())
    say(f"{stages}; in all {sum(report.seconds.values()):.0f} s")
    show_submission((report.submission, report.findings))
    if not report.pretrained:
        say("Random weights: this proves the pipeline, not the science.")


def show_listing(listing: pd.DataFrame) -> None:
    """Show the folders of the cache."""
    if listing.empty:
        say("no features yet; `eri extract` or `eri features import` put some there")
        return
    rows = []
    for name, row in listing.iterrows():
        texts = [str(row[key] or "") for key in ("modality", "data_set")]
        counts = [str(row[key]).replace("<NA>", "") for key in ("clips", "dimension", "rows")]
        rows.append([str(name), *texts, *counts, f"{row['size'] / 1e6:.1f}"])
    headers = ("features", "modality", "imported for", "clips", "dimension", "rows", "MB")
    show_table("features", headers, rows, numbers=(3, 4, 5, 6))


def show_verification(report: VerifyReport) -> None:
    """Show what is damaged or outdated in the cache."""
    _show_feature_findings(report.findings)
    others = len(report.findings) - len(report.damaged)
    say(
        f"{len(report.folders)} feature folders: {report.files} files, {report.size / 1e6:.1f} MB read in "
        f"{report.seconds:.1f} s; {len(report.damaged)} damaged, {others} other findings"
    )
    if report.damaged:
        say("`eri extract` computes damaged files again; `eri features gc` removes them.")


def show_clearing(report: ClearingReport) -> None:
    """Show what was or would be removed from the cache."""
    _show_feature_findings([*report.findings, *report.held])
    done = "removed" if report.removed else "would be removed"
    say(f"{len(report.findings)} {done}, {report.size / 1e6:.1f} MB ({report.size} bytes)")
    if report.held:
        say(f"{len(report.held)} kept: a run is working on them")
    if report.findings and not report.removed:
        say("Nothing was changed; the same command with --yes removes them.")


def _show_feature_findings(findings: Sequence[FeatureFinding]) -> None:
    rows = [[one.kind, one.folder, one.file, str(one.size), one.message] for one in findings[:_ROWS]]
    if rows:
        show_table("findings", ("what", "features", "file", "bytes", "why"), rows, numbers=(3,))
    _say_rest(len(findings) - _ROWS, "; --json lists all")


def show_import(report: ImportReport) -> None:
    """Show which features were imported."""
    say(
        f"{report.name} ({report.modality}): {report.added} clips added, {report.already} were there, "
        f"{report.absent} of the data set have none",
        f"{report.rows} rows of {report.dimension} features, {report.masked} masked; times in {report.times}; "
        f"{report.seconds:.1f} s",
        f"features: {report.folder}",
    )


def show_feature_export(report: ExportReport) -> None:
    """Show which features were exported."""
    say(f"{report.target}: {report.clips} clips, {report.rows} rows, {report.masked} of them masked")


def show_plan(plan: Plan) -> None:
    """Show what an extraction takes."""
    rows = []
    for part in plan.extractors:
        work = ", ".join(f"{name} {hours:.1f}" for name, hours in part.stage_hours.items() if hours >= 0.05)
        sizes = (f"{part.media_bytes / 1e9:.1f}", f"{part.feature_bytes / 1e9:.1f}")
        rows.append([part.measured.extractor, str(part.workers), f"{part.hours:.2f}", part.bound, work, *sizes])
    headers = ("extractor", "workers", "hours", "bottleneck", "hours of work", "GB read", "GB of features")
    show_table(f"{plan.clips:,} clips on {plan.machines} machine(s)", headers, rows, numbers=(1, 2, 5, 6))
    cost = "" if plan.cost is None else f", {plan.cost:.2f} at {plan.price:g} per machine and hour"
    say(f"in all {plan.hours:.2f} hours{cost}; {plan.feature_bytes / 1e9:.1f} GB of features")
    for part in plan.extractors:
        one = part.measured
        say(
            *(f"{one.extractor}, faster: {line}" for line in part.advice),
            f"{one.extractor}: estimated from {one.clips} clips of {one.media_seconds / one.clips:.1f} s on "
            f"{one.cores} cores of {one.processor}, {one.device}, {one.workers} workers, batches of {one.batch_size} "
            f"({plan.origin})",
        )


def show_predictions(report: PredictionReport) -> None:
    """Show the predictions of the first videos, and where the files are."""
    labels = list(report.task.labels)
    rows = []
    for file, row in report.table.head(_ROWS).iterrows():
        remark = "; ".join(part for part in (str(row["rule"]), str(row["notes"])) if part)
        values = [""] * len(labels) if row["reason"] else [f"{row[label]:.3f}" for label in labels]
        rows.append([Path(str(file)).name, *values, " ".join(str(row["reason"]).split()) or remark])
    title = f"{report.path.parent.name}: {len(report.table) - report.failed} of {len(report.table)} predicted"
    show_table(title, ("file", *labels, "remarks"), rows, numbers=range(1, len(labels) + 1))
    _say_rest(len(report.table) - _ROWS)
    say(*(f"{file}: no timeline: {problem}" for file, problem in report.problems.items()))
    say(f"written: {report.path}", *(f"written: {', '.join(map(str, paths))}" for paths in report.timelines.values()))


def show_export(report: RunExport) -> None:
    """Show which files an export has."""
    say(*(f"{name}: {text}" for name, text in report.files.items()), *report.notes, f"written: {report.path}")


def show_localization(found: Localization) -> None:
    """Show how often the apex was located, what chance gives, and which clips could not be scored."""
    accuracy, chance = ("–" if value is None else f"{value:.1%}" for value in (found.accuracy, found.chance))
    rows = [
        ["located", accuracy, f"{found.located} of {found.annotated} clips"],
        ["by chance", chance, "a part chosen at random"],
    ]
    show_table("the most emotional part is the annotated one", ("", "accuracy", ""), rows, numbers=(1,))
    if found.outside:
        say(f"{found.outside} clip(s) left out: no part that the model reads shows their apex")
    if found.faceless:
        say(f"{found.faceless} clip(s) left out: no face crop")


def show_profile(result: VideoProfile) -> None:
    """Show the table of costs, why they differ from the published ones, and the work of each part."""
    profile, work = result.profile, result.profile.work
    memory = "not reported by this system" if profile.memory is None else f"{profile.memory / 2**20:,.0f} MiB"
    whose = "the whole process" if profile.device == "cpu" else "tensors"
    rows = [
        _compared("parameters", result.parameters, "M"),
        ["of these trainable", f"{profile.trainable / 1e6:.2f} M", "", ""],
        _compared("MACs", result.macs, "G"),
        [f"peak memory ({whose})", memory, "", ""],
        [f"latency (median of {profile.runs}, {profile.device})", f"{1000 * profile.latency:,.1f} ms", "", ""],
    ]
    headers = ("what", "here", "published", "difference")
    show_table(f"{result.name}: {result.input}", headers, rows, numbers=(1, 2, 3))
    if (published := result.published) is not None:
        say(f"published: {published.source}")
        differing = [
            what for what, cost in (("parameters", result.parameters), ("MACs", result.macs)) if not cost.agrees
        ]
        for what in differing:
            reason = published.explanation or "no reason is known; the parts below show where the work is done"
            say(f"{what} differ by more than 2 %: {reason}")
        if published.explanation and not differing:
            say(f"note: {published.explanation}")
    parts = [[name, f"{macs / 1e9:.3f} G", f"{macs / work.macs:.1%}"] for name, macs in work.parts.items()]
    show_table("MACs by part", ("part", "MACs", "share"), parts, numbers=(1, 2))
    say(f"not counted: biases, and {', '.join(work.left_out)}")


def _compared(what: str, cost: Cost, unit: str) -> list[str]:
    here = f"{cost.measured:.2f} {unit}"
    if cost.published is None or cost.difference is None:
        return [what, here, "", ""]
    return [what, here, f"{cost.published:.2f} {unit}", f"{cost.difference:+.1%}"]
