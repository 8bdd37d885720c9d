"""Helpers of enrichers: checks of columns, distinct values, new and replaced columns."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager

import msgspec
import numpy as np
import pyarrow as pa

from ktrans.api.errors import ConfigError, ConfigErrors
from ktrans.flow.schema import BY_NAME, TEXT, VALUES
from ktrans.kit.rows import pieces

MISSING = np.int32(-1)
"""The code for null in numpy arrays of codes."""


@contextmanager
def option(name: str | None) -> Iterator[None]:
    """Let errors within point at this option of the pipeline file; `.` leads into a mapping."""
    try:
        yield
    except ConfigErrors as several:
        for error in several.errors:
            error.field = error.field or name
        raise
    except ConfigError as error:
        error.field = error.field or name
        raise


class OptionErrors(msgspec.Struct):
    """Collects the errors of several options, so that all are reported."""

    errors: list[ConfigError] = msgspec.field(default_factory=list)

    @contextmanager
    def option(self, name: str | None) -> Iterator[None]:
        """Collect errors within, and let them point at this option."""
        try:
            with option(name):
                yield
        except ConfigErrors as several:
            self.errors += several.errors
        except ConfigError as error:
            self.errors.append(error)

    def finish(self) -> None:
        """Raise the errors, if there are any.

        Raises:
            ConfigError, ConfigErrors: the only one, or all of them.
        """
        if self.errors:
            raise self.errors[0] if len(self.errors) == 1 else ConfigErrors(self.errors)


def unknown_column(name: str, known: Sequence[str], what: str) -> ConfigError:
    """Make the error for a missing column, with the closest name as a hint."""
    close = difflib.get_close_matches(name, known, n=1, cutoff=0.6)
    hint = f"did you mean {close[0]!r}?" if close else f"there are: {', '.join(known)}"
    return ConfigError(f"{what}: there is no column {name!r}", code="unknown_column", hint=hint)


def require(schema: pa.Schema, names: Iterable[str], what: str) -> None:
    """Check that columns exist.

    Raises:
        ConfigError, ConfigErrors: one or several do not.
    """
    OptionErrors(
        [unknown_column(name, schema.names, what) for name in names if name not in schema.names]
    ).finish()


def require_text(schema: pa.Schema, names: Iterable[str], what: str) -> None:
    """Check that columns exist and hold text.

    Raises:
        ConfigError: one does not.
    """
    for name in names:
        require(schema, [name], what)
        if not is_text(schema.field(name).type):
            raise _wrong_type(schema, name, "text", what)


def require_integer(schema: pa.Schema, names: Iterable[str], what: str) -> None:
    """Check that columns exist and hold integers.

    Raises:
        ConfigError: one does not.
    """
    for name in names:
        require(schema, [name], what)
        dtype = schema.field(name).type
        if not (pa.types.is_integer(dtype) or pa.types.is_null(dtype)):
            raise _wrong_type(schema, name, "whole numbers", what)


def require_flow(schema: pa.Schema, names: Iterable[str], what: str) -> None:
    """Check that columns of the flow schema exist and hold text, integers, times or maps as it says.

    Raises:
        ConfigError: one does not.
    """
    for name in names:
        kind = BY_NAME[name].type
        if kind == TEXT:
            require_text(schema, [name], what)
        elif pa.types.is_integer(kind):
            require_integer(schema, [name], what)
        elif pa.types.is_map(kind):
            require(schema, [name], what)
            if not pa.types.is_map(schema.field(name).type):
                raise _wrong_type(schema, name, "a map", what)
        else:
            require(schema, [name], what)
            if not pa.types.is_timestamp(schema.field(name).type):
                raise _wrong_type(schema, name, "times", what)


def _wrong_type(schema: pa.Schema, name: str, wanted: str, what: str) -> ConfigError:
    found = schema.field(name).type
    return ConfigError(
        f"{what}: column {name!r} holds {found}, where {wanted} is needed",
        code="column_type",
        hint="if a derive enricher makes it, let it cast the value, or give it another name",
    )


def is_text(dtype: pa.DataType) -> bool:
    """Return whether a type is text, plain or as a dictionary; an all-null column passes as text."""
    if pa.types.is_dictionary(dtype):
        dtype = dtype.value_type
    return pieces.is_text(dtype) or bool(pa.types.is_null(dtype))


def distinct(array: pa.Array) -> tuple[pa.Array, np.ndarray]:
    """Return the distinct values of a text column, and the position of each row's value.

    Args:
        array: text in any of its types.

    Returns:
        The distinct values as a string array (it may hold unused and null ones), and for each row
        the position of its value; the number of values for null.
    """
    if not pa.types.is_dictionary(array.type):
        array = array.cast(pa.string()).dictionary_encode()
    values = array.dictionary
    if values.type != pa.string():
        values = values.cast(pa.string())
    if len(values) > 2 * len(array) + 16:  # left over from a larger batch: not worth looking up
        array = values.take(array.indices).dictionary_encode()
        values = array.dictionary
    indices = array.indices
    if indices.null_count:
        if indices.type.bit_width < 32:  # noqa: PLR2004 - the count itself must fit
            indices = indices.cast(pa.int32())
        indices = indices.fill_null(pa.scalar(len(values), indices.type))
    return values, np.asarray(indices.to_numpy())


def spread(codes: np.ndarray, indices: np.ndarray) -> np.ndarray:
    """Return each row the code of its distinct value (int32, MISSING for null)."""
    return np.asarray(np.append(codes.astype(np.int32, copy=False), MISSING)[indices])


def coded(codes: np.ndarray, values: pa.Array) -> pa.DictionaryArray:
    """Make a text column from codes into `values`; negative codes are null."""
    valid = codes >= 0
    return pa.DictionaryArray.from_arrays(_int32(np.maximum(codes, 0), valid), values, safe=False)


def plain_integers(array: pa.Array) -> tuple[np.ndarray, np.ndarray]:
    """Return an integer column as int64 with -1 for null, and where it is null."""
    if pa.types.is_null(array.type):
        return np.full(len(array), -1, np.int64), np.ones(len(array), bool)
    if not array.null_count:
        return np.asarray(array.to_numpy()).astype(np.int64), np.zeros(len(array), bool)
    gone = np.asarray(array.is_null().to_numpy(zero_copy_only=False))
    numbers = np.asarray(array.fill_null(pa.scalar(0, array.type)).to_numpy()).astype(np.int64)
    numbers[gone] = -1
    return numbers, gone


def numbers_or_null(numbers: np.ndarray, valid: np.ndarray) -> pa.Array:
    """Make an int32 column that is null where not valid."""
    return _int32(np.where(valid, numbers, np.int32(0)), valid)


def _int32(numbers: np.ndarray, valid: np.ndarray) -> pa.Array:
    """Wrap numbers without copying them; building from a mask costs ten times as much."""
    numbers = np.ascontiguousarray(numbers, np.int32)
    bits = None if valid.all() else pa.py_buffer(np.packbits(valid, bitorder="little"))
    return pa.Array.from_buffers(pa.int32(), len(numbers), [bits, pa.py_buffer(numbers)])


def column_exists(name: str, what: str) -> ConfigError:
    """Make the error for a new column whose name is taken."""
    return ConfigError(
        f"{what}: there is already a column {name!r}",
        code="column_exists",
        hint="give the new column another name, or drop the old one with `select` before",
    )


def text_field(name: str, description: str, values: Sequence[str] = ()) -> pa.Field:
    """Describe a new text column; `values` are the only ones that it has."""
    more = {VALUES: " ".join(values)} if values else {}
    return pa.field(name, TEXT, metadata={"description": description, **more})


def rebuild(batch: pa.RecordBatch, schema: pa.Schema, new: dict[str, pa.Array]) -> pa.RecordBatch:
    """Make a batch of `schema` from new columns, and the old ones for the rest."""
    known = dict(zip(batch.schema.names, batch.columns, strict=True)) | new
    columns = [known[name] for name in schema.names]
    return pa.RecordBatch.from_arrays(columns, schema=schema)


def fitted(column: pa.Array | pa.ChunkedArray, kind: pa.DataType) -> pa.Array:
    """Return a column in a type; plain text becomes a dictionary where that is asked for."""
    if isinstance(column, pa.ChunkedArray):
        column = column.combine_chunks()
    if isinstance(column, pa.ChunkedArray):
        column = column.chunk(0) if column.num_chunks else pa.nulls(0, column.type)
    if column.type == kind:
        return column
    if kind == TEXT and not pa.types.is_dictionary(column.type):
        return column.cast(pa.string()).dictionary_encode()
    return column.cast(kind)


def side_of(column: str) -> str:
    """Return `src` for `src_addr`, `dst_pkt` for `dst_pkt_addr`, and any other name as it is."""
    return column.removesuffix("_addr") or column
