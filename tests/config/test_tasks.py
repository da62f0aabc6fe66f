"""Tasks are the organisers', to the letter."""

import dataclasses
import json

import pytest

from eri.config.tasks import EMI, ERI, MIMIC, PERCEPTION, TASKS, Task
from eri.utils.errors import DataError


def test_eri_is_the_header_of_the_organisers():
    header = "File_ID,Adoration,Amusement,Anxiety,Disgust,Empathic-Pain,Fear,Surprise"
    assert ",".join(("File_ID", *ERI.labels)) == header
    assert (ERI.low, ERI.high, ERI.activation) == (0.0, 1.0, "sigmoid")


@pytest.mark.parametrize(
    ("task", "header"),
    [
        (EMI, "Filename,Admiration,Amusement,Determination,Empathic Pain,Excitement,Joy"),
        (MIMIC, "filename,Approval_,Disappointment_,Uncertainty_"),
        (
            PERCEPTION,
            "subj_id,assertiv,dominant,confident,independent,enthusiastic,good_natured,sincere,collaborative,"
            "friendly,aggressive,likeable,arrogant,leader_like,kind,warm,risk",
        ),
    ],
    ids=lambda value: getattr(value, "name", ""),
)
def test_other_tasks_have_the_headers_of_their_organisers(task, header):
    assert ",".join((str(task.id_column), *task.labels)) == header
    assert (task.low, task.high, task.activation, task.bracketed) == (0.0, 1.0, "sigmoid", False)


def test_every_task_stands_under_its_name_and_can_be_scored():
    for name, task in TASKS.items():
        assert name == task.name
        assert len(set(task.labels)) == len(task.labels) > 0
        assert task.low < task.high


def test_tasks_cannot_be_changed():
    with pytest.raises(dataclasses.FrozenInstanceError):
        ERI.name = "other"  # type: ignore[misc]


class TestClassification:
    def test_classes_are_labels_with_probabilities(self):
        task = Task.of_classes("mood", ("calm", "angry"))
        assert (task.kind, task.activation, task.low, task.high) == ("classification", "softmax", 0.0, 1.0)
        assert task.is_classification
        assert not ERI.is_classification
        assert (task.classes, ERI.classes) == (("calm", "angry"), ())
        assert task.one_hot("angry") == task.one_hot(1) == (0.0, 1.0)

    @pytest.mark.parametrize("label", ["cross", 2, -1])
    def test_an_unknown_class_is_refused(self, label):
        with pytest.raises(DataError, match="has no class") as caught:
            Task.of_classes("mood", ("calm", "angry")).one_hot(label)
        assert caught.value.hint == "Its classes are calm, angry."

    def test_a_regression_has_no_classes(self):
        with pytest.raises(DataError, match="'eri' has no classes"):
            ERI.one_hot("Fear")

    @pytest.mark.parametrize(
        ("changes", "message"),
        [
            ({"labels": ("calm",)}, "needs two classes or more"),
            ({"labels": ("calm", "calm")}, "each named once"),
            ({"activation": "sigmoid"}, "activation softmax"),
            ({"low": -1.0}, r"range is \[0, 1\]"),
            ({"high": 2.0}, r"range is \[0, 1\]"),
            ({"kind": "ranking"}, "kind is 'ranking'"),
        ],
    )
    def test_what_is_no_classification_is_refused(self, changes, message):
        with pytest.raises(DataError, match=message):
            dataclasses.replace(Task.of_classes("mood", ("calm", "angry")), **changes)

    @pytest.mark.parametrize("task", [ERI, Task.of_classes("mood", ("calm", "angry"))], ids=lambda task: task.name)
    def test_it_is_read_back_from_the_values_of_a_run(self, task):
        values = json.loads(json.dumps(dataclasses.asdict(task)))
        assert Task(**{**values, "labels": tuple(values["labels"])}) == task

    def test_runs_from_before_there_were_kinds_are_regressions(self):
        values = dataclasses.asdict(ERI)
        del values["kind"]
        assert Task(**values) == ERI
