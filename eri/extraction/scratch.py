"""Scratch files: how decoded clips travel from worker processes to the model.

A pipe would copy megabytes through both processes, and a worker killed in the middle of a message would block the pipe
for all others. So inputs go through files in the system's temporary folder (``TMPDIR`` moves it), which the model reads
as memory maps; they are gone as soon as it has.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path
from types import TracebackType
from typing import Self

from eri.store import claims
from eri.store.problems import explained

_PREFIX = "eri-scratch-"
_OWNER = "owner"


class ScratchFolder:
    """A temporary folder that is removed with the block, or by the next run when this process is killed.

    Examples:
        >>> with ScratchFolder() as scratch:
        ...     path = scratch.file("00042")
        ...     _ = path.write_text("decoded")
        >>> path.exists(), path.parent.exists()
        (False, False)
    """

    def __init__(self) -> None:
        with explained(Path(tempfile.gettempdir())):
            self.path = Path(tempfile.mkdtemp(prefix=_PREFIX))
            self._claim = claims.take(self.path, _OWNER)

    def file(self, clip_id: str) -> Path:
        """Return where the inputs of a clip may stand."""
        return self.path / f"{clip_id}.npy"

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._claim is not None:
            self._claim.release()
        shutil.rmtree(self.path, ignore_errors=True)


def sweep_scratch_folders() -> None:
    """Remove the scratch folders of killed runs."""
    for path in Path(tempfile.gettempdir()).glob(f"{_PREFIX}*"):
        # Another user's folder is none of our business, and one without a claim file is just being made.
        if not os.access(path, os.W_OK | os.X_OK) or not (path / f"{_OWNER}.lock").exists():
            continue
        with explained(path):
            claim = claims.take(path, _OWNER)
        if claim is not None:
            with claim:
                shutil.rmtree(path, ignore_errors=True)
