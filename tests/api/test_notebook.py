"""Progress in a notebook, with IPython's display in place of a kernel."""

from __future__ import annotations

import builtins
import sys
import time
from types import ModuleType

import pytest

from eri.api.progress import CountEvent, reporting


class Handle:
    """What IPython's ``display`` returns: an output that is replaced."""

    def __init__(self, first: str) -> None:
        self.shown = [first]

    def update(self, html: str) -> None:
        self.shown.append(html)


class ZMQInteractiveShell:
    """Named as the shell of a kernel, by which rich knows a notebook."""


@pytest.fixture
def handles(monkeypatch):
    made: list[Handle] = []

    def display(html: str, display_id: bool) -> Handle:
        assert display_id
        made.append(Handle(html))
        return made[-1]

    module = ModuleType("IPython.display")
    module.HTML, module.display = str, display  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "IPython", ModuleType("IPython"))
    monkeypatch.setitem(sys.modules, "IPython.display", module)
    monkeypatch.setattr(builtins, "get_ipython", ZMQInteractiveShell, raising=False)
    return made


def test_a_cell_has_one_output_with_bars_that_go_and_lines_that_stay(handles):
    with reporting("probing", None) as report:
        report("starting <now>")
        report(CountEvent("probing", 3, 9))
        time.sleep(0.25)
        report(CountEvent("probing", 4, 9))
        report(CountEvent("probing", 9, 9))
    (handle,) = handles
    assert "starting &lt;now&gt;" in handle.shown[0]
    assert any('<progress max="9" value="4">' in html for html in handle.shown)
    assert "<progress" not in handle.shown[-1]
    assert "probing: 9/9 clips" in handle.shown[-1]


@pytest.mark.slow
def test_a_long_call_without_events_shows_its_seconds(handles):
    with reporting("scoring", None):
        time.sleep(1.3)
    (handle,) = handles
    assert "scoring: 1 s" in handle.shown[0]


def test_nothing_is_shown_unasked(handles, capsys):
    seen: list[object] = []
    with reporting("scoring", False) as report:
        report("a")
    with reporting("scoring", None, seen.append) as report:
        report("b")
    assert (handles, seen) == ([], ["b"])
    assert capsys.readouterr().out == ""


def test_a_real_kernel_shows_progress(tmp_path):
    pytest.importorskip("ipykernel", reason="ipykernel is not installed: only the display is tested, in its place")
    client = pytest.importorskip("jupyter_client", reason="jupyter_client is not installed")
    manager, kernel = client.manager.start_new_kernel(cwd=str(tmp_path))
    shown: list[str] = []

    def note(message):
        if message["msg_type"] in ("display_data", "update_display_data"):
            shown.append(message["content"]["data"].get("text/html", ""))

    try:
        code = (
            "from eri.api.progress import CountEvent, reporting\n"
            "with reporting('probing', None) as report:\n    report(CountEvent('probing', 1, 2))"
        )
        kernel.execute_interactive(code, timeout=120, output_hook=note)
    finally:
        manager.shutdown_kernel(now=True)
    assert any("<progress" in html for html in shown)
