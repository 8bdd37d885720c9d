"""The JSON Schema of what is not whole: profiles, and pipelines that include the rest."""

from __future__ import annotations

import copy
from typing import Any

from ktrans.api.spec import KINDS

Json = dict[str, Any]

PATHS: Json = {
    "anyOf": [
        {"type": "string", "minLength": 1},
        {"type": "array", "items": {"type": "string", "minLength": 1}},
    ]
}
INCLUDE_ITEM: Json = {
    "type": "object",
    "description": "A file that holds a list; its items stand here.",
    "properties": {"include": PATHS},
    "required": ["include"],
    "additionalProperties": False,
}
WHOLE_LISTS = ("enrichers", "sinks", "tests")
"""These are replaced whole, so their items are whole too."""


def with_pieces(sections: Json, definitions: Json) -> Json:
    """Give the part of a pipeline's schema that says which sections it has.

    A pipeline that stands on its own is checked strictly. One that includes files, or has a profile
    laid over it always, may leave anything to them, and so may a profile.

    Args:
        sections: the schema of each section.
        definitions: of the components; `part.KIND` is added for each kind that is a section.
    """
    for kind in (*KINDS, "rejects"):
        definitions[f"part.{kind}"] = _part(kind, definitions)
    own = {"profiles", "default_profile"}
    part = {name: _loose(name, schema) for name, schema in sections.items() if name not in own}
    definitions["profile"] = {
        "type": "object",
        "properties": part,
        "patternProperties": {"^x-": {}},
        "additionalProperties": False,
    }
    return {
        "properties": dict.fromkeys(sections, True),
        "patternProperties": {"^x-": {}},
        "additionalProperties": False,
        "if": {"anyOf": [{"required": ["include"]}, {"required": ["default_profile"]}]},
        "then": {"properties": {**part, **{name: sections[name] for name in own}}},
        "else": {"properties": sections, "required": ["source", "sinks"]},
    }


def profiles() -> Json:
    """Give the schema of the section `profiles`."""
    overlay = {"anyOf": [{"$ref": "#/$defs/profile"}, {"type": "null"}]}
    return {"type": "object", "propertyNames": {"minLength": 1}, "additionalProperties": overlay}


def spliced(item: Json) -> Json:
    """Let an item of a list be an `include` too."""
    return {"anyOf": [item, INCLUDE_ITEM]}


def _part(kind: str, definitions: Json) -> Json:
    """Give a component of which any option may be missing: those of all types of its kind."""
    options: dict[str, list[Json]] = {}
    for name, definition in definitions.items():
        group, _, rest = name.partition(".")
        if (
            group != kind
            or "properties" not in definition
            or "type" not in definition["properties"]
        ):
            continue
        if "const" not in definition["properties"]["type"] or not rest:
            continue
        for option, schema in definition["properties"].items():
            known = options.setdefault(option, [])
            if schema not in known:
                known.append(schema)
    merged = {
        option: known[0] if len(known) == 1 else {"anyOf": known}
        for option, known in options.items()
    }
    return {"type": "object", "properties": merged, "additionalProperties": False}


def _loose(name: str, schema: Json) -> Json:
    if name in WHOLE_LISTS:
        loose = copy.deepcopy(schema)
        loose.pop("minItems", None)
        return loose
    kinds = {*KINDS, "rejects"}
    if name in kinds:
        about = {"description": schema["description"]} if "description" in schema else {}
        return {**about, "anyOf": [{"$ref": f"#/$defs/part.{name}"}, {"type": "null"}]}
    return schema
