"""Pictures of what models do: which moments move them, and how they see clips apart. None is shown; all are files."""

from eri.pictures.activation import ActivationMap, draw_activation, read_activation
from eri.pictures.localization import Localization, score_localization
from eri.pictures.projection import draw_projection, project

__all__ = [
    "ActivationMap",
    "Localization",
    "draw_activation",
    "draw_projection",
    "project",
    "read_activation",
    "score_localization",
]
