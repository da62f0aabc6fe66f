"""Extractors by the class of their config: ours, each imported when first created, and those of users."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import singledispatch
from importlib import import_module
from typing import Any, TypeVar

from pydantic import BaseModel

from eri.config import (
    EXTRACTORS,
    CropsConfig,
    DeepSpectrumConfig,
    EGeMAPSConfig,
    ExtractorConfig,
    ImageConfig,
    ImportedConfig,
    LogMelConfig,
    MFCCConfig,
    Runtime,
    Stream,
    Wav2Vec2Config,
)
from eri.features.records import Extractor
from eri.utils.errors import ConfigError, PluginError

__all__ = ["create_extractor", "extractor_factory", "register_extractor"]

Factory = Callable[[Any, Runtime], Extractor]
Registered = TypeVar("Registered", bound=Callable[..., Any])


def create_extractor(config: ExtractorConfig, runtime: Runtime | None = None) -> Extractor:
    """Load the extractor that a config asks for, for a device and a batch size.

    These do not change the numbers, beyond a cosine of 0.9999 between embeddings of the same row. It cannot be loaded
    (:class:`EriError`) where settings do not fit the model, or where weights, a run or a package is missing.
    """
    return extractor_factory(config)(config, runtime or Runtime())


def extractor_factory(config: ExtractorConfig) -> Factory:
    """Return what makes the extractor of a config: a class or function that can be sent to other processes.

    Sent there, it brings its module with it, whereas the registry there may not know it yet.
    """
    return _create.dispatch(type(config))


@singledispatch
def _create(config: ExtractorConfig, runtime: Runtime) -> Extractor:
    raise PluginError(
        f"no extractor is registered for the features '{config.extractor}'",
        hint="Import the module that registers it first; of 'video' that is eri.runs.video_extractor.",
    )


def register_extractor(
    config: type[ExtractorConfig] | str,
    *,
    modality: Stream | None = None,
    settings: type[BaseModel] | None = None,
    version: str = "",
    **defaults: Any,
) -> Callable[[Registered], Registered]:
    """Register an extractor: a decorator of a function or of a class.

    **A function**, with a name: it is given what the valid rows of a clip consist of, at most 256 rows at once, and
    returns float32 (n, dimension), one row of numbers for each of them::

        @eri.register_extractor("loudness", modality="audio", window=1.0, hop=0.5)
        def loudness(windows, rate):  # float32 (n, samples), mono in [-1, 1]; 16000 a second
            return np.sqrt((windows**2).mean(axis=1, keepdims=True))

        @eri.register_extractor("colour", modality="visual", frames=16, input_size=64)
        def colour(crops):  # uint8 (n, 64, 64, 3), RGB
            return crops.mean(axis=(1, 2)) / 255

    With ``settings`` the section of the config is its last argument, and the settings are attributes of that.

    Features are computed again when a setting, the ``version`` or the source code of the function changes (its own
    text, including comments). Of code that it calls, and of files that it reads, nothing is known: raise ``version``
    when those change its numbers.

    **A class**, with the class of its section, derived from :class:`eri.config.ExtractorConfig`: it is made as
    ``MyExtractor(config, runtime)``, and has what :class:`~eri.features.records.Extractor` asks for: ``name``,
    ``modality``, ``dimension``, ``preparer``, ``identity()`` and ``embed()``.

    Args:
        config: The name of a function in the key ``extractor``; or the class of the section.
        modality: What a function reads: ``audio`` or ``visual``.
        settings: A pydantic class with settings of a function.
        version: Of a function, see above.
        defaults: Of a function, other defaults than usual: of ``window`` and ``hop`` in seconds; or of ``frames``,
            ``input_size`` in pixels and ``faces``. A config may change each.

    Raises:
        PluginError: The name is taken, the settings have no schema, or something is asked for that does not exist.
    """

    def register(thing: Registered) -> Registered:
        if isinstance(config, str):
            from eri.extraction.extractors.functions import FunctionFactory

            section = _function_section(config, thing, modality, settings, defaults)
            assert modality is not None
            _create.register(section, FunctionFactory(thing, modality, version, settings is not None))
        else:
            section = config
            if modality is not None or settings is not None or version or defaults:
                raise PluginError(f"{thing.__module__}: modality, settings, version and defaults are of functions only")
            _create.register(section, thing)
        if section.__module__.partition(".")[0] != "eri":
            EXTRACTORS.section(section)
        return thing

    return register


def _function_section(
    name: str,
    function: Callable[..., Any],
    modality: Stream | None,
    settings: type[BaseModel] | None,
    defaults: dict[str, Any],
) -> type[ExtractorConfig]:
    from eri.extraction.extractors.functions import AudioFunctionConfig, VisualFunctionConfig

    module = function.__module__
    bases: dict[Any, type[ExtractorConfig]] = {"audio": AudioFunctionConfig, "visual": VisualFunctionConfig}
    if modality not in bases:
        raise PluginError(
            f"{module}: the extractor '{name}' reads neither audio nor frames", hint='Say modality="audio" or "visual".'
        )
    base = bases[modality]
    if unknown := defaults.keys() - base.model_fields.keys():
        raise PluginError(
            f"{module}: {', '.join(sorted(unknown))} is no setting of the {modality} extractor '{name}'",
            hint=f"Those are {', '.join(base.model_fields.keys() - {'extractor'})}; pass other settings in settings=.",
        )
    section = EXTRACTORS.make(base, name, module, settings, **defaults)
    section.modality, section.__doc__ = modality, function.__doc__  # type: ignore[assignment]
    return section


@register_extractor(ImportedConfig)
def _imported(config: ImportedConfig, runtime: Runtime) -> Extractor:
    raise ConfigError(
        f"'{config.name}' are imported features: no model computes them",
        hint="Put them into the store with `eri features import`.",
    )


@dataclass(frozen=True)
class _Own:
    """One of our own extractors, whose module is imported when the first is created."""

    module: str
    name: str

    def __call__(self, config: Any, runtime: Runtime) -> Extractor:
        made: Extractor = getattr(import_module(f"eri.extraction.extractors.{self.module}"), self.name)(config, runtime)
        return made


register_extractor(ImageConfig)(_Own("image", "ImageExtractor"))
register_extractor(CropsConfig)(_Own("crops", "CropExtractor"))
register_extractor(DeepSpectrumConfig)(_Own("deepspectrum", "DeepSpectrumExtractor"))
register_extractor(MFCCConfig)(_Own("mel", "MelExtractor"))
register_extractor(LogMelConfig)(_Own("mel", "MelExtractor"))
register_extractor(EGeMAPSConfig)(_Own("egemaps", "EGeMAPSExtractor"))
register_extractor(Wav2Vec2Config)(_Own("wav2vec2", "Wav2Vec2Extractor"))
