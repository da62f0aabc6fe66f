"""Reading configs: by name or path, with overrides on the command line, and with every misfit named."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError

from eri.config.experiment import ExperimentConfig
from eri.config.extractors import EXTRACTORS, ImageConfig
from eri.config.models import MODELS, HeadConfig, ModelConfig
from eri.config.training import EmbeddingTraining, HeadTraining, VideoTraining
from eri.utils.errors import ConfigError
from eri.utils.spelling import did_you_mean

BASE = "base"
"""The key by which a file names the config that it changes."""


def config_names() -> list[str]:
    """Return the names of the shipped configs, sorted."""
    return list(_shipped(""))


def space_names() -> list[str]:
    """Return the names of the shipped search spaces, sorted."""
    return list(_shipped("spaces"))


def find_space(source: str | Path) -> Path:
    """Return the file of a search space, given by its shipped name or as a path that ends in ``.yaml`` or ``.yml``."""
    return _find(source, "spaces")


def load_config(source: str | Path, overrides: Sequence[str] = ()) -> ExperimentConfig:
    """Read a config by its shipped name or from a YAML file, and apply dotted overrides.

    A file may name another one as its ``base``, as a shipped name or a path beside it: what it does not set itself is
    as it is there. A section that names another ``name`` or ``extractor`` than the base does replaces that of the base.

    Args:
        source: A name from :func:`config_names`, or a path that ends in ``.yaml`` or ``.yml``.
        overrides: ``section.key=value`` strings; values are read as YAML.

    Raises:
        ConfigError: No such config, YAML that cannot be read, a base of itself, an unknown key, or a misfit value.

    Examples:
        >>> load_config("yap-csm-v4", ["training.epochs=2"]).training.epochs
        2
    """
    path = _find(source)
    values = _read_values(path)
    for override in overrides:
        apply_override(values, override)
    try:
        return parse_config(values, origin=str(path))
    except ConfigError as error:
        if not overrides:
            raise
        parse_config(_read_values(path), origin=str(path))  # a file that does not fit by itself is to blame, not these
        blamed = f"{' '.join(overrides)} (given beside {path})"
        raise ConfigError(error.message.replace(str(path), blamed, 1), hint=error.hint) from error


def config_schema() -> dict[str, Any]:
    """Return the JSON schema of a config file, for editors: with a ``base`` nothing else must be there."""
    schema = ExperimentConfig.model_json_schema()
    described = {"type": "string", "description": "A config by name or path: what this file does not set is as there."}
    schema["properties"] = {BASE: described, **schema["properties"]}
    schema["anyOf"] = [{"required": [BASE]}, {"required": schema.pop("required")}]
    return schema


def parse_config(values: dict[str, Any], *, origin: str = "config") -> ExperimentConfig:
    """Validate a mapping as an experiment, of this version or 0.1, as YAML or JSON gives it; errors name its origin.

    Raises:
        ConfigError: Lists every key that is unknown or does not fit.
    """
    try:
        return ExperimentConfig.model_validate(migrate(values))
    except ValidationError as error:
        raise ConfigError(
            f"{origin}: {describe_misfits(error)}", hint="`eri schema` prints every key, its type and meaning."
        ) from error


def migrate(values: Mapping[str, Any]) -> dict[str, Any]:
    """Return a config of version 0.1 or of now, its settings where they stand now; misfits stay, to be refused.

    ``visual.brightness`` and ``visual.draws`` become ``training.augmentation``. Settings of ``training`` that the model
    does not read are left out where they have their defaults: 0.1 wrote all of them down.

    Examples:
        >>> migrate({"visual": {"brightness": 1.5, "draws": 2}, "model": {"name": "lstm"}})
        {'visual': {}, 'model': {'name': 'lstm'}, 'training': {'augmentation': {'brightness': 1.5, 'versions': 2}}}
    """
    migrated, visual, training = dict(values), values.get("visual"), values.get("training") or {}
    try:
        model = MODELS[migrated["model"]["name"]].model_validate(migrated["model"])
    except (KeyError, TypeError, ValidationError):  # found again where the whole config is read
        return migrated
    if not isinstance(training, Mapping):
        return migrated
    if isinstance(visual, Mapping) and EXTRACTORS.get(str(visual.get("extractor")), ImageConfig) is ImageConfig:
        training = {**training, **_augmentation(visual, training.get("augmentation"), model)}
        migrated["visual"] = {key: value for key, value in visual.items() if key not in ("brightness", "draws")}
    section = model.training_section
    training = {key: value for key, value in training.items() if key in section.model_fields or _acts({key: value})}
    regularization = training.get("regularization")
    if isinstance(regularization, Mapping) and not issubclass(section, HeadTraining):
        read = {key: value for key, value in regularization.items() if _acts({"regularization": {key: value}})}
        training["regularization"] = read
    return {**migrated, "training": training}


def _augmentation(visual: Mapping[str, Any], given: Any, model: ModelConfig) -> dict[str, Any]:
    """Return the setting that brightness and draws of the section ``visual`` become; nothing of one without them."""
    old = {new: visual[key] for key, new in (("brightness", "brightness"), ("draws", "versions")) if key in visual}
    if not old:
        return {}
    none = old.get("brightness", 1) is None
    if old.get("versions") == 0:
        del old["versions"]  # a backbone that learns has a brightness alone
        none = none or not (isinstance(model, HeadConfig) and model.finetune)
    return {"augmentation": None if none else {**(given or {}), **old}}


def _acts(training: Mapping[str, Any]) -> bool:
    """Tell whether settings are other than the defaults, in the training of heads and of video models."""
    for section in (EmbeddingTraining, VideoTraining):
        with suppress(ValidationError):
            if section.model_validate(training) == section():
                return False
    return True


class _UniqueKeyLoader(yaml.SafeLoader):
    """A safe loader that refuses a mapping with a duplicated key, rather than take the last."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        seen: set[Any] = set()
        for key_node, _ in node.value:
            key = key_node.value if isinstance(key_node, yaml.ScalarNode) else None
            if key is not None and key != "<<" and key in seen:
                raise yaml.MarkedYAMLError(problem=f"key '{key}' is duplicated", problem_mark=key_node.start_mark)
            seen.add(key)
        return super().construct_mapping(node, deep)


