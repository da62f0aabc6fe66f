"""eri: from a folder of clips to a reaction-intensity challenge submission that the organisers accept.

Every command is a function of the same name and arguments; those of a group carry its name: `eri features import` is
:func:`eri.features_import`. What they need is imported when they are called, so that ``import eri`` stays quick.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from eri.api.cache import features_export, features_gc, features_import, features_ls, features_verify
from eri.api.commands import evaluate, extract, extract_file, probe, submit, train, validate
from eri.api.demo import demo
from eri.api.diagnosis import configs, doctor, plan, profile, schema
from eri.api.experiments import compare, cv, ensemble, search
from eri.api.outputs import draw_activation, draw_embeddings, draw_localization, export, predict, report

if TYPE_CHECKING:
    from eri.config import ExtractorConfig, HeadConfig, load_config
    from eri.data import load_clips
    from eri.data.adapters.registry import register_adapter
    from eri.extraction.extractors.registry import register_extractor
    from eri.media.faces.registry import register_detector
    from eri.models.heads import Head, register_head
    from eri.prediction import load
    from eri.reports.data_report import report_data
    from eri.runs.opening import open_run
    from eri.submission.formats import SubmissionFormat, register_submission
    from eri.training.losses import register_loss
    from eri.utils.registry import load_plugin
    from eri.utils.version import __version__

    run_demo = demo

__all__ = ["ExtractorConfig", "Head", "HeadConfig", "SubmissionFormat", "__version__"]
__all__ += ["configs", "demo", "doctor", "plan", "probe", "profile", "run_demo", "schema"]
__all__ += ["extract", "extract_file", "features_export", "features_gc", "features_import", "features_ls"]
__all__ += ["features_verify", "open_run", "train"]
__all__ += ["compare", "cv", "ensemble", "evaluate", "search", "submit", "validate"]
__all__ += ["draw_activation", "draw_embeddings", "draw_localization", "export", "predict", "report", "report_data"]
__all__ += ["load", "load_clips", "load_config", "load_plugin"]
__all__ += ["register_adapter", "register_detector", "register_extractor", "register_head", "register_loss"]
__all__ += ["register_submission"]

_LAZY = {
    "eri.config": ("ExtractorConfig", "HeadConfig", "load_config"),
    "eri.data": ("load_clips",),
    "eri.data.adapters.registry": ("register_adapter",),
    "eri.extraction.extractors.registry": ("register_extractor",),
    "eri.media.faces.registry": ("register_detector",),
    "eri.models.heads": ("Head", "register_head"),
    "eri.prediction": ("load",),
    "eri.reports.data_report": ("report_data",),
    "eri.runs.opening": ("open_run",),
    "eri.submission.formats": ("SubmissionFormat", "register_submission"),
    "eri.training.losses": ("register_loss",),
    "eri.utils.registry": ("load_plugin",),
    "eri.utils.version": ("__version__",),
}
_MODULES = {name: module for module, names in _LAZY.items() for name in names}


def __getattr__(name: str) -> Any:
    if name == "run_demo":  # the earlier name
        return demo
    if name == "testing":
        return import_module("eri.testing")
    if name not in _MODULES:
        raise AttributeError(f"module 'eri' has no attribute '{name}'")
    return getattr(import_module(_MODULES[name]), name)


def __dir__() -> list[str]:
    return sorted(__all__)
