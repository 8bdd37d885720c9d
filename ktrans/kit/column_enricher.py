"""The enricher that computes columns from columns."""

from __future__ import annotations

import abc
from collections.abc import Collection, Mapping, Sequence
from typing import ClassVar

import pyarrow as pa

from ktrans.api import Enricher
from ktrans.api.component import C
from ktrans.flow.schema import TEXT
from ktrans.kit.columns import column_exists, fitted, option, rebuild, require


class ColumnEnricher(Enricher[C]):
    """Adds columns to each batch, or replaces them; rows stay as they are.

    Attributes:
        replaces: the columns that it may replace if they exist; None means any.
        names_option: the option that names the columns, for error messages.
    """

    replaces: ClassVar[Collection[str] | None] = None
    names_option: ClassVar[str | None] = None
    _schema: pa.Schema

    @abc.abstractmethod
    def reads(self) -> Sequence[str]:
        """Return the columns that `compute` reads."""

    @abc.abstractmethod
    def columns(self) -> Mapping[str, pa.DataType | pa.Field]:
        """Return the columns that `compute` creates, with their types, or fields with descriptions.

        A column of text becomes a dictionary of text.
        """

    @abc.abstractmethod
    def compute(self, batch: pa.RecordBatch) -> Mapping[str, pa.Array]:
        """Compute the columns of a batch, each as long as the batch. Pure; any thread.

        Text may come as plain strings: it is put into dictionaries afterwards.
        """

    def needs(self) -> Sequence[str]:
        """Return what it reads."""
        return self.reads()

    def adds(self) -> Sequence[str]:
        """Return what it creates."""
        return tuple(self.columns())

    def bind(self, schema: pa.Schema) -> pa.Schema:
        """Check that the columns exist that it reads, and return the schema with its own.

        Raises:
            ConfigError: a column is missing, or exists already and may not be replaced.
        """
        require(schema, self.reads(), self.config.type)
        for name, given in self.columns().items():
            at = schema.get_field_index(name)
            if at >= 0 and self.replaces is not None and name not in self.replaces:
                with option(self.names_option):
                    raise column_exists(name, self.config.type)
            old = pa.field(name, pa.null()) if at < 0 else schema.field(at)
            field = given if isinstance(given, pa.Field) else old.with_type(given)
            if pa.types.is_string(field.type):
                field = field.with_type(TEXT)
            schema = schema.append(field) if at < 0 else schema.set(at, field)
        self._schema = schema
        return schema

    def apply(self, batch: pa.RecordBatch) -> pa.RecordBatch:
        """Add the columns."""
        made = self.compute(batch)
        new = {name: fitted(column, self._schema.field(name).type) for name, column in made.items()}
        return rebuild(batch, self._schema, new)
