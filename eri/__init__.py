"""eri: from a folder of clips to a reaction-intensity challenge submission that the organisers accept.

The functions of the commands are here under the commands' own names; they are imported when first used, so that
``import eri`` stays quick.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from eri.utils.version import __version__

if TYPE_CHECKING:
    from eri.api.commands import evaluate, extract, probe, submit, train, validate
    from eri.api.demo import run_demo
    from eri.api.diagnosis import doctor
    from eri.config import load_config
    from eri.data import load_clips
    from eri.prediction import load
    from eri.reports.pages import report, report_data

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
    "evaluate": "eri.api.commands",
    "extract": "eri.api.commands",
    "probe": "eri.api.commands",
    "submit": "eri.api.commands",
    "train": "eri.api.commands",
    "validate": "eri.api.commands",
    "load_config": "eri.config",
    "load_clips": "eri.data",
    "run_demo": "eri.api.demo",
    "doctor": "eri.api.diagnosis",
    "load": "eri.prediction",
    "report": "eri.reports.pages",
    "report_data": "eri.reports.pages",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'eri' has no attribute '{name}'")
    return getattr(import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return sorted(__all__)
