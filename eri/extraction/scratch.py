"""Scratch files: how decoded clips travel from worker processes to the model.

A pipe would copy megabytes through both processes, and a worker killed in the middle of a message would block the pipe
for all others. So inputs go through files in the system's temporary folder (``TMPDIR`` moves it), which the model reads
as memory maps; they are gone as soon as it has.
"""

from __future__ import annotations

import secrets
import shutil
import tempfile
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Self

from eri.features import locks
from eri.features.problems import explained

_PREFIX = "eri-scratch-"
_CLAIM = ".lock"


class ScratchFolder:
    """A temporary folder that is removed with the block, or by the next run when this process is killed.

    Its claim stands beside it and is taken before it is made and given up after it is removed: a folder whose claim is
    free is a dead process's, at every moment.

    Raises:
        StoreError: The system's temporary folder cannot be written.

    Examples:
        >>> with ScratchFolder() as scratch:
        ...     path = scratch.file("00042")
        ...     _ = path.write_text("decoded")
        >>> path.exists(), path.parent.exists()
        (False, False)
    """

    def __init__(self) -> None:
        parent = Path(tempfile.gettempdir())
        with explained(parent):
            # Another run that looks whether a claim is a dead one's holds it for a moment: then this is not ours.
            claim = None
            while claim is None:
                name = _PREFIX + secrets.token_hex(8)
                claim = locks.try_lock(parent, name)
            self._claim = claim
            self.path = parent / name
            self.path.mkdir(mode=0o700)

    def file(self, clip_id: str) -> Path:
        """Return where the inputs of a clip may stand."""
        return self.path / f"{clip_id}.npy"

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        shutil.rmtree(self.path, ignore_errors=True)
        self._claim.release()


def sweep_scratch_folders() -> None:
    """Remove the scratch folders of killed runs; one that cannot be removed, such as another user's, is left."""
    parent = Path(tempfile.gettempdir())
    for name in {path.name.removesuffix(_CLAIM) for path in parent.glob(f"{_PREFIX}*")}:
        with suppress(OSError):
            claim = locks.try_lock(parent, name)
            if claim is not None:
                with claim:
                    shutil.rmtree(parent / name, ignore_errors=True)
