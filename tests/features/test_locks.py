"""Locks end with the process that holds them."""

import signal
import subprocess
import sys
from pathlib import Path

from eri.features import locks

HOLD = """
import sys, time
from pathlib import Path
from eri.features import locks
lock = locks.try_lock(Path(sys.argv[1]), "a")
print("held" if lock else "refused", flush=True)
time.sleep(60)
"""


def holder(folder: Path) -> tuple[subprocess.Popen[str], str]:
    process = subprocess.Popen([sys.executable, "-c", HOLD, str(folder)], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    return process, process.stdout.readline().strip()


def test_a_lock_shuts_others_out_until_its_process_is_killed(tmp_path):
    process, answer = holder(tmp_path)
    try:
        assert answer == "held"
        assert locks.try_lock(tmp_path, "a") is None
        other = locks.try_lock(tmp_path, "b")
        assert other is not None
        other.release()
    finally:
        process.send_signal(signal.SIGKILL)
        process.communicate()
    lock = locks.try_lock(tmp_path, "a")
    assert lock is not None
    lock.release()
    lock.release()
    assert list(tmp_path.iterdir()) == []


def test_stale_locks_are_removed_and_held_ones_stay(tmp_path):
    (tmp_path / "dead.lock").touch()
    process, _ = holder(tmp_path)
    try:
        locks.remove_stale_locks(tmp_path)
        assert [path.name for path in tmp_path.iterdir()] == ["a.lock"]
        assert locks.try_lock(tmp_path, "a") is None
    finally:
        process.kill()
        process.communicate()


def test_waiting_gets_the_lock_in_the_end(tmp_path):
    with locks.wait_for_lock(tmp_path, "purpose"):
        pass
    with locks.wait_for_lock(tmp_path, "purpose"):
        pass
