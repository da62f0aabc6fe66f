"""The model card of an exported run: what it predicts, how well, from what it was made, and what it is meant for."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from eri.config import ExtractorConfig, ImageConfig
from eri.training.run_folder import METRICS, Run
from eri.utils.errors import RunError
from eri.weights import WEIGHTS, WeightsEntry

_USE = """\
Meant for research on how strongly people react, and for comparing systems on the data named above.

- The predictions say how observers would rate a reaction seen and heard. They do not say what a person feels.
- Do not use them to decide about people: at work, in school, in court, at a border, in medicine, or in advertising.
- Faces, voices and situations unlike those of the data are predicted worse, by an unknown amount; groups of people may
  be predicted unequally well. Measure it on your own data before you rely on it.
- Ask people before you record and analyse them.
"""


def write_card(run: Run, files: Mapping[str, str], notes: Sequence[str]) -> str:
    """Return the model card as Markdown, with the front matter that model hubs read.

    Args:
        run: The run.
        files: What is in the folder, and what each file is.
        notes: What a reader should know of the files.

    Raises:
        RunError: The run's ``metrics.json`` is damaged.
    """
    task, config, data = run.task, run.config, run.environment["data"]
    front = {"library_name": "eri", "tags": ["affective-computing", config.modality, config.model.name]}
    kind = (
        "the probability of each class" if task.is_classification else f"intensities in [{task.low:g}, {task.high:g}]"
    )
    sections = [
        f"---\n{yaml.safe_dump(front, sort_keys=False)}---",
        f"# {config.name}",
        f"Predicts {kind} of a clip ({', '.join(task.labels)}) from {_modalities(run)} with the model "
        f"`{config.model.name}`.",
        "## How to use it",
        '```python\nimport eri\n\neri.load("this-folder").predict("a-video.mp4")\n```',
        "\n".join(f"- `{name}`: {text}" for name, text in files.items()),
        *notes,
        "## Data",
        _data(run, data),
        "## Scores",
        _figures(run),
        "## Weights and licences",
        "\n".join(_licences(run)),
        "## Intended use and limits",
        _USE,
    ]
    return "\n\n".join(section.strip() for section in sections) + "\n"


def _modalities(run: Run) -> str:
    names = {"visual": "faces", "audio": "audio"}
    return " and ".join(names[name] for name in run.config.extractors)


def _data(run: Run, data: Mapping[str, Any]) -> str:
    clips = {split: run.environment["clips"][split]["used"] for split in ("train", "val")}
    return (
        f"Trained on {clips['train']} clips of {_text(data['name'])}, its epoch chosen on {clips['val']} others (task "
        f"`{run.task.name}`, fingerprint `{data['fingerprint'][:16]}`, seed {run.environment['seed']}). The data's own "
        "licence is its makers' and is not granted with these weights."
    )


def _figures(run: Run) -> str:
    path = run.path / METRICS
    if not path.is_file():
        return "The model was not evaluated when it was exported, so no scores are reported."
    try:
        splits = json.loads(path.read_text(encoding="utf-8"))["splits"]
        rows = [row for split, values in splits.items() for row in _rows(split, values)]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise RunError(f"{path}: cannot be read: {error}", hint="Remove the file and evaluate again.") from error
    if not rows:
        return "The model was evaluated on clips without labels only, so no scores are reported."
    table = ["| split | metric | value | 95 % interval | clips |", "|---|---|---|---|---|", *rows]
    optimistic = "The epoch was chosen on val, so a score on that split is optimistic." if "val" in splits else ""
    return "\n".join(table) + (f"\n\n{optimistic}" if optimistic else "")


def _rows(split: str, values: Mapping[str, Any]) -> Iterator[str]:
    scores = values["scores"]
    if scores is None:
        return
    pairs = (("war", "war_interval"), ("uar", "uar_interval")) if "war" in scores else (("mean", "mean_interval"),)
    for name, interval in pairs:
        metric = name.upper() if name != "mean" else values["metric"]
        bounds = scores.get(interval)
        shown = f"[{bounds['low']:.3f}, {bounds['high']:.3f}]" if bounds else "–"
        value = "–" if scores[name] is None else f"{scores[name]:.3f}"
        yield f"| {split} | {metric} | {value} | {shown} | {scores['clips']} |"


def _licences(run: Run) -> Iterator[str]:
    """Yield a line for each set of weights that the model was made with."""
    for modality, extractor in run.config.extractors.items():
        entry, given = _entry(extractor)
        if entry is not None:
            yield f"- {modality}: `{entry.name}` ({entry.origin}). Licence: {entry.licence}."
        elif given in (None, "random"):
            yield f"- {modality}: `{extractor.extractor}`, no pretrained weights."
        else:
            name = Path(given).name
            yield f"- {modality}: `{extractor.extractor}`, weights `{name}`. Their licence is not known here."
        faces = getattr(extractor, "faces", None)
        if faces is not None and faces.detector == "retinaface":
            detector = WEIGHTS.get(f"retinaface-{faces.backbone}")
            if detector is not None:
                yield f"- faces: `{detector.name}` ({detector.origin}). Licence: {detector.licence}."
    began = getattr(run.config.model, "weights", None)
    if began is not None:
        yield f"- model: began from `{began if began in ('random', 'pretrained') else Path(str(began)).name}` weights."
    if isinstance(run.config.visual, ImageConfig) and run.config.finetune is not None:
        yield f"- model: its backbone began from `{run.config.visual.extractor}`, {run.config.visual.weights} weights."
    yield "- The head, its standardisation and this folder: the licence is yours to state."


def _entry(extractor: ExtractorConfig) -> tuple[WeightsEntry | None, str | None]:
    """Return the registered weights of an extractor, or the words of its config; None for both where it has none."""
    given = getattr(extractor, "weights", None) or getattr(extractor, "model", None)
    name = getattr(extractor, "backbone", extractor.extractor)
    if given is None:
        return None, None
    if given != "pretrained":
        known = (entry for entry in WEIGHTS.values() if given in (entry.name, entry.hub_id))
        return next(known, None), str(given)
    entry = WEIGHTS.get(name) or next((one for one in WEIGHTS.values() if one.timm_name == name), None)
    return entry, f"{name} of timm"


def _text(value: object) -> str:
    """Return a name as Markdown shows it, whatever is in it."""
    return "".join(f"\\{sign}" if sign in "\\`*_[]<>|#" else sign for sign in str(value))
