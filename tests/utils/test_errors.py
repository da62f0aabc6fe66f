"""Errors for users: their text, their exit code, and their way home from a worker process."""

import inspect
import multiprocessing
import pickle
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import pytest

import eri.utils.errors
from eri.utils.errors import ConfigError, EriError, MediaError, NoAudioError, WorkerError

VALUES = {"path": Path("clips/a.mp4"), "message": "is broken", "reason": "crashed", "hint": "Fetch it again."}


def family(root: type[EriError]) -> Iterator[type[EriError]]:
    yield root
    for child in root.__subclasses__():
        yield from family(child)


ALL = sorted(set(family(EriError)), key=lambda cls: cls.__name__)


def make(cls: type[EriError]) -> EriError:
    names = inspect.signature(cls.__init__).parameters
    return cls(**{name: value for name, value in VALUES.items() if name in names})  # type: ignore[arg-type]


def fail(cls: type[EriError]) -> None:
    raise make(cls)


def test_every_error_of_the_module_is_one_of_the_family():
    errors = {cls for _, cls in inspect.getmembers(eri.utils.errors, inspect.isclass) if issubclass(cls, Exception)}
    assert errors <= set(ALL)


@pytest.mark.parametrize("cls", ALL)
def test_every_error_travels_whole(cls):
    error = make(cls)
    error.__dict__["noted"] = 7
    back = pickle.loads(pickle.dumps(error))
    assert type(back) is cls
    assert str(back) == str(error)
    assert back.__dict__ == error.__dict__
    assert "is broken" in back.message
    assert back.hint == "Fetch it again."


def test_errors_come_home_from_a_worker_process():
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
        with pytest.raises(NoAudioError) as caught:
            pool.submit(fail, NoAudioError).result()
        with pytest.raises(WorkerError) as other:
            pool.submit(fail, WorkerError).result()
    assert (caught.value.path, caught.value.reason) == (VALUES["path"], "no-audio")
    assert other.value.reason == "crashed"


def test_the_text_has_the_way_out_on_its_own_line():
    assert str(EriError("a.csv: is empty")) == "a.csv: is empty"
    assert str(EriError("a.csv: is empty", hint="Copy it.")) == "a.csv: is empty\n  → Copy it."
    assert str(make(MediaError)).startswith(f"{VALUES['path']}: is broken")


@pytest.mark.parametrize("cls", [cls for cls in ALL if issubclass(cls, MediaError)])
def test_every_media_error_has_a_short_reason_of_its_own(cls):
    assert cls.reason
    assert cls.reason == cls.reason.lower().replace(" ", "-")
    others = {other.reason for other in ALL if issubclass(other, MediaError) and other is not cls}
    assert cls.reason not in others


def test_exit_codes_tell_a_wrong_config_from_wrong_data():
    assert ConfigError.exit_code == 2
    assert {cls.exit_code for cls in ALL if not issubclass(cls, ConfigError)} == {1}
