"""What docs/data.md shows is what happens."""

import re
from pathlib import Path

import pytest

from eri.config.tasks import EMI, MIMIC, PERCEPTION, TASKS, Task
from eri.data import ADAPTERS, Clip, ClipTable, load_clips
from eri.data.adapters.manifest import Columns, Manifest, Paths
from eri.submission import format_of
from eri.utils.errors import DataError
from tests.factories.challenge import ABAW5_HEADER, abaw5_cells, make_entries, write_table

PAGE = (Path(__file__).parents[2] / "docs" / "data.md").read_text(encoding="utf-8")


def block(language: str) -> str:
    """Return the first code block of a language."""
    return blocks(language)[0]


def blocks(language: str) -> list[str]:
    """Return all code blocks of a language."""
    return re.findall(rf"```{language}\n(.*?)```", PAGE, re.DOTALL)


def test_the_example_of_a_manifest_reads_its_table(tmp_path):
    (tmp_path / "greetings.yaml").write_text(block("yaml"))
    (tmp_path / "labels.csv").write_text(block("csv"))
    table = load_clips(tmp_path / "greetings.yaml")
    assert (table.name, table.task.labels, table.task.activation) == ("greetings", ("Warmth", "Energy"), "linear")
    assert [(clip.id, clip.split, clip.group, clip.labels) for clip in table] == [
        ("hello-1", "train", "ann", (7.5, 3.0)),
        ("hello-2", "train", "bob", (0.0, 10.0)),
        ("hello-3", "val", "cem", (2.25, 8.0)),
        ("hello-4", "test", "dua", None),
    ]
    assert table["hello-1"].audio == tmp_path / "sound/hello-1.flac"
    assert table["hello-2"].audio_source == tmp_path / "video/bob/hello-2.mp4"


def test_the_example_of_a_classification_reads_its_table(tmp_path):
    (tmp_path / "faces.yaml").write_text(blocks("yaml")[1])
    rows = ["clip,part,person,emotion", "a,train,ann,1", "b,val,bob,ang", "c,train,cem,3", "d,test,dua,"]
    (tmp_path / "faces.csv").write_text("\n".join(rows))
    table = load_clips(tmp_path / "faces.yaml")
    assert table.task == Task.of_classes("faces", ("anger", "joy", "neutral"))
    assert [clip.labels for clip in table] == [(1, 0, 0), (1, 0, 0), (0, 0, 1), None]


def test_every_setting_and_every_adapter_is_on_the_page():
    settings = (field.alias or name for part in (Manifest, Columns, Paths) for name, field in part.model_fields.items())
    for name in (*settings, *ADAPTERS):
        assert re.search(rf"`{name}`|\b{name}:", PAGE), name


def test_the_table_of_submissions_is_what_is_written(tmp_path):
    for task in TASKS.values():
        table = ClipTable("any", tmp_path, task, (Clip("00042", "test"),))
        rules = format_of(table)
        (cells,) = re.findall(rf"^\| `{task.name}` \| `(.*?)` \| (.*?) \|$", PAGE, re.MULTILINE)
        assert cells[0] == ",".join(rules.columns)
        assert cells[1] in (f"`{rules.id_cell('00042')}`", "as in `labels.csv`")
        assert (rules.digits is None) == (cells[1] == "as in `labels.csv`")


@pytest.mark.parametrize("task", [EMI, MIMIC, PERCEPTION], ids=lambda task: task.name)
def test_the_headers_on_the_page_are_those_that_are_read(task):
    assert re.search(rf"{task.id_column}(,{','.join(task.labels)}$| and the sixteen)", PAGE, re.MULTILINE)


def test_the_example_of_an_error_is_the_one_that_comes(tmp_path):
    rows = [list(ABAW5_HEADER), *map(abaw5_cells, make_entries(8, 3, 2, shuffle=False))]
    rows[4][7], rows[8][7], rows[11][1] = "1.5", "-1", "Dev"
    write_table(tmp_path / "data_info.csv", rows)
    with pytest.raises(DataError) as caught:
        load_clips(tmp_path)
    assert str(caught.value).replace(str(tmp_path), "data/hume") in PAGE
