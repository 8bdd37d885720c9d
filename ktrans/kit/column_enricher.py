"""The enricher that computes columns from columns."""

from __future__ import annotations

import abc
from collections.abc import Mapping, Sequence

import pyarrow as pa

from ktrans.api import ConfigError, Enricher
from ktrans.api.component import C
from ktrans.flow.schema import TEXT


class ColumnEnricher(Enricher[C]):
    """Adds columns to each batch, or replaces them; rows stay as they are.

    >>> import pyarrow.compute as pc
    >>> from ktrans.api import ComponentConfig
    >>> class Megabits(ColumnEnricher):
    ...     def reads(self):
    ...         return ["bytes"]
    ...
    ...     def columns(self):
    ...         return {"megabits": pa.float64()}
    ...
    ...     def compute(self, batch):
    ...         return {"megabits": pc.divide(pc.multiply(batch["bytes"], 8.0), 1e6)}
    >>> enricher = Megabits(ComponentConfig(type="megabits"))
    >>> batch = pa.record_batch({"bytes": [125_000, None]})
    >>> enricher.bind(batch.schema).names
    ['bytes', 'megabits']
    >>> enricher.apply(batch)["megabits"].to_pylist()
    [1.0, None]
    """

    @abc.abstractmethod
    def reads(self) -> Sequence[str]:
        """Name the columns that `compute` reads."""

    @abc.abstractmethod
    def columns(self) -> Mapping[str, pa.DataType]:
        """Name the columns that `compute` gives, with their types; text is a dictionary of text."""

    @abc.abstractmethod
    def compute(self, batch: pa.RecordBatch) -> Mapping[str, pa.Array]:
        """Compute the columns of a batch, each as long as the batch. Pure; any thread.

        Text may come as plain strings: it is put into dictionaries afterwards.
        """

    def needs(self) -> Sequence[str]:
        """Name what it reads."""
        return self.reads()

    def adds(self) -> Sequence[str]:
        """Name what it makes."""
        return tuple(self.columns())

    def bind(self, schema: pa.Schema) -> pa.Schema:
        """Check that what it reads is there, and give the schema with its columns.

        Raises:
            ConfigError: a column that it reads is missing.
        """
        for name in self.reads():
            if name not in schema.names:
                raise ConfigError(
                    f"{self.config.type} reads column {name!r}, which the rows do not have",
                    code="column_missing",
                    hint=f"the rows have: {', '.join(schema.names)}",
                )
        for name, kind in self.columns().items():
            field = pa.field(name, TEXT if pa.types.is_string(kind) else kind)
            index = schema.get_field_index(name)
            schema = schema.append(field) if index < 0 else schema.set(index, field)
        return schema

    def apply(self, batch: pa.RecordBatch) -> pa.RecordBatch:
        """Add the columns."""
        made = self.compute(batch)
        for name, kind in self.columns().items():
            wanted = TEXT if pa.types.is_string(kind) else kind
            column = fitted(made[name], wanted)
            index = batch.schema.get_field_index(name)
            if index < 0:
                batch = batch.append_column(pa.field(name, wanted), column)
            else:
                batch = batch.set_column(index, pa.field(name, wanted), column)
        return batch


def fitted(column: pa.Array | pa.ChunkedArray, kind: pa.DataType) -> pa.Array:
    """Give a column in the type that it was promised in; text is put into a dictionary."""
    if isinstance(column, pa.ChunkedArray):
        column = column.combine_chunks()
    if column.type == kind:
        return column
    if kind == TEXT and not pa.types.is_dictionary(column.type):
        return column.cast(pa.string()).dictionary_encode()
    return column.cast(kind)
