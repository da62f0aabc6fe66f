"""eri: from a folder of clips to a reaction-intensity challenge submission that the organisers accept.

The functions of the commands are here under the commands' own names; they are imported when first used, so that
``import eri`` stays quick.
"""

from __future__ import annotations

from importlib import import_module
from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from eri.commands import evaluate, extract, probe, submit, train, validate
    from eri.config import load_config
    from eri.data import load_clips
    from eri.demo import run_demo
    from eri.diagnosis import doctor
    from eri.prediction import load
    from eri.reporting import report, report_data

try:
    __version__ = version("eri")
except PackageNotFoundError:  # a source tree that was never installed
    __version__ = "0.0.0"

__all__ = [
    "__version__",
    "doctor",
    "evaluate",
    "extract",
    "load",
    "load_clips",
    "load_config",
    "probe",
    "report",
    "report_data",
    "run_demo",
    "submit",
    "train",
    "validate",
]

_HOMES = {
    "evaluate": "eri.commands",
    "extract": "eri.commands",
    "probe": "eri.commands",
    "submit": "eri.commands",
    "train": "eri.commands",
    "validate": "eri.commands",
    "load_config": "eri.config",
    "load_clips": "eri.data",
    "run_demo": "eri.demo",
    "doctor": "eri.diagnosis",
    "load": "eri.prediction",
    "report": "eri.reporting",
    "report_data": "eri.reporting",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'eri' has no attribute '{name}'")
    return getattr(import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return sorted(__all__)
