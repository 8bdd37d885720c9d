"""The `bigquery` sink: rows in pending streams of a table, committed together."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pyarrow as pa

from ktrans.api import Dataset, EpochId, Reach, Receipt, Refused, RunError, Sink, TaskId, Writer
from ktrans.kit.objects.once import once
from ktrans_gcp.bigquery_config import BigQuerySinkConfig
from ktrans_gcp.bigquery_stream import Caller, PendingStream, connect
from ktrans_gcp.bigquery_table import ACCESS, MISSING, Table
from ktrans_gcp.bigquery_types import delivered_schema
from ktrans_gcp.errors import google_errors


class BigQuerySink(Sink[BigQuerySinkConfig]):
    """Adds rows to a table, exactly once.

    Each task writes to a pending stream, which nobody sees; `commit` makes those of an epoch visible in
    one step, and twice is harmless. BigQuery drops streams that are never committed.
    """

    recognises = False  # another attempt has other streams

    _table: Table
    _schema: pa.Schema

    @property
    def stages(self) -> Reach:
        """Anywhere, since BigQuery keeps the rows."""
        return "anywhere"

    def datasets(self) -> list[Dataset]:
        return [Dataset("bigquery", self.config.name)]

    def bind(self, schema: pa.Schema) -> None:
        self._table = Table(self.config, self.context, schema)
        self._schema = delivered_schema(schema)

    def check(self) -> None:
        self._table.check()

    def writer(self, task: TaskId) -> Writer:
        del task  # a stream has a name of its own
        return _BigQueryWriter(self)

    def open(self) -> PendingStream:
        """Create a stream, and the table before."""
        fresh = self._fresh
        return PendingStream(self.caller, self.caller.new_stream(fresh=fresh), self._schema)

    def commit(self, epoch: EpochId, receipts: Sequence[Receipt]) -> None:
        """Make the rows of all tasks visible together."""
        del epoch
        streams = [receipt.data["stream"] for receipt in receipts if receipt.data]
        if streams:
            self.caller.commit(streams)

    def close(self) -> None:
        client = self.__dict__.pop("_client", None)
        self.__dict__.pop("caller", None)
        if client is not None:
            client.transport.close()

    @once
    def _fresh(self) -> bool:
        """Whether the table was created by this process; the first access looks at it."""
        return self._table.ready()

    @once
    def _client(self) -> Any:
        with google_errors(f"table {self.config.name}", missing=MISSING, access=ACCESS):
            return connect(self.config, self.context)

    @once
    def caller(self) -> Caller:
        """What makes calls."""
        return Caller(self.config, self.context, self._client)


class _BigQueryWriter(Writer):
    def __init__(self, sink: BigQuerySink) -> None:
        self._sink = sink
        self._stream: PendingStream | None = None

    def write(self, encoded: pa.RecordBatch) -> None:
        if encoded.num_rows:
            if self._stream is None:
                self._stream = self._sink.open()
            self._stream.append(encoded)

    def finish(self) -> Receipt:
        stream = self._stream
        if stream is None:
            return Receipt(0)
        stream.close()
        if not stream.rows:
            return Receipt(0)
        count = self._sink.caller.finalize(stream.name)
        if count != stream.rows:
            raise RunError(
                f"a write stream of table {self._sink.config.name} has {count} rows instead of"
                f" {stream.rows}",
                code="refused",
            )
        place = f"bigquery://{self._sink.config.name}"
        return Receipt(stream.rows, stream.bytes, {"stream": stream.name}, (place,))

    def refused(self) -> Sequence[Refused]:
        return self._stream.refused if self._stream is not None else ()

    def abort(self) -> None:
        if self._stream is not None:
            self._stream.close()
