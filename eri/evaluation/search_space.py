"""Search spaces: which settings of a config are searched, and over what; read from YAML."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Self

import yaml
from pydantic import TypeAdapter, ValidationError, model_validator

from eri.config import ExperimentConfig, Strict, describe_misfits, parse_config, read_yaml
from eri.utils.errors import ConfigError

if TYPE_CHECKING:
    from optuna import Trial

Value = bool | int | float | str | None


class Parameter(Strict):
    """The values that one setting may take: an interval of numbers, or choices.

    Examples:
        >>> Parameter(low=1e-4, high=1e-2, log=True).type
        'float'
    """

    type: Literal["float", "int", "choice"] = "float"
    low: float | None = None
    high: float | None = None
    log: bool = False
    step: float | None = None
    choices: tuple[Value, ...] | None = None

    @model_validator(mode="before")
    @classmethod
    def _infer(cls, values: Any) -> Any:
        if isinstance(values, dict) and "choices" in values:
            return {"type": "choice", **values}
        return values

    @model_validator(mode="after")
    def _agree(self) -> Self:
        if self.type == "choice":
            if not self.choices or self.low is not None or self.high is not None or self.log or self.step is not None:
                raise ValueError("a choice has 'choices', and no low, high, log or step")
            return self
        if self.choices is not None or self.low is None or self.high is None or not self.low < self.high:
            raise ValueError("an interval has 'low' and a larger 'high', and no choices")
        if self.log and (self.low <= 0 or self.step is not None):
            raise ValueError("with log, low is above zero and there is no step")
        if self.step is not None and self.step <= 0:
            raise ValueError("step is above zero")
        numbers = [number for number in (self.low, self.high, self.step) if number is not None]
        if self.type == "int" and any(number != int(number) for number in numbers):
            raise ValueError("an int has whole numbers as low, high and step")
        return self

    @property
    def ends(self) -> tuple[Value, ...]:
        """Values that must all fit the config: the ends of an interval, or every choice."""
        if self.choices is not None:
            return self.choices
        ends = (self.low, self.high)
        return tuple(int(end or 0) for end in ends) if self.type == "int" else ends

    def suggest(self, trial: Trial, key: str) -> Value:
        """Let a trial choose a value."""
        if self.choices is not None:
            choice: Value = trial.suggest_categorical(key, self.choices)
            return choice
        low, high = self.low or 0.0, self.high or 0.0
        if self.type == "int":
            return trial.suggest_int(key, int(low), int(high), step=int(self.step or 1), log=self.log)
        return trial.suggest_float(key, low, high, step=self.step, log=self.log)


Space = Mapping[str, Parameter]


def read_space(path: Path) -> dict[str, Parameter]:
    """Read a search space: dotted settings, and the values that each may take.

    A file such as::

        training.learning_rate: {low: 0.0001, high: 0.01, log: true}
        model.hidden_size: {type: int, low: 64, high: 512, step: 64}
        training.optimizer: {choices: [adam, adamw]}
    """
    try:
        values = read_yaml(path.read_text(encoding="utf-8"))
        space = TypeAdapter(dict[str, Parameter]).validate_python(values)
    except ValidationError as error:
        raise ConfigError(f"{path}: {describe_misfits(error)}", hint="See `eri search --help` for the form.") from error
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise ConfigError(f"{path}: cannot be read as YAML: {error}") from error
    if not space:
        raise ConfigError(f"{path}: names no setting to search")
    return space


def configured(config: ExperimentConfig, values: Mapping[str, Value]) -> ExperimentConfig:
    """Return a config with other values of some dotted settings; a :class:`ConfigError` where that cannot be.

    Examples:
        >>> from eri.config import load_config
        >>> configured(load_config("yap-csm-v4"), {"training.epochs": 3}).training.epochs
        3
    """
    nested = config.model_dump(mode="json")
    for key, value in values.items():
        *parents, last = key.split(".")
        node = nested
        for parent in parents:
            child = node.get(parent)
            if child is None and parent in node:  # a section that is switched off
                child = node[parent] = {}
            if not isinstance(child, dict):
                raise ConfigError(f"setting '{key}': the config has no section '{parent}'")
            node = child
        node[last] = value
    return parse_config(nested, origin=f"{config.name} with {', '.join(values)}")


def refuse_misfits(config: ExperimentConfig, space: Space) -> None:
    """Refuse, by name, an end of an interval or a choice that cannot stand in the config."""
    for key, parameter in space.items():
        for value in parameter.ends:
            try:
                configured(config, {key: value})
            except ConfigError as error:
                raise ConfigError(
                    f"search space: '{key}' cannot be {value!r}: {error.message}", hint=error.hint
                ) from error
