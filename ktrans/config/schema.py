"""The JSON Schema of pipeline files with the installed plugins, for editors.

Only keywords of draft 7 are used, which YAML language servers support. Any value may also be a text
with a reference: `"${env:PORT}"`.
"""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel

from ktrans.api import KtransError
from ktrans.api.spec import KINDS, Kind
from ktrans.config.model import (
    DEFAULT_STATE,
    NAME,
    REJECTS_KEYS,
    SECTIONS,
    SINK_KEYS,
    VERSION,
    VIOLATIONS_KEYS,
)
from ktrans.config.settings import Case, EngineSettings, LimitSettings, RejectLimit, Rule
from ktrans.registry.options import plain_value, unit_of

if TYPE_CHECKING:
    from ktrans.api.config import ComponentConfig
    from ktrans.api.spec import Spec
    from ktrans.registry.catalogue import Catalogue

Json = dict[str, Any]

REFERENCE = r"\$\{.+\}"
_TEXTLESS = {"integer", "number", "boolean", "null"}
_NEVER_EMPTY = {"source", "sinks", "include", "version"}
_DROPPED = ("title", "discriminator")
PATHS: Json = {
    "anyOf": [
        {"type": "string", "minLength": 1},
        {"type": "array", "items": {"type": "string", "minLength": 1}},
    ]
}
INCLUDE_ITEM: Json = {
    "type": "object",
    "description": "A file with a list, whose items are inserted here.",
    "properties": {"include": PATHS},
    "required": ["include"],
    "additionalProperties": False,
}
WHOLE_LISTS = ("enrichers", "sinks", "tests", "expect")
"""Lists that a profile replaces as a whole, so their items must be complete."""


def pipeline_schema(catalogue: Catalogue) -> Json:
    """Return the schema; components of broken plugins are skipped."""
    definitions: Json = {}
    for kind in KINDS:
        names = [
            spec.type for spec in catalogue.specs(kind) if _define(catalogue, spec, definitions)
        ]
        definitions[kind] = _one_of(f"{kind}.{name}" for name in names)
        if kind == "sink":
            extras = {
                "sinks_item": _sink_keys(),
                "rejects": _rejects_keys(definitions),
                "violations": {"columns": _columns(VIOLATIONS_KEYS["columns"])},
            }
            for group, keys in extras.items():
                for name in names:
                    definitions[f"{group}.{name}"] = _with(definitions[f"sink.{name}"], keys)
                definitions[group] = _one_of(f"{group}.{name}" for name in names)
    definitions[f"state.{DEFAULT_STATE}"]["required"].remove("type")
    sections: Json = {
        "version": {"const": VERSION},
        "name": _name(),
        "source": _ref("source"),
        "decoder": _ref("decoder"),
        "enrichers": {"type": "array", "items": spliced(_ref("enricher"))},
        "sinks": {"type": "array", "items": spliced(_ref("sinks_item")), "minItems": 1},
        "rejects": _ref("rejects"),
        "expect": {"type": "array", "items": _model_schema(Rule, "expect", definitions)},
        "violations": _ref("violations"),
        "state": _ref("state"),
        "limits": _model_schema(LimitSettings, "limits", definitions),
        "engine": _engine(definitions),
        "tests": {"type": "array", "items": _model_schema(Case, "tests", definitions)},
        "include": PATHS,
        "profiles": profiles(),
        "default_profile": {"type": "string", "minLength": 1},
    }
    for name in sections.keys() - _NEVER_EMPTY:
        sections[name] = _or_nothing(sections[name])
    described = {name: _described(sections[name], text) for name, text in SECTIONS.items()}
    return {
        "$schema": "http://json-schema.org/draft-07/schema#",
        "title": "ktrans pipeline",
        "type": "object",
        **with_pieces(described, definitions),
        "$defs": definitions,
    }


def _engine(definitions: Json) -> Json:
    """Return the schema of the section `engine`; an executor may be named by its type alone."""
    schema = _model_schema(EngineSettings, "engine", definitions, EngineSettings.nested)
    named = {"anyOf": [{"type": "string", "minLength": 1}, _ref("executor")]}
    schema["properties"]["executor"] |= named
    schema["properties"]["executor"].pop("allOf", None)
    return schema


def _define(catalogue: Catalogue, spec: Spec, definitions: Json) -> bool:
    try:
        model: type[ComponentConfig] = catalogue.model(spec.kind, spec.type)
    except KtransError:
        return False
    name = f"{spec.kind}.{spec.type}"
    schema = _model_schema(model, name, definitions, model.nested)
    schema["properties"]["type"] = {"const": spec.type, "description": spec.summary}
    schema["required"] = sorted({"type", *schema.get("required", [])})
    definitions[name] = {"description": spec.summary, **schema}
    return True


def _model_schema(
    model: type[BaseModel], name: str, definitions: Json, nested: dict[str, Kind] | None = None
) -> Json:
    """Return the schema of a model, and add its definitions under its name."""
    schema = model.model_json_schema(ref_template=f"#/$defs/{name}.{{model}}")
    inner = schema.pop("$defs", {})
    properties = schema.get("properties", {})
    for field, kind in (nested or {}).items():
        old = properties[field]
        optional = {"type": "null"} in old.get("anyOf", [])
        new = {"anyOf": [_ref(kind), {"type": "null"}]} if optional else _ref(kind)
        properties[field] = _described(new, old.get("description", ""))
        inner.pop("ComponentConfig", None)
    for field, info in model.model_fields.items():
        if unit := unit_of(info):
            about = properties[info.alias or field]
            if "default" in about:
                about["default"] = plain_value(about["default"], unit)
            about["examples"] = [plain_value(one, unit) for one in info.examples or ()]
    for key, value in inner.items():
        definitions[f"{name}.{key}"] = _adapted(value)
    adapted: Json = _adapted(schema)
    return adapted


