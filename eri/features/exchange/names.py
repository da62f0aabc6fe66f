"""Names that the organisers give to features, and what each describes."""

from __future__ import annotations

import re
from types import MappingProxyType

from eri.config import ORGANISERS_FEATURES
from eri.features.exchange.raw import Modality
from eri.utils.errors import ConfigError

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._\-]*")

KNOWN: MappingProxyType[str, Modality] = MappingProxyType(
    {
        **dict.fromkeys(("faus", "vggface2", "facenet512", "vit", "vit-fer"), "visual"),
        **dict.fromkeys(("egemaps", "deepspectrum", "ds", "wav2vec2", "w2v-msp", "hubert-superb"), "audio"),
    }
)
"""Modality of the features that MuSe-2022 to 2024 and EMI are distributed with, by name in lower case."""


def canonical_name(name: str) -> str:
    """Return a name as it is stored: MuSe-2022's in the organisers' case, others as they are.

    Raises:
        ConfigError: It is not safe as the name of a folder.

    Examples:
        >>> canonical_name("faus"), canonical_name("my-features")
        ('FAUs', 'my-features')
    """
    if not _NAME.fullmatch(name):
        raise ConfigError(
            f"'{name}' is no name for features", hint="Use letters, digits, '.', '_' and '-': --name NAME."
        )
    return ORGANISERS_FEATURES.get(name.lower(), name)


def known_modality(name: str, stated: Modality | None) -> Modality:
    """Return what features describe: as stated, else by their name.

    Raises:
        ConfigError: Nothing is stated and the name is not the organisers'.

    Examples:
        >>> known_modality("eGeMAPS", None)
        'audio'
    """
    modality = stated or KNOWN.get(name.lower())
    if modality is None:
        raise ConfigError(
            f"it is not known whether features '{name}' are visual or audio",
            hint="Say so: --modality visual or --modality audio.",
        )
    return modality
