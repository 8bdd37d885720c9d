"""The sink `duckdb`: the rows of a task and its mark, in one transaction of a DuckDB file."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pyarrow as pa
from pydantic import Field

from ktrans.api import AccessError, ConfigError, RetryableError
from ktrans.kit.buffered_sink import BufferedSink, Delivery
from ktrans.kit.stage_option import BufferedSinkConfig

if TYPE_CHECKING:
    import duckdb

_NAME = r"^[A-Za-z_][A-Za-z0-9_]*$"


class DuckdbSinkConfig(BufferedSinkConfig, type="duckdb"):
    """Options of the sink."""

    database: str = Field(
        description="The DuckDB file; made if it is not there.", examples=["flows.duckdb"]
    )
    table: str = Field(
        "flows",
        pattern=_NAME,
        description="Table to add to; made with the columns of the rows if it is not there.",
        examples=["flows"],
    )


class DuckdbSink(BufferedSink[DuckdbSinkConfig]):
    """Adds rows to a table. One process at a time can have the file open for writing."""

    def bind(self, schema: pa.Schema) -> None:
        """Check that the rows fit the table, if it is there already.

        Raises:
            ConfigError: the table lacks a column.
        """
        super().bind(schema)
        if not self._path.exists():
            return
        with self._database(read_only=True) as database:
            known = "select column_name from information_schema.columns where table_name = ?"
            columns = {name for (name,) in database.execute(known, [self.config.table]).fetchall()}
        missing = [name for name in schema.names if columns and name not in columns]
        if missing:
            raise ConfigError(
                f"table {self.config.table} of {self._path} has no column {missing[0]!r}",
                code="column_missing",
                hint="add it with `alter table`, or leave it out with `columns:` of the sink",
            )

    def deliver(self, delivery: Delivery) -> None:
        """Send the rows of one task, unless its mark says that they are there."""
        table = f'"{self.config.table}"'
        with self._database() as database:
            database.execute("begin")
            database.execute("create table if not exists ktrans_marks (mark varchar primary key)")
            known = database.execute("select 1 from ktrans_marks where mark = ?", [delivery.mark])
            if known.fetchone():
                database.execute("rollback")
                return
            rows = pa.RecordBatchReader.from_batches(delivery.schema, delivery.batches())
            database.register("delivered", rows)
            create = f"create table if not exists {table} as select * from delivered limit 0"  # noqa: S608  the model checks the name
            database.execute(create)
            database.unregister("delivered")
            rows = pa.RecordBatchReader.from_batches(delivery.schema, delivery.batches())
            database.register("delivered", rows)
            database.execute(f"insert into {table} by name select * from delivered")  # noqa: S608  likewise
            database.execute("insert into ktrans_marks values (?)", [delivery.mark])
            database.execute("commit")

    def check(self) -> None:
        """Find out whether the file and the stage can be written (`ktrans validate --connect`)."""
        super().check()
        with self._database():
            pass

    @property
    def _path(self) -> Path:
        return self.context.path(self.config.database)

    @contextmanager
    def _database(self, *, read_only: bool = False) -> Iterator[duckdb.DuckDBPyConnection]:
        import duckdb

        try:
            with duckdb.connect(str(self._path), read_only=read_only) as database:
                yield database
        except duckdb.IOException as error:
            if "lock" in str(error).lower():
                raise RetryableError(f"{self._path} is open in another process") from error
            raise AccessError(f"cannot open {self._path}: {error}") from error
