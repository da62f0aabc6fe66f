"""Claims end with the process that holds them."""

import signal
import subprocess
import sys
from pathlib import Path

from eri.features import locks as claims

HOLD = """
import sys, time
from pathlib import Path
from eri.features import locks as claims
claim = claims.take(Path(sys.argv[1]), "a")
print("held" if claim else "refused", flush=True)
time.sleep(60)
"""


def holder(folder: Path) -> tuple[subprocess.Popen[str], str]:
    process = subprocess.Popen([sys.executable, "-c", HOLD, str(folder)], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    return process, process.stdout.readline().strip()


def test_a_claim_shuts_others_out_until_its_process_is_killed(tmp_path):
    process, answer = holder(tmp_path)
    try:
        assert answer == "held"
        assert claims.take(tmp_path, "a") is None
        other = claims.take(tmp_path, "b")
        assert other is not None
        other.release()
    finally:
        process.send_signal(signal.SIGKILL)
        process.communicate()
    claim = claims.take(tmp_path, "a")
    assert claim is not None
    claim.release()
    claim.release()
    assert list(tmp_path.iterdir()) == []


def test_sweeping_removes_files_of_the_dead_and_leaves_held_claims(tmp_path):
    (tmp_path / "dead.lock").touch()
    process, _ = holder(tmp_path)
    try:
        claims.sweep(tmp_path)
        assert [path.name for path in tmp_path.iterdir()] == ["a.lock"]
        assert claims.take(tmp_path, "a") is None
    finally:
        process.kill()
        process.communicate()


def test_waiting_gets_the_claim_in_the_end(tmp_path):
    with claims.wait_for(tmp_path, "purpose"):
        pass
    with claims.wait_for(tmp_path, "purpose"):
        pass
