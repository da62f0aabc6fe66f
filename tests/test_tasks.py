"""Tasks are the organisers', to the letter."""

import dataclasses

import pytest

from eri.tasks import ERI, TASKS


def test_eri_is_the_header_of_the_organisers():
    header = "File_ID,Adoration,Amusement,Anxiety,Disgust,Empathic-Pain,Fear,Surprise"
    assert ",".join(("File_ID", *ERI.labels)) == header
    assert (ERI.low, ERI.high, ERI.activation) == (0.0, 1.0, "sigmoid")


def test_every_task_stands_under_its_name_and_can_be_scored():
    for name, task in TASKS.items():
        assert name == task.name
        assert len(set(task.labels)) == len(task.labels) > 0
        assert task.low < task.high


def test_tasks_cannot_be_changed():
    with pytest.raises(dataclasses.FrozenInstanceError):
        ERI.name = "other"  # type: ignore[misc]
