"""Reading configs: by name or path, with overrides on the command line, and with every misfit named."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from pathlib import Path
from typing import Any, get_args

import yaml
from pydantic import ValidationError

from eri.config.experiment import ExperimentConfig
from eri.config.features import EXTRACTOR_KINDS
from eri.config.models import ModelConfig
from eri.errors import ConfigError

_MODEL_KINDS = frozenset(kind.model_fields["name"].default for kind in get_args(get_args(ModelConfig)[0]))


def config_names() -> list[str]:
    """Return the names of the shipped configs, sorted."""
    return sorted(path.stem for path in _config_folder().glob("*.yaml"))


def load_config(source: str | Path, overrides: Sequence[str] = ()) -> ExperimentConfig:
    """Read a config by its shipped name or from a YAML file, and apply dotted overrides.

    Args:
        source: A name from :func:`config_names`, or a path that ends in ``.yaml`` or ``.yml``.
        overrides: ``section.key=value`` strings; values are read as YAML.

    Raises:
        ConfigError: No such config, YAML that cannot be read, an unknown key or a value that does not fit.

    Examples:
        >>> load_config("yap-csm-v4", ["training.epochs=2"]).training.epochs
        2
    """
    path = _find(source)
    try:
        values = read_yaml(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise ConfigError(f"{path}: cannot be read as YAML: {error}") from error
    if not isinstance(values, dict):
        raise ConfigError(f"{path}: expected a mapping of sections, found {type(values).__name__}")
    for override in overrides:
        _override(values, override)
    return parse_config(values, origin=str(path))


def parse_config(values: dict[str, Any], *, origin: str = "config") -> ExperimentConfig:
    """Validate a mapping as an experiment.

    Args:
        values: The mapping, as YAML or JSON gives it.
        origin: Named in errors.

    Raises:
        ConfigError: Lists every key that is unknown or does not fit.
    """
    try:
        return ExperimentConfig.model_validate(values)
    except ValidationError as error:
        raise ConfigError(
            f"{origin}: {describe_misfits(error)}",
            hint="`eri schema` prints every key, its type and meaning.",
        ) from error


class _UniqueKeyLoader(yaml.SafeLoader):
    """A safe loader that refuses a mapping with a key that stands twice, rather than take the last."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        seen: set[Any] = set()
        for key_node, _ in node.value:
            key = key_node.value if isinstance(key_node, yaml.ScalarNode) else None
            if key is not None and key != "<<" and key in seen:
                raise yaml.MarkedYAMLError(problem=f"key '{key}' stands twice", problem_mark=key_node.start_mark)
            seen.add(key)
        return super().construct_mapping(node, deep)


def read_yaml(text: str) -> Any:
    """Read YAML safely; a key that stands twice is an error.

    Raises:
        yaml.YAMLError: The text is not YAML, or a key stands twice.

    Examples:
        >>> read_yaml("epochs: 2")
        {'epochs': 2}
    """
    return yaml.load(text, _UniqueKeyLoader)


def describe_misfits(error: ValidationError) -> str:
    """Return one line for every setting that does not fit, for a message that begins with the file."""
    lines = [f"  {_dotted(item['loc']) or '(whole)'}: {item['msg']}" for item in error.errors()]
    return f"{len(lines)} setting(s) do not fit:\n" + "\n".join(lines)


def _dotted(location: tuple[int | str, ...]) -> str:
    """Return the key as a file has it: pydantic puts the kind of a section after it, which no file does."""
    keys: list[str] = []
    for part in map(str, location):
        section = keys[-1] if keys else ""
        kind = (section in ("visual", "audio") and part in ("image", *EXTRACTOR_KINDS)) or (
            section in ("model", "encoder") and part in _MODEL_KINDS
        )
        if not kind:
            keys.append(part)
    return ".".join(keys)


def _config_folder() -> Path:
    package = Path(__file__).parent.parent
    inside = package / "configs"
    return inside if inside.is_dir() else package.parent / "configs"


def _find(source: str | Path) -> Path:
    if str(source).endswith((".yaml", ".yml")):
        path = Path(source)
        if not path.is_file():
            raise ConfigError(f"{path}: no such config file")
        return path
    path = _config_folder() / f"{source}.yaml"
    if not path.is_file():
        raise ConfigError(
            f"no config is named '{source}'",
            hint=f"Known: {', '.join(config_names())}; or give the path of a .yaml file.",
        )
    return path


def _override(values: dict[str, Any], override: str) -> None:
    key, equals, text = override.partition("=")
    if not equals or not key:
        raise ConfigError(f"override '{override}' is not of the form section.key=value")
    *parents, last = key.split(".")
    node = values
    for parent in parents:
        child = node.setdefault(parent, {})
        if not isinstance(child, dict):
            raise ConfigError(f"override '{override}': '{parent}' is a value, not a section")
        node = child
    try:
        node[last] = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise ConfigError(f"override '{override}': the value is not YAML: {error}") from error
