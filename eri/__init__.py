"""eri: from a folder of clips to a reaction-intensity challenge submission that the organisers accept.

Every command is a function of the same name and arguments; those of a group carry its name: `eri features import` is
:func:`eri.features_import`. What they need is imported when they are called, so that ``import eri`` stays quick.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from eri.api.cache import features_export, features_gc, features_import, features_ls, features_verify
from eri.api.commands import evaluate, extract, extract_file, probe, submit, train, validate
from eri.api.costs import plan, profile
from eri.api.demo import demo
from eri.api.diagnosis import configs, doctor, schema
from eri.api.experiments import compare, cv, ensemble, search
from eri.api.outputs import draw_activation, draw_embeddings, draw_localization, export, predict, report

if TYPE_CHECKING:
    from eri.config import load_config
    from eri.data import load_clips
    from eri.prediction import load
    from eri.reports.pages import report_data
    from eri.runs.opening import open_run
    from eri.utils.version import __version__

    run_demo = demo

__all__ = [
    "__version__",
    "compare",
    "configs",
    "cv",
    "demo",
    "doctor",
    "draw_activation",
    "draw_embeddings",
    "draw_localization",
    "ensemble",
    "evaluate",
    "export",
    "extract",
    "extract_file",
    "features_export",
    "features_gc",
    "features_import",
    "features_ls",
    "features_verify",
    "load",
    "load_clips",
    "load_config",
    "open_run",
    "plan",
    "predict",
    "probe",
    "profile",
    "report",
    "report_data",
    "run_demo",
    "schema",
    "search",
    "submit",
    "train",
    "validate",
]

_LAZY = {
    "__version__": "eri.utils.version",
    "load": "eri.prediction",
    "load_clips": "eri.data",
    "load_config": "eri.config",
    "open_run": "eri.runs.opening",
    "report_data": "eri.reports.pages",
}


def __getattr__(name: str) -> Any:
    if name == "run_demo":  # the earlier name
        return demo
    if name not in _LAZY:
        raise AttributeError(f"module 'eri' has no attribute '{name}'")
    return getattr(import_module(_LAZY[name]), name)


def __dir__() -> list[str]:
    return sorted(__all__)
