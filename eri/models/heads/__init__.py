"""The heads: from sequences of embeddings to one raw output per label. Each is known by the class of its config."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import singledispatch
from typing import Any, TypeVar

from pydantic import BaseModel

from eri.config import (
    MODELS,
    BaselineLSTMConfig,
    ConcatenationConfig,
    CrossAttentionConfig,
    EncoderConfig,
    FusionLSTMConfig,
    GatedConfig,
    HeadConfig,
    LateConfig,
    LSTMConfig,
)
from eri.models.heads.fusion import ConcatenationHead, CrossAttentionHead, FusionLSTMHead, GatedHead, LateHead
from eri.models.heads.single import BaselineLSTMHead, EncoderHead, Head, LSTMHead
from eri.utils.errors import PluginError

__all__ = ["Head", "create_head", "register_head"]

Net = TypeVar("Net", bound=type[Head])


@singledispatch
def create_head(config: HeadConfig, dimensions: Mapping[str, int], labels: int) -> Head:
    """Build the head that a config names, with ``dimensions`` the length of one embedding by modality.

    ValueError where a head of one modality is given several, PluginError where none is registered for the config.
    """
    raise PluginError(f"{type(config).__name__}: no head is registered for it", hint="Register it: eri.register_head.")


def register_head(
    config: type[HeadConfig] | str, *, settings: type[BaseModel] | None = None, fuses: bool = False
) -> Callable[[Net], Net]:
    """Register a head: a class decorator.

    The class derives from :class:`Head` and is built as ``MyHead(config, dimensions, labels)``, see
    :func:`create_head`.

    Args:
        config: Its name in the section ``model``; or the class of that section, derived from
            :class:`eri.config.HeadConfig`, for settings that check each other.
        settings: With a name: a pydantic class with the settings of the head, which are attributes of its ``config``.
        fuses: With a name: whether the head reads several modalities.

    Raises:
        PluginError: The name is taken, the settings cannot be, or the class is no :class:`Head`.
    """

    def register(net: Net) -> Net:
        if not issubclass(net, Head):
            raise PluginError(f"{net.__module__}: the head {net.__qualname__} does not derive from eri.Head")
        section: Any = config
        if isinstance(section, str):
            section = MODELS.make(HeadConfig, section, net.__module__, settings)
            section.fuses, section.__doc__ = fuses, net.__doc__
        if not section.__module__.startswith("eri."):
            MODELS.section(section)
        create_head.register(section, net)
        return net

    return register


register_head(EncoderConfig)(EncoderHead)
register_head(LSTMConfig)(LSTMHead)
register_head(BaselineLSTMConfig)(BaselineLSTMHead)
register_head(FusionLSTMConfig)(FusionLSTMHead)
register_head(ConcatenationConfig)(ConcatenationHead)
register_head(GatedConfig)(GatedHead)
register_head(CrossAttentionConfig)(CrossAttentionHead)
register_head(LateConfig)(LateHead)
