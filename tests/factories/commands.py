"""Running `eri` within the process of a test."""

from __future__ import annotations

import pytest

from eri.cli.app import main


def run_eri(capsys: pytest.CaptureFixture[str], *arguments: object) -> tuple[int, str, str]:
    """Run `eri` with arguments; return exit code, standard output, standard error."""
    with pytest.raises(SystemExit) as ending:
        main([str(argument) for argument in arguments])
    output = capsys.readouterr()
    code = ending.value.code
    return (code if isinstance(code, int) else 0), output.out, output.err
