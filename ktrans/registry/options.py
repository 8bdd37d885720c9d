"""Describes the options of a model for people: names, types, defaults and examples."""

from __future__ import annotations

import datetime as dt
import json
import types
from typing import Any, Literal, Union, get_args, get_origin

import msgspec
from pydantic import AwareDatetime, BaseModel, SecretStr
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from ktrans.api.config import ComponentConfig
from ktrans.api.spec import Kind
from ktrans.kit.units import Unit
from ktrans.registry.values import MASK

_TYPE_NAMES: dict[Any, str] = {
    str: "text",
    int: "integer",
    float: "number",
    bool: "true/false",
    SecretStr: "secret",
    dt.datetime: "date and time",
    AwareDatetime: "date and time",
    dt.date: "date",
}
_NO_TEXTS = {"true", "false", "yes", "no", "on", "off", "y", "n", "null"}
"""What YAML, in one of its versions, reads as something else than text."""


class Option(msgspec.Struct, frozen=True):
    """One option of a component or section."""

    name: str
    type: str
    required: bool
    default: Any
    description: str
    examples: list[Any]


def list_options(model: type[BaseModel], nested: dict[str, Kind] | None = None) -> list[Option]:
    """List a model's options, required ones first, without `type`.

    `nested` has the options that hold a component, and its kind.
    """
    found = []
    for name, info in model.model_fields.items():
        if name == "type":
            continue
        kind, unit = (nested or {}).get(name), unit_of(info)
        default = None
        if info.default_factory is not None:
            default = info.get_default(call_default_factory=True, validated_data={})
        elif info.default is not PydanticUndefined:
            default = info.default
        found.append(
            Option(
                info.alias or name,
                kind or (unit.name if unit else type_name(info.annotation)),
                info.is_required(),
                plain_value(default, unit),
                info.description or "",
                [plain_value(example, unit) for example in info.examples or ()],
            )
        )
    return sorted(found, key=lambda option: not option.required)


def example_of(model: type[ComponentConfig]) -> dict[str, Any]:
    """Return a short example of a component: its `type`, its `example`, and all required options."""
    options = {option.name: option for option in list_options(model)}
    needed = {name: option.examples[0] for name, option in options.items() if option.required}
    return {"type": model.model_fields["type"].default, **needed, **model.example}


def unit_of(info: FieldInfo) -> Unit | None:
    """Return the unit that an option's number is in, if it has one."""
    parts = [*info.metadata, *_metadata(info.annotation)]
    return next((part for part in parts if isinstance(part, Unit)), None)


def _metadata(annotation: Any) -> list[Any]:
    inner = [part for arg in get_args(annotation) for part in _metadata(arg)]
    return [*getattr(annotation, "__metadata__", ()), *inner]


def type_name(annotation: Any) -> str:  # noqa: PLR0911 - one return a case reads best
    """Return the name of a type in the words of a YAML author."""
    origin, args = get_origin(annotation), get_args(annotation)
    if annotation is None or annotation is types.NoneType:
        return "nothing"
    if origin is Literal:
        return " or ".join(f"`{arg}`" for arg in args)
    if origin in {Union, types.UnionType}:
        parts = [type_name(arg) for arg in args if arg is not types.NoneType]
        return " or ".join(dict.fromkeys(parts))
    if origin in {list, tuple, set, frozenset}:
        inner = [type_name(arg) for arg in args if arg is not Ellipsis]
        return f"list of {' and '.join(dict.fromkeys(inner))}" if inner else "list"
    if origin is dict:
        return f"mapping of {type_name(args[0])} to {type_name(args[1])}"
    if hasattr(annotation, "__metadata__"):
        return type_name(args[0])
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return "mapping"
    return _TYPE_NAMES.get(annotation, getattr(annotation, "__name__", str(annotation)).lower())


def plain_value(value: Any, unit: Unit | None = None) -> Any:
    """Return a default or example as plain data; numbers with a unit become texts."""
    if unit and isinstance(value, int | float):
        return unit.format(value)
    if isinstance(value, SecretStr):
        return MASK
    if isinstance(value, BaseModel):
        return {name: plain_value(getattr(value, name)) for name in type(value).model_fields}
    if isinstance(value, dict):
        return {str(key): plain_value(item) for key, item in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [plain_value(item) for item in value]
    return value if value is None or isinstance(value, bool | int | float | str) else str(value)


def yaml_text(value: object) -> str:
    """Return plain data as YAML on one line: as JSON, but plain words without quotes."""
    if isinstance(value, str):
        word = value.replace("-", "").replace("_", "")
        plain = word.isalnum() and value[0].isalpha() and value.lower() not in _NO_TEXTS
        return value if plain else json.dumps(value, ensure_ascii=False)
    if isinstance(value, dict):
        return "{" + ", ".join(f"{key}: {yaml_text(item)}" for key, item in value.items()) + "}"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(map(yaml_text, value)) + "]"
    return json.dumps(value)
