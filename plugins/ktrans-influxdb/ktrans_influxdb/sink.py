"""Points into InfluxDB, while the task runs, by requests that may be repeated."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from urllib.parse import urlsplit

import pyarrow as pa

from ktrans.api import (
    ConfigError,
    Context,
    Dataset,
    EpochId,
    Receipt,
    Refused,
    Sink,
    TaskId,
    Writer,
)
from ktrans.kit.rows.influx import InfluxFormat
from ktrans_influxdb.batches import Cutter, Lines
from ktrans_influxdb.client import Client
from ktrans_influxdb.config import InfluxdbSinkConfig
from ktrans_influxdb.sender import Sender
from ktrans_influxdb.series import Seen, SeriesBudget, blame, estimate, look


@dataclass(frozen=True, slots=True)
class _Encoded:
    """A batch as lines, and the series they belong to, if they are counted."""

    lines: list[Lines]
    seen: Seen | None


class InfluxdbSink(Sink[InfluxdbSinkConfig]):
    """Writes each row as a point.

    A point's series and time follow from the row alone (option `uniqueness`), and InfluxDB keeps
    one point for each series and time: to write a row again changes nothing. So points are written
    while a task runs, and a crash at any moment neither loses nor doubles one. It has to be so
    early, because what the server refuses must be known before the epoch's rejects are closed. The
    price: points of an epoch that is not done yet can be seen.
    """

    upserts = True

    def __init__(self, config: InfluxdbSinkConfig, context: Context | None = None) -> None:
        super().__init__(config, context)
        self.format = InfluxFormat(config, self.context)
        self.client = Client(config, self.context)
        self.budget = SeriesBudget(config.max_series) if config.max_series is not None else None
        self.series_columns: list[str] = []
        self._lock = threading.Lock()
        self._pool: ThreadPoolExecutor | None = None

    def needs(self) -> Sequence[str]:
        """Name what the format needs."""
        return self.format.needs()

    def bind(self, schema: pa.Schema) -> None:
        """Find the columns that become tags, fields and times.

        Raises:
            ConfigError: one is missing, or has a type that does not fit.
        """
        self.format.bind(schema)
        settled = self.format.config  # for totals of a rollup, other defaults than for flows
        origin = ["source_uri"] if settled.uniqueness in {"object_tag", "row_tag"} else []
        tags = [name for name in settled.tags if name in schema.names]
        self.series_columns = list(dict.fromkeys([*tags, *origin]))

    def datasets(self) -> list[Dataset]:
        """Name the bucket or the database."""
        config, url = self.config, urlsplit(self.config.url)
        name = config.database or "/".join(part for part in (config.org, config.bucket) if part)
        port = url.port or (443 if url.scheme == "https" else 80)
        return [Dataset(f"influxdb://{url.hostname}:{port}", name or "/")]

    def check(self) -> None:
        """Find out whether the server is there and lets us write, by a request without points."""
        self.client.check()

    def sample(self, rows: pa.Table) -> None:
        """Estimate the series from some of the rows.

        Raises:
            ConfigError: they are probably more than max_series.
        """
        if self.config.max_series is None:
            return
        count, tags = estimate(rows, self.series_columns, self._position)
        if count > self.config.max_series:
            worst, hint = blame(tags)
            raise ConfigError(
                f"a sample of {rows.num_rows:,} rows lets expect {count:,} series or more, and "
                f"max_series is {self.config.max_series:,}{worst}",
                field="max_series",
                code="too_many_series",
                hint=hint,
            )

    @property
    def _position(self) -> str | None:
        return "source_pos" if self.config.uniqueness == "row_tag" else None

    def writer(self, task: TaskId) -> _InfluxdbWriter:
        """Give a writer; requests of all writers share a few connections."""
        del task  # points are named by their rows
        return _InfluxdbWriter(self)

    def commit(self, epoch: EpochId, receipts: Sequence[Receipt]) -> None:
        """Do nothing: the points are there."""

    def pool(self) -> ThreadPoolExecutor:
        """Give the threads that send."""
        with self._lock:
            if self._pool is None:
                self._pool = ThreadPoolExecutor(
                    self.config.connections, thread_name_prefix=f"{self.context.name}-send"
                )
            return self._pool

    def close(self) -> None:
        """End the threads and the connections."""
        with self._lock:
            if self._pool is not None:
                self._pool.shutdown(cancel_futures=True)
                self._pool = None
        self.client.close()


class _InfluxdbWriter(Writer):
    def __init__(self, sink: InfluxdbSink) -> None:
        config = sink.config
        self._sink = sink
        self._cutter = Cutter(config.batch_lines, config.batch_size)
        self._sender = Sender(
            sink.client.write,
            sink.pool(),
            ahead=config.connections + 1,
            retry_secs=config.retry_timeout,
            stopping=sink.context.stopping,
            count_field=config.count_field,
        )

    def encode(self, batch: pa.RecordBatch) -> _Encoded:
        """Make the lines, and hash the series."""
        sink, lines, first = self._sink, [], 0
        for texts in sink.format.texts(batch):
            lines.append(Lines.of(batch.slice(first, len(texts)), texts))
            first += len(texts)
        if sink.budget is None:
            return _Encoded(lines, None)
        return _Encoded(lines, look(batch, sink.series_columns, sink._position))  # noqa: SLF001

    def write(self, encoded: _Encoded) -> None:
        """Send what fills requests; the rest waits for more.

        Raises:
            RunError: the points are more series than max_series.
            KtransError: a request could not be sent.
        """
        if encoded.seen is not None and self._sink.budget is not None:
            self._sink.budget.add(encoded.seen)
        for lines in encoded.lines:
            for batch in self._cutter.add(lines):
                self._sender.send(batch)

    def finish(self) -> Receipt:
        """Send the rest and wait for all answers."""
        rest = self._cutter.flush()
        if rest.count:
            self._sender.send(rest)
        self._sender.finish()
        return Receipt(self._sender.rows, self._sender.bytes)

    def refused(self) -> Sequence[Refused]:
        """Give the rows that the server does not take, with its words."""
        return self._sender.refused()

    def abort(self) -> None:
        """Send nothing more. Points that were sent stay, and a rerun writes the same ones."""
        self._sender.abort()
