"""The types that columns have in tables: neither format has unsigned numbers or dictionaries."""

from __future__ import annotations

import pyarrow as pa

from ktrans.api import ConfigError

_WIDER = {
    pa.uint8(): pa.int16(),
    pa.uint16(): pa.int32(),
    pa.uint32(): pa.int64(),
    pa.uint64(): pa.decimal128(20),
    pa.float16(): pa.float32(),
    pa.date64(): pa.date32(),
}
_MOST_DIGITS = 38
_PLAIN = {
    *(pa.bool_(), pa.int8(), pa.int16(), pa.int32(), pa.int64()),
    *(pa.float32(), pa.float64(), pa.date32(), pa.string(), pa.binary()),
}


def stored(schema: pa.Schema, table: str, *, small: bool) -> pa.Schema:
    """Return a schema with types that tables and Parquet files have; columns of text stay dictionaries.

    Args:
        schema: of the rows.
        table: the kind of table, for the message.
        small: whether it has integers of 8 and 16 bits.

    Raises:
        ConfigError: there is no type for a column.
    """
    fields = []
    for field in schema:
        kind = field.type
        try:
            if pa.types.is_dictionary(kind) and _is_text(kind.value_type):
                kind = pa.dictionary(pa.int32(), pa.string())
            else:
                kind = _stored(kind, small=small)
        except TypeError:
            raise ConfigError(
                f"column {field.name!r} of type {field.type} cannot be stored in {table}",
                code="type_not_supported",
                hint="leave it out or cast it with a select or derive enricher",
            ) from None
        fields.append(field.with_type(kind).with_nullable(nullable=True))
    return pa.schema(fields, metadata=schema.metadata)


def plain(schema: pa.Schema, comment: str) -> pa.Schema:
    """Return a schema as tables declare it: text for dictionaries, the description as `comment`."""
    fields = []
    for field in schema:
        kind = field.type.value_type if pa.types.is_dictionary(field.type) else field.type
        text = (field.metadata or {}).get(b"description")
        fields.append(pa.field(field.name, kind, metadata={comment: text} if text else None))
    return pa.schema(fields)


def _stored(kind: pa.DataType, *, small: bool) -> pa.DataType:
    """Return the type for one.

    Raises:
        TypeError: there is none.
    """

    def inner(field: pa.Field) -> pa.Field:
        return field.with_type(_stored(field.type, small=small))

    if pa.types.is_dictionary(kind):
        kind = _stored(kind.value_type, small=small)
    elif pa.types.is_map(kind):
        kind = pa.map_(_stored(kind.key_type, small=small), inner(kind.item_field))
    elif pa.types.is_struct(kind) and kind.num_fields:
        kind = pa.struct([inner(field) for field in kind])
    elif (
        pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind)
    ):
        kind = pa.list_(inner(kind.value_field))
    else:
        kind = _scalar(_WIDER.get(kind, kind))
        kind = pa.int32() if not small and kind in {pa.int8(), pa.int16()} else kind
    return kind


def _scalar(kind: pa.DataType) -> pa.DataType:
    """Return the type for one without parts.

    Raises:
        TypeError: there is none.
    """
    if kind in _PLAIN:
        return kind
    if pa.types.is_timestamp(kind):
        return pa.timestamp("us", "UTC" if kind.tz else None)
    if pa.types.is_decimal(kind) and kind.precision <= _MOST_DIGITS:
        return pa.decimal128(kind.precision, kind.scale)
    if _is_text(kind):
        return pa.string()
    if _is_bytes(kind):
        return pa.binary()
    raise TypeError(str(kind))


def _is_text(kind: pa.DataType) -> bool:
    return bool(
        pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind)
    )


def _is_bytes(kind: pa.DataType) -> bool:
    return bool(
        pa.types.is_large_binary(kind)
        or pa.types.is_binary_view(kind)
        or pa.types.is_fixed_size_binary(kind)
    )
