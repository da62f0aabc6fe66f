"""What sections of a config are made of: frozen models that refuse unknown keys, and sections that are one of many.

Which class a section of many has is looked up by its ``extractor`` or ``name`` when it is validated, so that plugins
can register theirs at any time.
"""

from __future__ import annotations

import importlib
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Generic, Literal, TypeVar, get_args, get_origin

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    GetCoreSchemaHandler,
    GetJsonSchemaHandler,
    ValidationError,
    create_model,
    model_validator,
)
from pydantic_core import CoreSchema, InitErrorDetails, PydanticCustomError, core_schema

from eri.utils.errors import PluginError
from eri.utils.registry import Registry
from eri.utils.spelling import did_you_mean


class Strict(BaseModel):
    """A frozen model that refuses unknown keys, with a guess at what was meant.

    Examples:
        >>> class Sizes(Strict):
        ...     hidden_size: int = 8
        >>> Sizes(hiden_size=3)
        Traceback (most recent call last):
        pydantic_core._pydantic_core.ValidationError: 1 validation error for Sizes
        hiden_size
          no such setting (did you mean 'hidden_size'?)...
    """

    model_config = ConfigDict(extra="forbid", frozen=True, validate_default=True)

    @classmethod
    def explain_unknown(cls, key: str) -> str:
        """Return what is wrong with a key that the section does not have."""
        guess = did_you_mean(key, cls.model_fields)
        return f"no such setting{guess}" if guess else f"no such setting; there are {', '.join(cls.model_fields)}"

    @model_validator(mode="wrap")
    @classmethod
    def _explain(cls, values: Any, handler: Callable[[Any], Any]) -> Any:
        try:
            return handler(values)
        except ValidationError as error:
            found = error.errors(include_url=False)
            if not any(_unknown_here(item) for item in found):
                raise
            raise ValidationError.from_exception_data(cls.__name__, [cls._line(item) for item in found]) from None

    @classmethod
    def _line(cls, item: Mapping[str, Any]) -> InitErrorDetails:
        kind: Any = item["type"]
        if _unknown_here(item):
            kind = _said("unknown_setting", cls.explain_unknown(str(item["loc"][0])))
        elif kind in _OWN_ERRORS:
            kind = _said(kind, item["msg"])
        return InitErrorDetails(type=kind, loc=item["loc"], input=item["input"], ctx=item.get("ctx", {}))


_create_model: Callable[..., Any] = create_model  # whose overloads know no bases that are not known before
_OWN_ERRORS = frozenset(("unknown_setting", "unknown_name"))


def _unknown_here(item: Mapping[str, Any]) -> bool:
    return item["type"] == "extra_forbidden" and len(item["loc"]) == 1


def _said(kind: str, message: str) -> PydanticCustomError:
    return PydanticCustomError(kind, "{message}", {"message": message})


def refusal(section: type[Strict], key: str, message: str, value: Any) -> ValidationError:
    """Return the error that a validator of a section raises to refuse one of its keys."""
    line = InitErrorDetails(type=_said("unknown_setting", message), loc=(key,), input=value)
    return ValidationError.from_exception_data(section.__name__, [line])


Section = TypeVar("Section", bound=Strict)


@dataclass(frozen=True)
class OneOf(Generic[Section]):
    """Marks a field whose class is chosen when it is validated.

    Attributes:
        base: What every choice is derived from; an object of it is taken as it is.
        choose: From the section as it was given and the fields before it, its class.
        options: The classes there are at the moment, for the JSON schema.
    """

    base: type[Section]
    choose: Callable[[Mapping[str, Any], Mapping[str, Any]], type[Section]]
    options: Callable[[], Iterable[type[Section]]]

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.with_info_plain_validator_function(
            self._validate, serialization=core_schema.simple_ser_schema("any")
        )

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        return handler(core_schema.union_schema([option.__pydantic_core_schema__ for option in self.options()]))

    def _validate(self, value: Any, info: core_schema.ValidationInfo) -> Section:
        if isinstance(value, self.base):
            return value
        if not isinstance(value, Mapping):
            raise PydanticCustomError("section", "a section of settings is expected here, such as {{name: value}}")
        return self.choose(value, info.data or {}).model_validate(value)


