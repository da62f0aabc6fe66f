"""What sections of a config are made of: frozen models that refuse unknown keys, and sections that are one of many.

Which class a section of many has is looked up when it is validated, so that plugins can register theirs at any time.
"""

from __future__ import annotations

import importlib
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Generic, Literal, Self, TypeAlias, TypeVar, get_args

from pydantic import BaseModel, ConfigDict, Field, ValidationError, create_model, model_validator
from pydantic_core import CoreSchema, InitErrorDetails, PydanticCustomError, core_schema

from eri.utils.errors import PluginError
from eri.utils.registry import Registry
from eri.utils.spelling import did_you_mean

Misfits: TypeAlias = Iterator[tuple[object, str]]


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
            lines = []
            for item in error.errors(include_url=False):
                kind, message = item["type"], item["msg"]
                if kind == "extra_forbidden" and len(item["loc"]) == 1:
                    kind, message = "unknown_setting", cls.explain_unknown(str(item["loc"][0]))
                lines.append(InitErrorDetails(type=_said(kind, message), loc=item["loc"], input=item["input"]))
            raise ValidationError.from_exception_data(cls.__name__, lines) from None

    def _misfits(self) -> Misfits:
        """Yield contradictions among the settings: whether each is there, and what to say of it, with the way out."""
        yield from ()

    @model_validator(mode="after")
    def _refuse_misfits(self) -> Self:
        for found, message in self._misfits():
            if found:
                raise ValueError(message)
        return self


_create_model: Callable[..., Any] = create_model  # whose overloads know no bases that are not known before


def _said(kind: Any, message: str) -> PydanticCustomError:
    return PydanticCustomError(kind, "{message}", {"message": message})


def refusal(section: type[Strict], key: str, message: str, value: Any) -> ValidationError:
    """Return the error that a validator of a section raises to refuse one of its keys."""
    line = InitErrorDetails(type=_said("unknown_setting", message), loc=(key,), input=value)
    return ValidationError.from_exception_data(section.__name__, [line])


Section = TypeVar("Section", bound=Strict)
Registered = TypeVar("Registered", bound=Strict)


@dataclass(frozen=True)
class OneOf(Generic[Section]):
    """Marks a field whose class is chosen when it is validated; an object of the base is taken as it is.

    ``choose`` gets the section as it was given and the fields before it; ``options`` are the classes that there are at
    the moment, for the JSON schema.
    """

    base: type[Section]
    choose: Callable[[Mapping[str, Any], Mapping[str, Any]], type[Section]]
    options: Callable[[], Iterable[type[Section]]]

    def __get_pydantic_core_schema__(self, source: Any, handler: Any) -> CoreSchema:
        return core_schema.with_info_plain_validator_function(
            self._validate, serialization=core_schema.simple_ser_schema("any")
        )

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: Callable[[Any], Any]) -> Any:
        return handler(core_schema.union_schema([option.__pydantic_core_schema__ for option in self.options()]))

    def _validate(self, value: Any, info: core_schema.ValidationInfo) -> Section:
        if isinstance(value, self.base):
            return value
        if not isinstance(value, Mapping):
            raise PydanticCustomError("section", "a section of settings is expected here, such as {{name: value}}")
        return self.choose(value, info.data or {}).model_validate(value)


class Sections(Registry[type[Section]], Generic[Section]):
    """The classes of a kind of section by the name that one of its keys holds."""

    def __init__(self, kind: str, key: str) -> None:
        super().__init__(kind)
        self.key = key

    def section(self, section: type[Registered], name: str = "") -> type[Registered]:
        """Register the class of a section, whose implementation follows: a class decorator.

        Its name is the default of its key; another one is for a class whose key takes many.

        Raises:
            PluginError: The name is taken, is not the one that the key has, or the class has no JSON schema.
        """
        where, field = f"{section.__module__}: {section.__qualname__}", section.model_fields.get(self.key)
        if not name:
            if field is None or field.default not in get_args(field.annotation):
                hint = f'Give it one by the line: {self.key}: Literal["my-name"] = "my-name"'
                raise PluginError(f"{where}: has no name", hint=hint)
            name = field.default
        if not section.__module__.startswith("eri."):
            try:
                section.model_json_schema()
            except Exception as error:  # of what a stranger's annotations make
                raise PluginError(f"{where}: its settings have no schema: {error}") from error
        self.register(name, section, section.__module__)  # type: ignore[arg-type]
        return section

    def one_of(
        self,
        base: type[Section],
        fits: Callable[[type[Section]], bool],
        default: str | None = None,
        other: type[Section] | None = None,
    ) -> OneOf[Section]:
        """Return the mark of a field whose class is registered under the name that its key gives, and fits there.

        ``default`` is the name where the key is left out, ``other`` the class of names that are not registered.
        """

        def choose(values: Mapping[str, Any], _: Mapping[str, Any]) -> type[Section]:
            name = values.get(self.key, default)
            if name is None:
                raise PydanticCustomError("unknown_name", "{key} must say which", {"key": self.key})
            found = self.get(str(name), other)
            if found is None:
                raise _said("unknown_name", self.unknown(str(name)))
            if not fits(found):
                fitting = ", ".join(known for known in self if fits(self[known]))
                raise _said("unknown_name", f"the {self.kind} '{name}' cannot stand here; those that can: {fitting}")
            return found

        return OneOf(base, choose, lambda: filter(fits, self.values()))

    def make(
        self, base: type[Section], name: str, module: str, settings: type[BaseModel] | None = None, **defaults: Any
    ) -> type[Section]:
        """Make the class of a section, derived from a base and, where there are any, a plugin's class of settings.

        ``defaults`` are other ones of settings of the base. Processes that are sent a section import ``module``, which
        registers it. A :class:`PluginError` says what is wrong with the settings.
        """
        if settings is not None and not (isinstance(settings, type) and issubclass(settings, BaseModel)):
            raise PluginError(f"{module}: the settings of the {self.kind} '{name}' are no pydantic class")
        taken = set() if settings is None else settings.model_fields.keys() & (base.model_fields.keys() | {self.key})
        if taken:
            raise PluginError(
                f"{module}: the {self.kind} '{name}' has settings that every one has: {', '.join(sorted(taken))}",
                hint="Call them otherwise.",
            )
        title = "".join(part.capitalize() for part in re.split(r"[-_.]", name)) + "Config"
        given: dict[str, Any] = {self.key: (Literal[name], name)}
        for field, value in defaults.items():
            known = base.model_fields[field]
            kind = Annotated[known.annotation, *known.metadata] if known.metadata else known.annotation
            given[field] = (kind, Field(value, description=known.description))
        try:
            bases = (base,) if settings is None else (base, settings)
            made = _create_model(title, __base__=bases, __module__=module, **given)
        except Exception as error:  # of what a stranger's annotations make
            raise PluginError(f"{module}: the settings of the {self.kind} '{name}' have no schema: {error}") from error
        _MADE[self.kind, module, name] = made
        made.__reduce__ = lambda section: (_restore, (module, self.kind, name, section.model_dump()))
        section: type[Section] = made
        return section


_MADE: dict[tuple[str, str, str], type[Strict]] = {}
"""Classes that no module holds under their own name, for sections that come from another process."""


def _restore(module: str, kind: str, name: str, values: dict[str, Any]) -> Strict:
    importlib.import_module(module)
    return _MADE[kind, module, name].model_validate(values)
