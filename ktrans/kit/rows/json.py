"""Values of any type as JSON text (RFC 8259), by columns, nested ones included."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from ktrans.api import ConfigError, Maps
from ktrans.flow.maps import entries
from ktrans.kit.rows.pieces import Piece, concat, is_text, joined, piece, replace_chars
from ktrans.kit.rows.scalars import is_number, is_scalar, scalar_text

_compute: Any = pc

_TEXT_MAP = pa.map_(pa.string(), pa.string())
_SHORT = {"\b": "\\b", "\t": "\\t", "\n": "\\n", "\f": "\\f", "\r": "\\r"}
_ESCAPES = [
    ("\\", "\\\\"),
    ('"', '\\"'),
    *((chr(code), _SHORT.get(chr(code), f"\\u{code:04x}")) for code in range(32)),
]


def is_jsonable(kind: pa.DataType) -> bool:
    """Return whether `json_text` knows the type, with all that is nested in it."""
    if pa.types.is_dictionary(kind):
        return is_jsonable(kind.value_type)
    if pa.types.is_map(kind):
        return is_scalar(kind.key_type) and is_jsonable(kind.item_type)
    if pa.types.is_struct(kind):
        return all(is_jsonable(field.type) for field in kind)
    if _is_list(kind):
        return is_jsonable(kind.value_type)
    return is_scalar(kind)


def check_json(schema: pa.Schema) -> None:
    """Check that every column has a JSON form and a name of its own.

    Raises:
        ConfigError: a column's type has none (unions, month intervals), or names repeat.
    """
    for field in schema:
        if not is_jsonable(field.type):
            raise ConfigError(
                f"column {field.name!r} of type {field.type} has no form in JSON",
                code="type_not_supported",
                hint="leave it out with a select enricher, or write parquet or arrow",
            )
        if len(schema.get_all_field_indices(field.name)) > 1:
            raise ConfigError(
                f"two columns are named {field.name!r}, which one JSON object cannot hold",
                code="duplicate_column",
                hint="rename one of them with a select enricher",
            )


def quoted(texts: pa.Array) -> pa.Array:
    """Return texts as JSON strings; nulls stay null."""
    return concat('"', replace_chars(texts, _ESCAPES), '"')


def quoted_name(name: str) -> str:
    """Return one name as a JSON string."""
    return json.dumps(name, ensure_ascii=False)


def json_text(array: pa.Array, *, nulls: bool = False) -> pa.Array:
    """Return each value as JSON text, null where the value is null.

    Args:
        array: of a type that `is_jsonable` knows.
        nulls: whether null members of structs are written; list elements and map values always are.

    Returns:
        A `string` array of the same length. Numbers that JSON has no form for (NaN, infinities)
        are the text `null`; durations are integers in their own unit.
    """
    kind = array.type
    if pa.types.is_dictionary(kind):
        return json_text(array.dictionary, nulls=nulls).take(array.indices)
    return _scalar_text(array) if is_scalar(kind) else _nested_text(array, nulls)


def json_piece(
    array: pa.Array, before: str = "", after: str = "", absent: str = "", *, nulls: bool = False
) -> Piece:
    """Turn a column into a piece of JSON texts; the arguments are those of `piece` and `json_text`."""
    kind = array.type.value_type if pa.types.is_dictionary(array.type) else array.type
    if _is_quoted(kind):
        return piece(array, _inside, f'{before}"', f'"{after}', absent, digits=True)
    if kind == _TEXT_MAP and array.null_count < len(array):
        return Maps(array, json_text, before=before, after=after, absent=absent)
    return piece(
        array, lambda part: json_text(part, nulls=nulls), before, after, absent, digits=True
    )


def _is_quoted(kind: pa.DataType) -> bool:
    bare = is_number(kind) or pa.types.is_boolean(kind) or pa.types.is_null(kind)
    return is_scalar(kind) and not (bare or pa.types.is_dictionary(kind))


def _inside(array: pa.Array) -> pa.Array:
    """Return what stands between the quotes."""
    texts = scalar_text(array)
    return replace_chars(texts, _ESCAPES) if is_text(array.type) else texts


def _scalar_text(array: pa.Array) -> pa.Array:
    kind = array.type
    if _is_quoted(kind):
        return quoted(scalar_text(array))
    if pa.types.is_floating(kind):
        finite = _compute.is_finite(array)
        return _compute.if_else(finite, scalar_text(array), _text("null"))
    return scalar_text(array)


def _nested_text(array: pa.Array, nulls: bool) -> pa.Array:
    kind = array.type
    if pa.types.is_map(kind):
        return _map_text(array, nulls)
    if _is_list(kind):
        return _list_text(array, nulls)
    fields = [kind.field(index).name for index in range(kind.num_fields)]
    return _where_valid(array, joined(object_pieces(fields, array.flatten(), nulls), len(array)))


def object_pieces(
    names: Sequence[str], columns: Sequence[pa.Array], nulls: bool, end: str = "}"
) -> list[Piece]:
    """Return the pieces of one JSON object a row, members in the order of the columns.

    Args:
        names: of the members.
        columns: their values, all of the same length.
        nulls: whether null members are written as `null` or left out.
        end: what closes a row.
    """

    def member(column: pa.Array, before: str, after: str = "", absent: str = "") -> list[Piece]:
        if pa.types.is_struct(column.type) and not column.null_count:
            # Its members remain separate pieces, so that those with few distinct values stay coded.
            inner = [column.type.field(index).name for index in range(column.type.num_fields)]
            return [before, *object_pieces(inner, column.flatten(), nulls), after]
        return [json_piece(column, before, after, absent, nulls=nulls)]

    keys = [f"{quoted_name(name)}:" for name in names]
    pieces: list[Piece] = ["{"]
    if nulls:
        for index, (key, column) in enumerate(zip(keys, columns, strict=True)):
            before = f",{key}" if index else key
            pieces += member(column, before, "", f"{before}null")
        return [*pieces, end]
    present = [
        (key, column)
        for key, column in zip(keys, columns, strict=True)
        if column.null_count < len(column)
    ]
    # Commas stand after the members before the first one that every row has, and before those
    # after it. Without such a member it depends on the row whether something precedes.
    always = next((at for at, (_, column) in enumerate(present) if _never_null(column)), None)
    if always is None:
        return [*pieces, *_uncertain(present, nulls), end]
    for at, (key, column) in enumerate(present):
        if at < always:
            pieces += member(column, key, ",")
        else:
            pieces += member(column, f",{key}" if at > always else key)
    return [*pieces, end]


def _uncertain(present: Sequence[tuple[str, pa.Array]], nulls: bool) -> list[Piece]:
    pieces: list[Piece] = []
    preceded: pa.Array | None = None
    for key, column in present:
        valid = (
            json_text(column).is_valid()
            if pa.types.is_dictionary(column.type)
            else column.is_valid()
        )
        value = json_piece(column, key, nulls=nulls)
        if preceded is None:
            pieces.append(value)
            preceded = valid
            continue
        comma = _compute.and_(preceded, valid).dictionary_encode()
        text = piece(comma, lambda flags: _compute.if_else(flags, _text(","), _text("")))
        pieces += [text, value]
        preceded = _compute.or_(preceded, valid)
    return pieces


def _never_null(column: pa.Array) -> bool:
    if pa.types.is_dictionary(column.type) and column.dictionary.null_count:
        return False
    return not column.null_count


def _text(value: str) -> pa.StringScalar:
    return pa.scalar(value, pa.string())


def _is_list(kind: pa.DataType) -> bool:
    return bool(
        pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind)
    )


def _map_text(array: pa.Array, nulls: bool) -> pa.Array:
    offsets, keys, items = entries(array)
    members = concat(
        quoted(scalar_text(keys)), ":", json_text(items, nulls=nulls).fill_null("null")
    )
    return _where_valid(array, concat("{", _gathered(members, offsets), "}"))


def _list_text(array: pa.Array, nulls: bool) -> pa.Array:
    lengths = np.asarray(_compute.list_value_length(array).fill_null(0)).astype(np.int64)
    values = json_text(array.flatten(), nulls=nulls).fill_null("null")
    offsets = np.concatenate([[0], np.cumsum(lengths)])
    return _where_valid(array, concat("[", _gathered(values, offsets), "]"))


def _gathered(values: pa.Array, offsets: np.ndarray) -> pa.Array:
    lists = pa.ListArray.from_arrays(pa.array(offsets.astype(np.int32)), values)
    return _compute.binary_join(lists, _text(","))


def _where_valid(array: pa.Array, texts: pa.Array) -> pa.Array:
    if not array.null_count:
        return texts
    return _compute.if_else(array.is_valid(), texts, pa.scalar(None, pa.string()))
