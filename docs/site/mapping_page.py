"""The page of the fields that each flow column is read from, and of the attributes it is written to.

The fields of logs come from the decoders' own tables: a `MAPPING` of flow columns to descriptions of
fields in the decoder's module, the `dialect` of its class (text logs), or the `table` of its class
or the `TABLE` of its module (JSON logs). The fields of targets come from `ktrans.flow.target_schemas`.
"""

from __future__ import annotations

import importlib
from collections.abc import Iterable, Iterator
from functools import reduce
from typing import TYPE_CHECKING, Any

from ktrans.registry.builtin import DECODERS

if TYPE_CHECKING:
    from ktrans.flow.target_schemas.attribute import Attribute


def native_fields() -> dict[str, dict[str, str]]:
    """Return descriptions of the fields of each flow column, by decoder.

    Decoders without tables, such as `auto`, are omitted.
    """
    found = {}
    for spec in DECODERS:
        module, _, name = spec.build.partition(":")
        loaded = importlib.import_module(module)
        fields = _fields_of(loaded, reduce(getattr, name.split("."), loaded))
        if fields:
            found[spec.type] = fields
    return found


def _fields_of(module: Any, decoder: Any) -> dict[str, str]:
    mapping = getattr(module, "MAPPING", None)
    if mapping is not None:
        return dict(mapping)
    if (dialect := getattr(decoder, "dialect", None)) is not None:
        return _joined(_from_dialect(dialect))
    if (table := getattr(decoder, "table", None) or getattr(module, "TABLE", None)) is not None:
        return _joined(_from_table(table))
    return {}


def _from_dialect(dialect: Any) -> Iterator[tuple[str, str]]:
    yield "provider", f"always {dialect.provider}"
    yield "log_type", f"always {dialect.log_type}"
    for field in dialect.fields:
        for column in (field.column or "attrs", *field.also):
            yield column, f"`{field.name}`"


def _from_table(table: Any) -> Iterator[tuple[str, str]]:
    for column, text in table.constants.items():
        yield column, f"always {text}"
    for field in table.columns:
        for path in field.paths:
            yield field.column, f"`{'.'.join(path)}`"
    for path, columns in table.reads.items():
        for column in columns:
            yield column, f"`{'.'.join(path)}`"
    if table.rest:
        yield "attrs", "all other values"


def _joined(pairs: Iterable[tuple[str, str]]) -> dict[str, str]:
    words: dict[str, list[str]] = {}
    for column, text in pairs:
        words.setdefault(column, [])
        if text not in words[column]:
            words[column].append(text)
    return {column: ", ".join(texts) for column, texts in words.items()}


def mapping_page() -> str:
    """Write the page, as Markdown."""
    return "\n".join(_page()).rstrip() + "\n"


def _page() -> Iterator[str]:
    from ktrans.flow.schema import COLUMNS
    from ktrans.flow.target_schemas import attributes_from

    natives = native_fields()
    yield "# Where each value comes from and where it goes"
    yield ""
    yield "Written by `make docs` from the decoders' tables and from"
    yield "`ktrans/flow/target_schemas/`. `from` is the field of the native log, by decoder; `to` is the"
    yield "attribute that `to_ocsf` (class 4001), `to_ecs`, `to_otel` and `to_kentik` write."
    for column in COLUMNS:
        yield ""
        yield f"## `{column.name}`"
        yield ""
        yield f"{column.description} ({column.unit})."
        yield ""
        yield "| | Field | |"
        yield "|---|---|---|"
        for decoder, fields in natives.items():
            if column.name in fields:
                yield f"| from {decoder} | {_cell(fields[column.name])} | |"
        for target, attributes in attributes_from(column.name).items():
            for each in attributes:
                yield f"| to {target} | `{_cell(shown_path(target, each))}` | {_cell(each.note)} |"


def shown_path(target: str, attribute: Attribute) -> str:
    """Return the path of an attribute, for OpenTelemetry without the struct that contains it."""
    if target == "OpenTelemetry" and len(attribute.path) > 1:
        return attribute.path[-1]
    return attribute.name


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")
