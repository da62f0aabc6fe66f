"""Tasks are the organisers', to the letter."""

import dataclasses

import pytest

from eri.tasks import EMI, ERI, MIMIC, PERCEPTION, TASKS


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
