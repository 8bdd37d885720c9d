"""The `clickhouse` sink: rows of flows in a table of ClickHouse."""

from __future__ import annotations

import io
import logging
import re
import secrets
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any
from urllib.parse import urlsplit

import pyarrow as pa

from ktrans.api import AccessError, ConfigError, Dataset, KtransError
from ktrans.api.spec import DeliveryGuarantee
from ktrans.kit.buffered_sink import Delivery
from ktrans.kit.columns import option, require
from ktrans.kit.errors import as_unavailable
from ktrans.kit.objects.once import once
from ktrans.kit.rows.limits import Limit
from ktrans.kit.table_sink import Columns, TableColumn, TableSink
from ktrans_clickhouse.columns import codec, column_type, limit_of, staged_type
from ktrans_clickhouse.config import ClickhouseSinkConfig
from ktrans_clickhouse.errors import converted

WINDOW = 10_000
"""How many inserted blocks a table that is created recognises."""

BLOCK_ROWS = 1_048_449
"""How many rows the server inserts at a time: its default."""

_WINDOW_SECS = 7 * 86400
_CONNECT_SECS = 10
_INSERT = {
    "async_insert": 0,
    "insert_deduplicate": 1,
    "max_partitions_per_insert_block": 0,
    "deduplicate_blocks_in_dependent_materialized_views": 1,
    "wait_end_of_query": 1,
}
_PARTITIONS = {"day": "toDate({})", "month": "toYYYYMM({})"}