def by_name(
    registry: Registry[type[Section]],
    base: type[Section],
    key: str,
    fits: Callable[[type[Section]], bool] = lambda _: True,
    default: str | None = None,
    other: type[Section] | None = None,
) -> OneOf[Section]:
    """Return the mark of a field whose class is registered under the name that a key of it gives.

    Args:
        registry: The classes by name.
        base: What all of them are derived from.
        key: The key of the section that holds the name.
        fits: Which classes may be used there.
        default: The name where the key is left out; None where it must be given.
        other: The class of names that nothing is registered under.
    """

    def choose(values: Mapping[str, Any], _: Mapping[str, Any]) -> type[Section]:
        name = values.get(key, default)
        if name is None:
            raise PydanticCustomError("unknown_name", "{key} must say which", {"key": key})
        found = registry.get(str(name), other)
        if found is None:
            raise _said("unknown_name", registry.unknown(str(name)))
        if not fits(found):
            fitting = ", ".join(known for known in registry if fits(registry[known]))
            raise _said("unknown_name", f"the {registry.kind} '{name}' cannot stand here; those that can: {fitting}")
        return found

    return OneOf(base, choose, lambda: [found for found in registry.values() if fits(found)])


def register_section(registry: Registry[type[Section]], section: type[Section], key: str, name: str = "") -> None:
    """Put a section's class into its registry.

    Args:
        registry: The classes by name.
        section: One more; without ``name``, the default of its ``key`` is its one and only name.
        key: The key that holds the name.
        name: To register it under, where its key takes many.

    Raises:
        PluginError: The name is taken, is not the one that the key has, or the class has no JSON schema.
    """
    where = f"{section.__module__}: {section.__qualname__}"
    field = section.model_fields.get(key)
    if not name:
        names = () if field is None or get_origin(field.annotation) is not Literal else get_args(field.annotation)
        if field is None or field.default not in names:
            raise PluginError(
                f"{where}: has no name", hint=f'Give it one by the line: {key}: Literal["my-name"] = "my-name"'
            )
        name = field.default
    if not section.__module__.startswith("eri."):
        try:
            section.model_json_schema()
        except Exception as error:  # of what a stranger's annotations make
            raise PluginError(f"{where}: its settings have no schema: {error}") from error
    registry.register(name, section, section.__module__)


def make_section(
    registry: Registry[Any],
    base: type[Section],
    key: str,
    name: str,
    module: str,
    settings: type[BaseModel] | None = None,
    **fields: Any,
) -> type[Section]:
    """Make the class of a section from a name and, where there are any, the settings of its own.

    Args:
        registry: Where it will be registered, for what is read in other processes.
        base: What it is derived from.
        key: The key that holds the name.
        name: The name.
        module: The module that registers it.
        settings: A pydantic class whose fields become settings of the section.
        fields: Settings that get another default.

    Raises:
        PluginError: The settings are no pydantic class, have a key that every such section has, or no schema.
    """
    if settings is not None and not (isinstance(settings, type) and issubclass(settings, BaseModel)):
        raise PluginError(f"{module}: the settings of the {registry.kind} '{name}' are no pydantic class")
    taken = set() if settings is None else settings.model_fields.keys() & (base.model_fields.keys() | {key})
    if taken:
        raise PluginError(
            f"{module}: the {registry.kind} '{name}' has settings that every one has: {', '.join(sorted(taken))}",
            hint="Call them otherwise.",
        )
    bases = (base,) if settings is None else (base, settings)
    title = "".join(part.capitalize() for part in re.split(r"[-_.]", name)) + "Config"
    given: dict[str, Any] = {key: (Literal[name], name)}
    for field, value in fields.items():
        known = base.model_fields[field]
        given[field] = (Annotated[known.annotation, *known.metadata], Field(value, description=known.description))
    try:
        made = _create_model(title, __base__=bases, __module__=module, **given)
    except Exception as error:  # of what a stranger's annotations make
        raise PluginError(f"{module}: the settings of the {registry.kind} '{name}' have no schema: {error}") from error

    def reduce(section: Strict) -> tuple[Any, ...]:
        return _restore, (module, registry.kind, name, section.model_dump())

    _MADE[registry.kind, module, name] = made
    made.__reduce__ = reduce
    section: type[Section] = made
    return section


_MADE: dict[tuple[str, str, str], type[Strict]] = {}
"""Classes that no module holds under their own name, for sections that come from another process."""


def _restore(module: str, kind: str, name: str, values: dict[str, Any]) -> Strict:
    importlib.import_module(module)
    return _MADE[kind, module, name].model_validate(values)