def read_yaml(text: str) -> Any:
    """Read YAML safely; a duplicated key is a ``yaml.YAMLError`` too."""
    return yaml.load(text, _UniqueKeyLoader)


def describe_misfits(error: ValidationError) -> str:
    """Return one line for every setting that does not fit, for a message that begins with the file."""
    lines = [f"  {'.'.join(map(str, item['loc'])) or '(whole)'}: {item['msg']}" for item in error.errors()]
    return f"{len(lines)} setting(s) do not fit:\n" + "\n".join(lines)


def _shipped(folder: str) -> dict[str, Path]:
    package = Path(__file__).parents[1]
    inside = package / "configs"
    configs = inside if inside.is_dir() else package.parent / "configs"
    return {path.stem: path for path in sorted((configs / folder).glob("*.yaml"), key=lambda path: path.stem)}


def _find(source: str | Path, folder: str = "") -> Path:
    what, names = "search space" if folder else "config", _shipped(folder)
    if not str(source).endswith((".yaml", ".yml")) and str(source) not in names:
        raise ConfigError(
            f"no {what} is named '{source}'{did_you_mean(str(source), names)}",
            hint=f"Known: {', '.join(names)}; or give the path of a .yaml file.",
        )
    path = names.get(str(source), Path(source))
    if not path.is_file():
        raise ConfigError(f"{path}: no such {what} file")
    return path


def _read_values(path: Path, heirs: tuple[Path, ...] = ()) -> dict[str, Any]:
    """Read a file and put what it sets into its base; ``heirs`` are the files that lead to it by their bases."""
    try:
        values = read_yaml(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise ConfigError(f"{path}: cannot be read as YAML: {error}") from error
    if not isinstance(values, dict):
        raise ConfigError(f"{path}: expected a mapping of sections, found {type(values).__name__}")
    if (base := values.pop(BASE, None)) is None:
        return values
    if not isinstance(base, str):
        raise ConfigError(f"{path}: base names no config: {base!r}", hint="Give a name of `eri configs`, or a path.")
    parent = _find(path.parent / base if base.endswith((".yaml", ".yml")) else base)
    if parent.resolve() in (heirs := (*heirs, path.resolve())):
        raise ConfigError(f"{path}: its base {base} is based on itself", hint="Leave one 'base' out.")
    inherited = _read_values(parent, heirs)
    return {**inherited, **{key: _merge(inherited.get(key), value) for key, value in values.items()}}


def _merge(inherited: Any, own: Any) -> Any:
    if not (isinstance(inherited, dict) and isinstance(own, dict)):
        return own
    if any(key in own and own[key] != inherited.get(key) for key in ("name", "extractor")):
        return own
    return {**inherited, **{key: _merge(inherited.get(key), value) for key, value in own.items()}}


def apply_override(values: dict[str, Any], override: str) -> None:
    """Set a value that ``section.key=value`` names, the value read as YAML."""
    key, equals, text = override.partition("=")
    if not equals or not key:
        raise ConfigError(f"override '{override}' is not of the form section.key=value")
    *parents, last = key.split(".")
    for parent in parents:
        if values.get(parent) is None:  # a section that is left out, or switched off by null
            values[parent] = {}
        values = values[parent]
        if not isinstance(values, dict):
            raise ConfigError(f"override '{override}': '{parent}' is a value, not a section")
    try:
        values[last] = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise ConfigError(f"override '{override}': the value is not YAML: {error}") from error