class ClickhouseSink(TableSink[ClickhouseSinkConfig]):
    """Inserts the rows of a task at once, with the task's mark as deduplication token."""

    @property
    def delivery(self) -> DeliveryGuarantee | None:
        """At least once without deduplication."""
        return None if self.config.deduplicate else "at_least_once"

    # -- columns --------------------------------------------------------------------------------------

    def bind(self, schema: pa.Schema) -> None:
        """Choose the type of each column, and check the sorting key."""
        with option("order_by"):
            require(schema, self.config.order_by or (), "order_by")
        super().bind(schema)

    def staged_type(self, field: pa.Field) -> pa.DataType | None:
        """Return the type in which the server takes a column."""
        return staged_type(field.type, self.config.types.get(field.name))

    def column_type(self, field: pa.Field) -> str:
        """Return the type in a table that is created."""
        return column_type(field)

    def limit(self, column: TableColumn, staged: pa.Field) -> Limit:
        """Return what a column holds."""
        return limit_of(column, staged)

    # -- the table ------------------------------------------------------------------------------------

    @property
    def where(self) -> str:
        """The table's name and the server."""
        return f"table {self._name} of {self.config.url}"

    def describe(self) -> Columns | None:
        """Look at the table.

        Raises:
            ConfigError: it does not recognise repeated inserts.
        """
        values = {"database": self.config.database, "table": self.config.table}
        with self._connected() as client:
            found = client.query(_COLUMNS, parameters=values).result_rows
            engine = client.query(_ENGINE, parameters=values).result_rows
            defaults = dict(client.query(_DEFAULTS).result_rows)
        if engine and self.config.deduplicate:
            name, full = engine[0]
            self._check_window(name, full, defaults)
        return {name: TableColumn(kind, filled=True) for name, kind in found} or None

    def _check_window(self, engine: str, full: str, defaults: Mapping[str, str]) -> None:
        if not engine.endswith("MergeTree"):
            raise ConfigError(
                f"{self.where} has the engine {engine}, which does not recognise repeated inserts",
                field="table",
                code="no_deduplication",
                hint="write to the MergeTree table behind it, or set `deduplicate: false`",
            )
        name = _window_of(engine)
        own = re.search(rf"\b{name} = (\d+)", full)
        if int(own[1] if own else defaults.get(name, 0)) == 0:
            raise ConfigError(
                f"{self.where} does not recognise repeated inserts: {name} is 0",
                field="table",
                code="no_deduplication",
                hint=f"ALTER TABLE {self._name} MODIFY SETTING {name} = {WINDOW}; or set "
                "`deduplicate: false`, with which rows arrive at least once",
            )

    def creation(self, types: Mapping[str, str], time: str | None) -> list[str]:
        """Return the statement that creates the table."""
        config = self.config
        lines = [f"{_quoted(name)} {kind}{codec(kind)}" for name, kind in types.items()]
        key = config.order_by or [
            name for name in ("account_id", "vpc_id", time) if name is not None and name in types
        ]
        made = f"CREATE TABLE IF NOT EXISTS {self._name} (\n    " + ",\n    ".join(lines) + "\n)"
        made += f"\nENGINE = {config.engine}"
        if time is not None and config.partition_by != "none":
            made += f"\nPARTITION BY {_PARTITIONS[config.partition_by].format(_quoted(time))}"
        made += f"\nORDER BY ({', '.join(map(_quoted, key))})" if key else "\nORDER BY tuple()"
        if time is not None and config.keep is not None:
            kept = f"ifNull({_quoted(time)}, toDateTime64('2099-12-31', 6, 'UTC'))"
            made += f"\nTTL toDateTime({kept}) + toIntervalSecond({int(config.keep)})"
        return [f"{made}\nSETTINGS allow_nullable_key = 1, {_windows(config.engine)}"]

    def addition(self, types: Mapping[str, str]) -> list[str]:
        """Return the statement that adds columns."""
        added = ", ".join(
            f"ADD COLUMN IF NOT EXISTS {_quoted(name)} {kind}{codec(kind)}"
            for name, kind in types.items()
        )
        return [f"ALTER TABLE {self._name} {added}"]

    def execute(self, statements: Sequence[str]) -> None:
        """Execute statements."""
        with self._connected() as client:
            for statement in statements:
                client.command(statement)

    def check(self) -> None:
        """Check that the server answers, the table, its deduplication, and the rights of the user."""
        try:
            super().check()
            self._check_grants()
        except KtransError as error:
            raise as_unavailable(error) from error

    def _check_grants(self) -> None:
        granted = ["INSERT"] + (["CREATE TABLE"] if self.config.create_table else [])
        granted += ["ALTER ADD COLUMN"] if self.config.add_columns else []
        with self._connected() as client:
            if not client.min_version("24.10"):  # the first that can be asked for rights
                return
            for right in granted:
                if not int(client.command(f"CHECK GRANT {right} ON {self._name}")):
                    raise AccessError(
                        f"{self.where}: user {self.config.user!r} lacks the right {right}",
                        hint=f"GRANT {right} ON {self._name} TO {self.config.user}",
                    )

    # -- rows -----------------------------------------------------------------------------------------

    def deliver(self, delivery: Delivery) -> None:
        """Insert the rows of one task; the server recognises a mark that it has."""
        self.retried(lambda: self._insert(delivery))

    def _insert(self, delivery: Delivery) -> None:
        self.ready(delivery.schema)
        # A repeated insert must have the blocks of the first one, whatever the user's profile says.
        settings: dict[str, Any] = {
            **_INSERT,
            "max_insert_threads": 1,
            "max_insert_block_size": BLOCK_ROWS,
            "min_insert_block_size_rows": BLOCK_ROWS,
            "min_insert_block_size_bytes": 256 << 20,
        }
        # Without a token of its own, an insert with the rows of another one would count as repeated. The
        # number of rows tells apart what a state that was restored from a backup sends under a mark again.
        ours = f"/{delivery.rows}" if self.config.deduplicate else f"/{secrets.token_hex(8)}"
        settings["insert_deduplication_token"] = f"{delivery.mark}{ours}"
        with self._connected() as client:
            if "deduplicate_insert" in client.server_settings:  # replaces insert_deduplicate
                settings["deduplicate_insert"] = "enable"
            client.raw_insert(
                self._name,
                column_names=[_quoted(name) for name in delivery.schema.names],
                insert_block=_stream(delivery),
                settings=settings,
                fmt="ArrowStream",
            )

    def outputs(self) -> tuple[str, ...]:
        """Return the address of the table."""
        (place,) = self.datasets()
        return (f"{place.namespace}/{place.name}",)

    def datasets(self) -> list[Dataset]:
        """Return the table, as OpenLineage names it."""
        parts = urlsplit(self.config.url)
        port = parts.port or (8443 if parts.scheme == "https" else 8123)
        return [Dataset(f"clickhouse://{parts.hostname}:{port}", self._name)]

    @property
    def _name(self) -> str:
        return f"{self.config.database}.{self.config.table}"

    # -- the connection -------------------------------------------------------------------------------

    @contextmanager
    def _connected(self) -> Iterator[Any]:
        from clickhouse_connect.driver.exceptions import ClickHouseError

        try:
            yield self._client
        except ClickHouseError as error:
            raise converted(error, self.where) from error

    @once
    def _client(self) -> Any:
        import clickhouse_connect

        logging.getLogger("clickhouse_connect").setLevel(logging.ERROR)  # errors are reported here
        config, parts = self.config, urlsplit(self.config.url)
        client = clickhouse_connect.get_client(
            interface=parts.scheme,
            host=parts.hostname or "",
            port=parts.port or (8443 if parts.scheme == "https" else 8123),
            proxy_path=parts.path,
            username=config.user,
            password=config.password.get_secret_value(),
            database=config.database,
            compress=False,  # the rows are compressed already
            connect_timeout=_CONNECT_SECS,
            send_receive_timeout=int(config.timeout),
            verify=config.verify_tls,
            ca_cert=str(self.context.path(config.ca_file)) if config.ca_file else None,
            client_name="ktrans",
            autogenerate_session_id=False,
        )
        # No redirects: the rows of a request are read once, so that none are left for another address.
        client.http_retries = False
        return client

    def close(self) -> None:
        """Close the connections."""
        client = self.__dict__.pop("_client", None)
        if client is not None:
            client.close()
        super().close()