def _adapted(node: Any) -> Any:
    """Convert a schema of pydantic to draft 7, and allow references as values."""
    if isinstance(node, list):
        return [_adapted(item) for item in node]
    if not isinstance(node, dict):
        return node
    result: Json = {}
    for key, value in node.items():
        if key in _DROPPED and not isinstance(value, dict):
            continue
        if key in {"examples", "default", "const", "enum", "required"}:
            result[key] = copy.deepcopy(value)
        elif key == "properties":
            result[key] = {name: _adapted(item) for name, item in value.items()}
        elif key == "prefixItems":
            result["items"] = _adapted(value)
        elif key == "items" and "prefixItems" in node:
            result["additionalItems"] = _adapted(value)
        else:
            result[key] = _adapted(value)
    return _or_reference(result)


def _or_reference(node: Json) -> Json:
    limited = node.get("type") == "string" and {"pattern", "minLength", "maxLength"} & node.keys()
    formatted = node.get("type") == "string" and "format" in node and "writeOnly" not in node
    if not (node.get("type") in _TEXTLESS - {"null"} or "enum" in node or limited or formatted):
        return node
    about: Json = {
        key: node.pop(key) for key in ("description", "examples", "default") if key in node
    }
    return {**about, "anyOf": [node, {"type": "string", "pattern": REFERENCE}]}


def _name() -> Json:
    patterns = (f"^{NAME.pattern}$", REFERENCE)
    return {"type": ["string", "null"], "anyOf": [{"pattern": one} for one in patterns]}


def _or_nothing(schema: Json) -> Json:
    """Allow a section to be empty, as if it were missing."""
    if "type" not in schema:
        return {"anyOf": [schema, {"type": "null"}]}
    if isinstance(schema["type"], str):
        schema["type"] = [schema["type"], "null"]
    return schema


def _sink_keys() -> Json:
    return {
        "id": {**_name(), "description": SINK_KEYS["id"]},
        "where": {"type": ["string", "null"], "pattern": r"\S", "description": SINK_KEYS["where"]},
        "columns": _columns(SINK_KEYS["columns"]),
    }


def _columns(text: str) -> Json:
    return {
        "type": ["array", "null"],
        "items": {"type": "string"},
        "minItems": 1,
        "uniqueItems": True,
        "description": text,
    }


def _rejects_keys(definitions: Json) -> Json:
    limit = _model_schema(RejectLimit, "rejects", definitions)
    return {"limit": _described(_or_nothing(limit), REJECTS_KEYS["limit"])}


def _with(schema: Json, keys: Json) -> Json:
    wider = copy.deepcopy(schema)
    wider["properties"] |= keys
    return wider


def _one_of(names: Any) -> Json:
    refs = [_ref(name) for name in names]
    return {"oneOf": refs} if refs else {"not": {}}  # all tables are those of plugins


def _ref(name: str) -> Json:
    return {"$ref": f"#/$defs/{name.replace('~', '~0').replace('/', '~1')}"}


def _described(schema: Json, text: str) -> Json:
    """Add a description; a `$ref` is wrapped, since draft 7 ignores keywords beside it."""
    schema.pop("description", None)
    if "$ref" in schema:
        return {"description": text, "allOf": [schema]}
    return {"description": text, **schema}


def with_pieces(sections: Json, definitions: Json) -> Json:
    """Return the part of the schema that describes the sections.

    A pipeline without includes and default profile is checked strictly. Otherwise, and in a profile,
    any option may be missing, since another file may have it.

    `part.KIND` is added to the definitions for each kind that is a section.
    """
    for kind in (*KINDS, "rejects", "violations"):
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
    """Return the schema of the section `profiles`."""
    overlay = {"anyOf": [{"$ref": "#/$defs/profile"}, {"type": "null"}]}
    return {"type": "object", "propertyNames": {"minLength": 1}, "additionalProperties": overlay}


def spliced(item: Json) -> Json:
    """Allow an `include` as an item of a list."""
    return {"anyOf": [item, INCLUDE_ITEM]}


def _part(kind: str, definitions: Json) -> Json:
    """Return a schema of the components of a kind with any of their options, none required."""
    parts = [
        {**schema, "required": []}
        for name, schema in definitions.items()
        if name.startswith(f"{kind}.") and "const" in schema.get("properties", {}).get("type", {})
    ]
    return {"anyOf": parts} if parts else {"not": {}}


def _loose(name: str, schema: Json) -> Json:
    if name in WHOLE_LISTS:
        loose = copy.deepcopy(schema)
        loose.pop("minItems", None)
        return loose
    kinds = {*KINDS, "rejects", "violations"}
    if name in kinds:
        about = {"description": schema["description"]} if "description" in schema else {}
        return {**about, "anyOf": [{"$ref": f"#/$defs/part.{name}"}, {"type": "null"}]}
    return schema
