"""The exported folder: the part of a run that predicting needs, its model as ONNX, and a model card."""

from __future__ import annotations

import os
import secrets
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from eri.config import LightGBMConfig
from eri.exports.card import write_card
from eri.exports.graph import Graph, build_graph, write_onnx
from eri.runs.folders import kind_of
from eri.runs.opening import run_folders
from eri.training.learners import create_learner
from eri.training.run_folder import BOOSTERS, CONFIG, ENVIRONMENT, MANIFEST, METRICS, WEIGHTS, Run, read_run
from eri.utils.errors import ConfigError, RunError
from eri.utils.files import write_json, write_text

ONNX, SIGNATURE, CARD = "model.onnx", "model.json", "README.md"
_NAMED_MEMBERS = 3


@dataclass(frozen=True)
class ExportReport:
    """What came of an export.

    Attributes:
        path: The folder.
        files: What is in it, and what each file is.
        difference: Largest difference between the ONNX graph and the model; None where there is no graph.
        notes: What a reader should know, such as why there is no graph.
    """

    path: Path
    files: dict[str, str]
    difference: float | None
    notes: tuple[str, ...]


def export_run(run: Path, output: Path, *, onnx: bool = True, overwrite: bool = False) -> ExportReport:
    """Write the folder that `eri.load` and model hubs take, in one step; the model as ONNX where it is a graph.

    RunError where the run is incomplete, or the folder is there already or cannot be written; ConfigError where it is
    no run but a cross-validation or an ensemble; MissingDependencyError for ONNX without the extra ``export``.
    """
    if kind_of(run) != "run":
        raise ConfigError(f"{run}: is no run, but a {kind_of(run)} of several", hint=_way_out(run))
    opened = read_run(run)
    create_learner(opened.config.model).chosen(opened)  # refuses a run whose weights are gone
    _refuse_existing(output, overwrite=overwrite)
    temporary = output.parent / f".{output.name}.{os.getpid()}.{secrets.token_hex(4)}.tmp"
    try:
        temporary.mkdir(parents=True)
        report = _fill(opened, temporary, output, onnx=onnx)
        if output.exists():
            shutil.rmtree(output)
        temporary.replace(output)
    except OSError as error:
        raise RunError(f"{output}: cannot be written ({error.strerror or error})", hint="Name another -o.") from error
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    return report


def _way_out(path: Path) -> str:
    """Say how what is made of several runs can be exported: run by run."""
    try:
        members = list(run_folders(path))
    except (RunError, KeyError, TypeError):
        members = []  # a damaged list of members is not what the reader asked about
    commands = [f"eri export {member}" for member in members[:_NAMED_MEMBERS]]
    if len(members) > _NAMED_MEMBERS:
        commands.append(f"and {len(members) - _NAMED_MEMBERS} more")
    named = f": {'; '.join(commands)}" if members else ""
    return f"Export its members one by one{named}. The folder as it is: `eri predict` and eri.load take it."


def _fill(run: Run, folder: Path, output: Path, *, onnx: bool) -> ExportReport:
    files = dict(_copied(run, folder))
    difference, notes = None, list[str]()
    if onnx:
        try:
            graph = build_graph(run)
            difference = write_onnx(graph, folder / ONNX)
        except ConfigError as error:
            notes.append(error.message)
        else:
            write_json(folder / SIGNATURE, _signature(run, graph))
            files[ONNX] = f"the model as ONNX, equal to PyTorch's to {difference:.1g}"
            files[SIGNATURE] = "names, shapes and types of its inputs and outputs"
    files[CARD] = "this card"
    write_text(folder / CARD, write_card(run, files, notes))
    return ExportReport(output, files, difference, tuple(notes))


def _copied(run: Run, folder: Path) -> Iterator[tuple[str, str]]:
    """Copy what predicting needs, and yield the name of each file with what it is."""
    shutil.copyfile(run.path / CONFIG, folder / CONFIG)
    yield CONFIG, "the resolved config: model, extractors, face and sampling settings"
    write_json(folder / ENVIRONMENT, {key: value for key, value in run.environment.items() if key != "machine"})
    yield ENVIRONMENT, "task, data fingerprint, feature identities, label means, versions of libraries"
    if isinstance(run.config.model, LightGBMConfig):
        shutil.copyfile(run.path / MANIFEST, folder / MANIFEST)
        shutil.copytree(run.path / BOOSTERS, folder / BOOSTERS)
        yield MANIFEST, f"the boosters, LightGBM's own text files in `{BOOSTERS}/`"
    else:
        shutil.copyfile(run.path / WEIGHTS, folder / WEIGHTS)
        yield WEIGHTS, "the weights of the best epoch, with the standardisation of the features"
    if (run.path / METRICS).is_file():
        shutil.copyfile(run.path / METRICS, folder / METRICS)
        yield METRICS, "scores with intervals"


def _signature(run: Run, graph: Graph) -> dict[str, object]:
    inputs = {
        name: {
            "shape": [graph.dynamic[name].get(axis, length) for axis, length in enumerate(example.shape)],
            "type": str(example.dtype).removeprefix("torch."),
        }
        for name, example in graph.inputs.items()
    }
    return {
        "inputs": inputs,
        "outputs": {"predictions": {"shape": ["clips", len(run.task.labels)], "type": "float32"}},
        "labels": list(run.task.labels),
        "range": [run.task.low, run.task.high],
        "rule": "All clips of a call have the same number of rows, all of them valid: leave out rows without a face or "
        "audio. Inputs of seconds are there only where the model reads them.",
    }


def _refuse_existing(output: Path, *, overwrite: bool) -> None:
    if not output.exists():
        return
    if not output.is_dir() or (any(output.iterdir()) and not (output / CARD).is_file()):
        raise RunError(f"{output}: is there already and is no export", hint="Name another folder with -o.")
    if any(output.iterdir()) and not overwrite:
        raise RunError(f"{output}: is there already", hint="Replace it: --overwrite. Keep it: -o OTHER.")
