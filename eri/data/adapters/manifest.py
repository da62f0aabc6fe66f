"""The manifest adapter: any CSV or Parquet table, described by a YAML file."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Self, TypeVar

import yaml
from pydantic import Field, ValidationError, field_validator, model_validator

from eri.config import Strict, describe_misfits, read_yaml
from eri.config.tasks import TASKS, Activation, Task, TaskKind
from eri.data.adapters.listing import at_hand
from eri.data.clips import Clip, ClipTable, Split
from eri.data.rows import ClipRows, Labels
from eri.data.tables import Kind, Table, read_table, read_text
from eri.storage import parse_url
from eri.utils.errors import DataError, MissingSubjectError

NAME = "manifest"
LOOKS_FOR = "a .yaml file that describes a table"
SUFFIXES = frozenset({".yaml", ".yml"})

_T = TypeVar("_T")
_FIELD = re.compile(r"\{([^{}]+)\}")
_NO_GROUP = Kind("clips without a group", "Fill in the group column, or leave columns.group out.", MissingSubjectError)


class Columns(Strict):
    """Which columns of the table hold what."""

    id: str
    split: str | None = None
    group: str | None = Field(None, description="The subject: folds keep the clips of one together.")
    class_name: str | None = Field(None, alias="class", description="The class, for a classification.")


class Paths(Strict):
    """Where the media of a clip lie, relative to the root.

    A text with braces is a template (``{id}`` is the clip's id, ``{other}`` the cell of any column); one without is the
    name of a column that holds paths. An empty cell means that the clip has no such file.
    """

    video: str | None = None
    audio: str | None = Field(
        None, description="Path of the audio file; without it, the audio is the video's own track."
    )


class Manifest(Strict):
    """The description of a data set that is one table."""

    adapter: str = Field(NAME, pattern=f"^{NAME}$")
    name: str = Field(min_length=1, description="Name of the data set in messages and reports.")
    task: str | None = Field(None, description="Name of the task; None is the data set's name.")
    root: Path = Field(
        Path(),
        description="Folder that table and media are relative to; itself relative to the YAML file, or the URL of one "
        "in an object store.",
    )
    table: Path = Field(description="CSV, or Parquet by its suffix.")
    columns: Columns
    id_digits: int | None = Field(
        None, ge=1, le=32, description="Ids are numbers, padded with zeros to this many digits."
    )
    paths: Paths = Paths()
    split: Split | None = Field(None, description="The split of every row, for a table without a split column.")
    splits: dict[Split, str | list[str]] = Field(
        {"train": "train", "val": "val", "test": "test"}, description="What the table calls each split."
    )
    kind: TaskKind = Field("regression", description="A classification reads one class per clip, from columns.class.")
    labels: list[str] = Field(
        min_length=1, description="Label columns, or the names of the classes, in the order of the submission."
    )
    classes: dict[str, str | int | list[str | int]] = Field(
        {}, description="What the table calls each class; one that is left out has the same name there."
    )
    range: tuple[float, float] = Field((0.0, 1.0), description="Smallest and largest legal label.")
    activation: Activation | None = Field(
        None,
        description="Activation of a model's output; None is softmax for classes, sigmoid for labels in [0, 1], linear "
        "otherwise.",
    )

    @field_validator("labels")
    @classmethod
    def _different(cls, labels: list[str]) -> list[str]:
        if len(set(labels)) < len(labels):
            raise ValueError("a label is named twice")
        return labels

    @model_validator(mode="after")
    def _agree(self) -> Self:
        if (self.split is None) == (self.columns.split is None):
            raise ValueError("state either columns.split (the split column) or split (one split for all rows)")
        if not self.range[0] < self.range[1]:
            raise ValueError("range is [smallest, largest]")
        if len(self.split_names) < sum(map(len, map(_as_list, self.splits.values()))):
            raise ValueError("splits gives one name of the table to two splits")
        self._agree_on_classes()
        known = TASKS.get(self.task or "")
        if known is not None and known is not self.as_task():
            raise ValueError(
                f"task '{known.name}' has labels {', '.join(known.labels)} in [{known.low}, {known.high}]; "
                "use these, or another task name"
            )
        return self

    def _agree_on_classes(self) -> None:
        if self.kind == "regression":
            if self.columns.class_name is not None or self.classes:
                raise ValueError("columns.class and classes are for 'kind: classification'")
            return
        if self.columns.class_name is None:
            raise ValueError("a classification needs columns.class, the column that holds each clip's class")
        if unknown := [name for name in self.classes if name not in self.labels]:
            raise ValueError(f"classes names {', '.join(map(repr, unknown))}, which labels does not list")
        if len(self.class_names) < sum(map(len, map(_as_list, self.classes.values()))) + len(self._same_named):
            raise ValueError("classes gives one name of the table to two classes")
        try:
            self.as_task()
        except DataError as error:
            raise ValueError(error.message) from error

    @property
    def _same_named(self) -> list[str]:
        return [label for label in self.labels if label not in self.classes]

    @property
    def class_names(self) -> dict[str, str]:
        """The class that each name of the table stands for."""
        named = {str(name): label for label, names in self.classes.items() for name in _as_list(names)}
        return {label: label for label in self._same_named} | named

    @property
    def split_names(self) -> dict[str, Split]:
        """The split that each name of the table stands for."""
        return {name: split for split, names in self.splits.items() for name in _as_list(names)}

    def as_task(self) -> Task:
        """Return the task that the labels make."""
        low, high = self.range
        plain: Activation = "sigmoid" if (low, high) == (0.0, 1.0) else "linear"
        activation = self.activation or ("softmax" if self.kind == "classification" else plain)
        labels = tuple(self.labels)
        described = (labels, low, high, activation)
        known = TASKS.get(self.task or "")
        if known is not None and (known.labels, known.low, known.high, known.activation) == described:
            return known
        return Task(self.task or self.name, *described, id_digits=self.id_digits, kind=self.kind)


def _as_list(value: _T | list[_T]) -> list[_T]:
    return value if isinstance(value, list) else [value]


def matches(source: Path) -> bool:
    """Say whether the source is a YAML file."""
    return source.suffix.lower() in SUFFIXES


def load(source: Path) -> ClipTable:
    """Read the table that a YAML file describes, as ``docs/data.md`` shows.

    Ids lose outer spaces and square brackets and are otherwise kept as they are, unless ``id_digits`` pads them. Label
    columns may be missing where ``split: test`` is stated. Media need not be there.
    """
    manifest = read_manifest(source)
    root = at_hand(manifest.root) if parse_url(manifest.root) else source.parent / manifest.root
    table, task, columns = read_table(root / manifest.table), manifest.as_task(), manifest.columns
    label_columns = manifest.labels if columns.class_name is None else [columns.class_name]
    if manifest.split == "test" and not set(label_columns) & set(table.columns):
        label_columns = []
    # All at once first, so that one error names every missing column.
    table.positions([*filter(None, (columns.id, columns.split, columns.group)), *label_columns])
    rows = ClipRows(table, *table.positions([columns.id]), digits=manifest.id_digits)
    if manifest.split is not None:
        splits = dict.fromkeys(rows.index, manifest.split)
    else:
        (position,) = table.positions(filter(None, [columns.split]))
        splits = rows.read_splits(position, manifest.split_names)
    positions = table.positions(label_columns)
    labels: Labels = dict.fromkeys(rows.index)
    if positions and task.is_classification:
        labels = rows.read_classes(positions[0], splits, task, manifest.class_names)
    elif positions:
        labels = rows.read_labels(positions, splits, task)
    groups: dict[str, str] = {}
    if columns.group is not None:
        groups = rows.cells(*table.positions([columns.group]))
    for clip_id, group in groups.items():
        if not group:
            rows.record(_NO_GROUP, clip_id, f"{columns.group} is empty")
    video, audio = (_path_maker(text, root, table) for text in (manifest.paths.video, manifest.paths.audio))
    rows.problems.check()
    clips = []
    for clip_id, index in sorted(rows.index.items()):
        media = video(clip_id, table.rows[index]), audio(clip_id, table.rows[index])
        clips.append(Clip(clip_id, splits[clip_id], *media, labels[clip_id], groups.get(clip_id)))
    return ClipTable(manifest.name, root, task, tuple(clips), columns.id)


def read_manifest(source: Path) -> Manifest:
    """Read and check the description itself; a DataError names all keys and values that do not fit."""
    try:
        values = read_yaml(read_text(source))
    except yaml.YAMLError as error:
        raise DataError(f"{source}: cannot be read as YAML: {error}") from error
    if not isinstance(values, dict):
        raise DataError(f"{source}: expected a mapping of settings, found {type(values).__name__}")
    try:
        return Manifest.model_validate(values)
    except ValidationError as error:
        raise DataError(
            f"{source}: {describe_misfits(error)}",
            hint=f"A manifest may hold: {', '.join(Manifest.model_fields)}. docs/data.md has a complete example.",
        ) from error


def _path_maker(text: str | None, root: Path, table: Table) -> Callable[[str, list[str]], Path | None]:
    """Return what makes a clip's path from its id and cells."""
    if text is None:
        return lambda _id, _cells: None
    template = text if _FIELD.search(text) else f"{{{text}}}"
    names = [name for name in _FIELD.findall(template) if name != "id" or template != text]
    columns = dict(zip(names, table.positions(names), strict=True))

    def make(clip_id: str, cells: list[str]) -> Path | None:
        values = {name: cells[position] for name, position in columns.items()}
        values.setdefault("id", clip_id)
        if not all(values.values()):
            return None
        return root / _FIELD.sub(lambda match: values[match[1]], template)

    return make
