"""The `sql` enricher: runs a DuckDB query on each batch, without copying its input."""

from __future__ import annotations

import contextlib
import threading
from typing import TYPE_CHECKING

import pyarrow as pa
from pydantic import Field

from ktrans.api import ComponentConfig, ConfigError, Context, Enricher, Reach, RunError
from ktrans.kit.columns import fitted
from ktrans.kit.flow import TEXT

if TYPE_CHECKING:
    import duckdb


class SqlEnricherConfig(ComponentConfig, type="sql"):
    """Options of the `sql` enricher."""

    query: str = Field(
        min_length=1,
        description="A SELECT in DuckDB's SQL over the table `flows`, which is one batch of rows: "
        "joins and aggregates see no more than a batch at a time.",
        examples=["select *, bytes * 8 as bits from flows where action = 'accept'"],
    )
    reads: list[str] | None = Field(
        default=None,
        description="The columns that the query reads; others are then not decoded, and `*` "
        "means these columns only. By default all columns.",
        examples=[["bytes", "packets", "action"]],
    )
    drops_rows: bool = Field(
        default=False,
        description="Whether the query may drop rows (WHERE). If not, a result with fewer rows stops "
        "the run. A result may never have more rows.",
        examples=[True],
    )
    changes_counters: bool = Field(
        default=False,
        description="Whether the query may change `bytes` and `packets` of a row.",
        examples=[True],
    )
    files: bool = Field(
        default=False,
        description="Whether the query may read files and URLs (read_csv and similar functions). "
        "Tasks run on machines that see the same files.",
        examples=[True],
    )


class SqlEnricher(Enricher[SqlEnricherConfig]):
    """Runs one query on each batch.

    The order of rows is kept unless the query sorts. Text columns of the result are dictionaries,
    times are in UTC.
    """

    def __init__(self, config: SqlEnricherConfig, context: Context | None = None) -> None:
        super().__init__(config, context)
        self.drops_rows = config.drops_rows
        self.changes_counters = config.changes_counters
        self._local = threading.local()
        self._opened: list[duckdb.DuckDBPyConnection] = []
        self._lock = threading.Lock()
        self._schema = pa.schema([])

    @property
    def runs(self) -> Reach:
        """Anywhere, unless the query may read files."""
        return "shared_path" if self.config.files else "anywhere"

    @property
    def bound_because(self) -> str:
        """Why queries that read files are bound to them."""
        return "its query may read local files (`files: true`)" if self.config.files else ""

    def needs(self) -> list[str] | None:
        """Return the configured columns that the query reads."""
        return self.config.reads

    def bind(self, schema: pa.Schema) -> pa.Schema:
        """Run the query on an empty batch, and return the schema of its result.

        Raises:
            ConfigError: a column is missing, or DuckDB does not accept the query.
        """
        import duckdb

        if self.config.reads is not None:
            missing = [name for name in self.config.reads if name not in schema.names]
            if missing:
                raise ConfigError(
                    f"the rows have no column {missing[0]!r}", field="reads", code="column_missing"
                )
        empty = schema.empty_table().to_batches(max_chunksize=1)
        batch = empty[0] if empty else pa.RecordBatch.from_pylist([], schema=schema)
        try:
            found = self._run(batch).schema
        except duckdb.Error as error:
            raise ConfigError(
                f"DuckDB does not accept the query: {str(error).splitlines()[0]}",
                field="query",
                code="sql",
                hint="the table is called flows; its columns are " + ", ".join(schema.names),
            ) from error
        self._schema = pa.schema(
            [_field(field, schema) for field in found], metadata=schema.metadata
        )
        return self._schema

    def apply(self, batch: pa.RecordBatch) -> pa.RecordBatch:
        """Run the query on a batch."""
        import duckdb

        try:
            table = self._run(batch)
        except duckdb.Error as error:
            raise RunError(
                f"the query fails on these rows: {str(error).splitlines()[0]}",
                code="sql",
                hint="try_cast and try(...) return null for values that do not fit",
            ) from error
        columns = [
            fitted(column, field.type)
            for column, field in zip(table.columns, self._schema, strict=True)
        ]
        return pa.RecordBatch.from_arrays(columns, schema=self._schema)

    def close(self) -> None:
        """Close the connections of all threads."""
        while self._opened:
            self._opened.pop().close()

    def _run(self, batch: pa.RecordBatch) -> pa.Table:
        if self.config.reads is not None:
            batch = batch.select(self.config.reads)
        connection = self._connection()
        connection.register("flows", pa.Table.from_batches([batch]))
        try:
            return connection.sql(self.config.query).to_arrow_table()
        finally:
            connection.unregister("flows")

    def _connection(self) -> duckdb.DuckDBPyConnection:
        """Return this thread's connection; several threads run batches at the same time."""
        import duckdb

        found: duckdb.DuckDBPyConnection | None = getattr(self._local, "connection", None)
        if found is None:
            options = {"threads": 1, "enable_external_access": self.config.files}
            found = duckdb.connect(":memory:", config=options)
            found.execute("set timezone = 'UTC'")
            with contextlib.suppress(
                duckdb.CatalogException
            ):  # releases before 2 always return null
                found.execute("set error_on_division_by_zero = false")
            self._local.connection = found
            with self._lock:
                self._opened.append(found)
        return found


def _field(field: pa.Field, before: pa.Schema) -> pa.Field:
    """Return the field of a result column; existing columns keep their type and description."""
    index = before.get_field_index(field.name)
    plain = field.type.value_type if pa.types.is_dictionary(field.type) else field.type
    kind = TEXT if pa.types.is_string(plain) or pa.types.is_large_string(plain) else plain
    if index >= 0 and _keeps_type(before.field(index).type, kind):
        return before.field(index)
    return pa.field(field.name, kind)


def _keeps_type(old: pa.DataType, new: pa.DataType) -> bool:
    """Return whether a column that the query passes on should keep its type."""
    return bool(
        old == new
        or (pa.types.is_timestamp(old) and pa.types.is_timestamp(new))
        or (pa.types.is_map(old) and pa.types.is_map(new))
        or (new == TEXT and (pa.types.is_string(old) or pa.types.is_large_string(old)))
    )
