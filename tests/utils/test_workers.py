"""Worker processes: what crashes, hangs or grows costs its own item; no process imports the user's program."""

from __future__ import annotations

import ctypes
import os
import signal
import subprocess
import sys
import time
from typing import Any

import pytest

from eri.utils.errors import WeightsError, WorkerError, WorkerStartError
from eri.utils.workers import WorkerPool, process_context, report_progress
from tests.factories.processes import alive, begin, wait_until


class UnsendableError(Exception):
    """An error that can be pickled but not unpickled."""

    def __init__(self, *, detail: str) -> None:
        super().__init__(detail)


def act(what: str) -> Any:
    """Do what an item says."""
    if what == "crash":
        os.kill(os.getpid(), signal.SIGSEGV)
    if what == "exit":
        os._exit(3)
    if what == "hang":
        time.sleep(600)
    if what == "seize":
        ctypes.PyDLL(None).sleep(600)  # unlike CDLL this does not let other threads of the interpreter run
    if what == "memory":
        raise MemoryError
    if what == "weights":
        raise WeightsError("no weights", hint="Fetch them.")
    if what == "bug":
        raise ZeroDivisionError("no one foresaw this")
    if what == "unsendable":
        raise UnsendableError(detail="x")
    if what == "function":
        return lambda: None
    if what == "progress":
        report_progress(1)
        report_progress(2)
    return what, os.getpid()


def refuse() -> None:
    raise WeightsError("no weights")


class Unloadable:
    def __call__(self, item: str) -> str:
        return item

    def __reduce__(self) -> tuple[object, ...]:
        return fail_to_load, ()


def fail_to_load() -> None:
    raise ImportError("a library is broken")


def test_each_item_fails_alone_with_its_reason():
    with WorkerPool(act, 2, timeout=3.0, task="doing it", hint="Give it more.") as pool:
        items = ["a", "crash", "hang", "b", "exit", "memory", "seize", "bug", "weights", "unsendable", "c"]
        futures = {item: pool.submit(item, f"item {item}") for item in items}
        for good in "abc":
            assert futures[good].result()[0] == good
        for item, reason, message in (
            ("crash", "crashed", "item crash: its worker process ended (signal SIGSEGV)"),
            ("exit", "crashed", "item exit: its worker process ended (exit code 3)"),
            ("hang", "timeout", "item hang: doing it took longer than 3 s"),
            ("seize", "timeout", "item seize: doing it took longer than 3 s"),
            ("memory", "crashed", "item memory: doing it ran out of memory"),
        ):
            error = futures[item].exception()
            assert isinstance(error, WorkerError)
            assert (error.reason, error.message) == (reason, message)
        bug = futures["bug"].exception()
        assert isinstance(bug, ZeroDivisionError)
        assert "test_workers.py" in "".join(bug.__notes__)
        assert isinstance(futures["weights"].exception(), WeightsError)
        with pytest.raises(RuntimeError, match="UnsendableError"):
            futures["unsendable"].result()


@pytest.mark.slow
def test_an_idle_process_that_is_killed_costs_nothing_and_progress_comes_home():
    seen: list[int] = []
    with WorkerPool(act, 1) as pool:
        pid = pool.submit("a", "a").result()[1]
        os.kill(pid, signal.SIGKILL)
        wait_until(lambda: not alive(pid))
        what, other = pool.submit("progress", "b", seen.append).result()
        assert (what, seen) == ("progress", [1, 2])
        assert other != pid
        os.kill(other, signal.SIGSTOP)  # as one that is dying, it takes what is sent, and never reads it
        waiting = pool.submit("c", "c")
        with pytest.raises(TimeoutError):
            waiting.result(timeout=0.2)
        os.kill(other, signal.SIGKILL)
        assert waiting.result()[0] == "c"
    assert not alive(other)


def test_processes_that_cannot_start_say_why():
    with WorkerPool(Unloadable(), 1) as pool, pytest.raises(WorkerStartError, match="a library is broken"):
        pool.submit("a", "a").result()
    with WorkerPool(act, 1, setup=refuse) as pool, pytest.raises(WeightsError, match="no weights"):
        pool.submit("a", "a").result()


def test_without_processes_a_thread_does_it():
    with WorkerPool(act, 0, task="doing it") as pool:
        assert pool.submit("a", "a").result() == ("a", os.getpid())
        with pytest.raises(WorkerError, match="b: doing it ran out of memory"):
            pool.submit("memory", "b").result()


PARENT = """
import os, sys
from eri.utils.workers import WorkerPool
from tests.utils.test_workers import act
pool = WorkerPool(act, 2, timeout=600)
pids = [pool.submit(word, word).result()[1] for word in "ab"]
futures = [pool.submit(word, word) for word in ("hang", "hang")]
print(*pids, flush=True)
futures[0].result()
"""


def test_processes_end_with_their_parent():
    parent = begin("-c", PARENT)
    assert parent.stdout is not None
    pids = [int(word) for word in parent.stdout.readline().split()]
    parent.kill()
    parent.communicate()
    wait_until(lambda: not any(alive(pid) for pid in pids), seconds=20)


SCRIPT = """
print("the script runs")
from eri.utils.workers import WorkerPool, process_context
class Doubler:
    def __call__(self, item):
        return 2 * item
with WorkerPool(Doubler(), 1) as pool:
    print(pool.submit(21, "number").result())
process = process_context().Process(target=print, args=("a process",))
process.start()
process.join()
"""


@pytest.mark.parametrize("way", ["a file", "standard input", "a module"])
def test_a_program_without_a_guard_runs_once_and_may_define_what_workers_do(tmp_path, way):
    (tmp_path / "script.py").write_text(SCRIPT)
    command = {"a file": ["script.py"], "standard input": ["-"], "a module": ["-m", "script"]}[way]
    done = subprocess.run(
        [sys.executable, *command], input=SCRIPT, capture_output=True, text=True, cwd=tmp_path, timeout=100, check=False
    )
    assert done.stderr == ""
    assert done.stdout.splitlines() == ["the script runs", "42", "a process"]


def test_the_context_hides_the_program_only_while_a_process_starts():
    before = dict(vars(sys.modules["__main__"]))
    process = process_context().Process(target=int)
    process.start()
    process.join()
    assert vars(sys.modules["__main__"]) == before
    assert process.exitcode == 0
