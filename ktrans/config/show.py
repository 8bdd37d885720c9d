"""Shows a loaded pipeline with its defaults, and with secrets masked."""

from __future__ import annotations

import re
from io import StringIO
from typing import Any

from pydantic import BaseModel, SecretBytes, SecretStr
from ruamel.yaml import YAML

from ktrans.config.draft import LoadedFile
from ktrans.config.yaml_document import Document, Text
from ktrans.config.yaml_read import NodeReader
from ktrans.kit.units import Unit
from ktrans.registry.options import unit_of
from ktrans.registry.values import MASK, Resolved

WIDE = 1 << 20
"""The width at which no line is wrapped."""

_URL_PASSWORD = re.compile(r"(?<=://)([^\s/:@]*):([^\s/@]+)@")


def shown_tree(loaded: LoadedFile) -> dict[str, Any]:
    """Return the pipeline as plain data that is safe to show.

    Secrets are masked. Values of `${file:...}` and of plugins are shown as references; values of
    environment variables are shown, unless the option is a secret.
    """
    pipeline, tree = loaded.pipeline, loaded.tree
    sinks = []
    for at, entry in enumerate(pipeline.sinks):
        item: dict[str, Any] = {"id": entry.id}
        if entry.where is not None:
            item["where"] = entry.where
        if entry.columns is not None:
            item["columns"] = list(entry.columns)
        sinks.append({**item, **_shown(entry.config, _at(tree, "sinks", at))})
    rejects = _shown(pipeline.rejects.config, _at(tree, "rejects"))
    expect = {}
    if pipeline.violations is not None:
        entry = pipeline.violations
        sink = _shown(entry.config, _at(tree, "violations"))
        columns = {"columns": list(entry.columns)} if entry.columns is not None else {}
        rules = [rule.model_dump(exclude_none=True) for rule in pipeline.expect]
        expect = {"expect": rules, "violations": {**columns, **sink}}
    return {
        "version": 1,
        "name": pipeline.name,
        "source": _shown(pipeline.source, _at(tree, "source")),
        "decoder": _shown(pipeline.decoder, _at(tree, "decoder")),
        "enrichers": [
            _shown(config, _at(tree, "enrichers", at))
            for at, config in enumerate(pipeline.enrichers)
        ],
        "sinks": sinks,
        "rejects": {**rejects, "limit": _shown(pipeline.rejects.limit, None)},
        **expect,
        "state": _shown(pipeline.state, _at(tree, "state")),
        "limits": _shown(pipeline.limits, _at(tree, "limits")),
        "engine": _shown(pipeline.engine, _at(tree, "engine")),
    }


def as_yaml(tree: dict[str, Any], *, width: int = 100) -> str:
    """Return a tree as YAML, with keys in their order."""
    yaml = YAML(typ="safe", pure=True)
    yaml.default_flow_style = False
    yaml.sort_base_mapping_type_on_output = False  # type: ignore[assignment]
    yaml.width = width
    text = StringIO()
    yaml.dump(tree, text)
    return text.getvalue()


def with_origins(tree: dict[str, Any], loaded: LoadedFile) -> str:
    """Return a shown tree as YAML, with a comment on the origin of each value.

    The text is parsed again to find the lines of its values; only single-line values are commented.
    """
    text = as_yaml(tree, width=WIDE)
    shown = Document(Text("", text.splitlines()))
    node = YAML(typ="safe", pure=True).compose(text)
    NodeReader(shown).read(node)
    lines = list(shown.text.lines)
    for path, place in shown.places.items():
        if place.key is None and isinstance(_at(shown.tree, *path), dict | list):
            continue  # an item that begins on the line of its first key
        whole = isinstance(_at(shown.tree, *path), dict | list)
        line = place.value[0] if place.key is None else place.key[0]
        if whole and line == place.value[0] and _at(shown.tree, *path):
            continue
        origin = loaded.document.places.get(path)
        if origin is None and whole and _at(shown.tree, *path):
            continue
        told = "default" if origin is None else f"{origin.text.file}:{origin.value[0] + 1}"
        lines[line] = f"{lines[line]}  # {told}"
    return "\n".join(lines) + "\n"


def _shown(  # noqa: PLR0911 - one return a case reads best
    value: Any, raw: Any, unit: Unit | None = None
) -> Any:
    if isinstance(value, SecretStr | SecretBytes):
        return MASK
    if isinstance(raw, Resolved) and not raw.from_env:
        return raw.reference
    if unit and isinstance(value, int | float):
        return unit.format(value)
    if isinstance(value, BaseModel):
        fields = type(value).model_fields
        shown = {
            info.alias or name: _shown(
                getattr(value, name), _at(raw, info.alias or name), unit_of(info)
            )
            for name, info in fields.items()
        }
        return {"type": shown.pop("type"), **shown} if "type" in shown else shown
    if isinstance(value, dict):
        return {str(key): _shown(item, _at(raw, str(key))) for key, item in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [_shown(item, _at(raw, at)) for at, item in enumerate(value)]
    if isinstance(value, str):
        return _URL_PASSWORD.sub(rf"\1:{MASK}@", value)
    return value if value is None or isinstance(value, bool | int | float) else str(value)


def _at(raw: Any, *path: str | int) -> Any:
    """Return the value at a path of the raw tree; None if the path does not exist."""
    for part in path:
        if isinstance(raw, dict):
            raw = raw.get(part)
        elif isinstance(raw, list) and isinstance(part, int) and part < len(raw):
            raw = raw[part]
        else:
            return None
    return raw