_COLUMNS = """
    SELECT name, type FROM system.columns WHERE database = %(database)s AND table = %(table)s
    AND default_kind NOT IN ('MATERIALIZED', 'ALIAS') ORDER BY position
"""
_ENGINE = """
    SELECT engine, engine_full FROM system.tables
    WHERE database = %(database)s AND name = %(table)s
"""
_DEFAULTS = (
    "SELECT name, value FROM system.merge_tree_settings WHERE name LIKE '%deduplication_window'"
)


def _window_of(engine: str) -> str:
    """Return the setting that says how many inserts a table of an engine recognises."""
    shared = engine.startswith(("Replicated", "Shared"))
    return f"{'' if shared else 'non_'}replicated_deduplication_window"


def _windows(engine: str) -> str:
    name = _window_of(engine)
    shared = not name.startswith("non_")
    return f"{name} = {WINDOW}" + (f", {name}_seconds = {_WINDOW_SECS}" if shared else "")


def _stream(delivery: Delivery) -> Iterator[bytes]:
    """Yield the rows as an Arrow stream with plain text columns, which every version reads."""
    plain = pa.schema(
        [
            pa.field(field.name, pa.string() if pa.types.is_dictionary(field.type) else field.type)
            for field in delivery.schema
        ]
    )
    buffer = io.BytesIO()
    options = pa.ipc.IpcWriteOptions(compression="lz4")
    with pa.ipc.new_stream(buffer, plain, options=options) as writer:
        for batch in delivery.batches():
            columns = [
                column.cast(kind) for column, kind in zip(batch.columns, plain.types, strict=True)
            ]
            writer.write_batch(pa.RecordBatch.from_arrays(columns, schema=plain))
            yield buffer.getvalue()
            buffer.seek(0)
            buffer.truncate()
    yield buffer.getvalue()


def _quoted(name: str) -> str:
    return "`" + name.replace("\\", "\\\\").replace("`", "\\`") + "`"
