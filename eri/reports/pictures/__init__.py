"""Pictures of what models do: which moments move them, and how they see clips apart. None is shown; all are files."""

from eri.reports.pictures.activation import ActivationMap, draw_activation, read_activation
from eri.reports.pictures.apexes import read_apexes
from eri.reports.pictures.drawing import draw_embeddings, draw_video, locate_apexes
from eri.reports.pictures.localization import Localization, score_localization
from eri.reports.pictures.projection import draw_projection, project

__all__ = [
    "ActivationMap",
    "Localization",
    "draw_activation",
    "draw_embeddings",
    "draw_projection",
    "draw_video",
    "locate_apexes",
    "project",
    "read_activation",
    "read_apexes",
    "score_localization",
]
