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

    ``files`` says what each file of the folder is, ``notes`` what else a reader should know. RunError where the run's
    ``metrics.json`` is damaged.
    """
    task, config = run.task, run.config
    front = {"library_name": "eri", "tags": ["affective-computing", config.modality, config.model.name]}
    kind = "the probability of each class"
    if not task.is_classification:
        kind = f"intensities in [{task.low:g}, {task.high:g}]"
    streams = " and ".join({"visual": "faces", "audio": "audio"}[name] for name in config.extractors)
    sections = [
        f"---\n{yaml.safe_dump(front, sort_keys=False)}---",
        f"# {config.name}",
        f"Predicts {kind} of a clip ({', '.join(task.labels)}) from {streams} with the model `{config.model.name}`.",
        "## How to use it",
        '```python\nimport eri\n\neri.load("this-folder").predict("a-video.mp4")\n```',
        "\n".join(f"- `{name}`: {text}" for name, text in files.items()),
        *notes,
        "## Data",
        _data(run),
        "## Scores",
        _scores(run),
        "## Weights and licences",
        "\n".join(_licences(run)),
        "## Intended use and limits",
        _USE,
    ]
    return "\n\n".join(section.strip() for section in sections) + "\n"


def _data(run: Run) -> str:
    data, clips = run.environment["data"], run.environment["clips"]
    name = "".join(f"\\{sign}" if sign in "\\`*_[]<>|#" else sign for sign in str(data["name"]))  # as Markdown shows it
    return (
        f"Trained on {clips['train']['used']} clips of {name}, its epoch chosen on {clips['val']['used']} others (task "
        f"`{run.task.name}`, fingerprint `{data['fingerprint'][:16]}`, seed {run.environment['seed']}). The data's own "
        "licence is its makers' and is not granted with these weights."
    )


def _scores(run: Run) -> str:
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
    if "val" in splits:
        table += ["", "The epoch was chosen on val, so a score on that split is optimistic."]
    return "\n".join(table)


def _rows(split: str, values: Mapping[str, Any]) -> Iterator[str]:
    scores = values["scores"]
    if scores is None:
        return
    for name in ("war", "uar") if "war" in scores else ("mean",):
        metric = name.upper() if name != "mean" else values["metric"]
        bounds = scores.get(f"{name}_interval")
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
            detector = WEIGHTS[f"retinaface-{faces.backbone}"]
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
