"""The `influxdb` sink: writes points with requests that may be repeated."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from urllib.parse import urlsplit

import numpy as np
import pyarrow as pa

from ktrans.api import (
    Context,
    Dataset,
    EpochId,
    Reach,
    Receipt,
    Refused,
    Sink,
    TaskId,
    Writer,
)
from ktrans.kit.http.answers import ACCEPTED, Outcome
from ktrans.kit.http.batches import Batcher, text_of, with_texts
from ktrans.kit.rows.influx import InfluxFormat
from ktrans.kit.series import TAGS, Hashes, SeriesBudget, check_estimate, hash_series
from ktrans_influxdb.client import Client
from ktrans_influxdb.config import InfluxdbSinkConfig
from ktrans_influxdb.sender import PointSender

_Encoded = tuple[list[pa.Table], Hashes | None]
"""A batch as lines, and its series if they are counted."""


class InfluxdbSink(Sink[InfluxdbSinkConfig]):
    """Writes each row as a point.

    A point's series and time depend on the row alone (option `uniqueness`), and InfluxDB keeps one
    point per series and time: writing a row again changes nothing. So points are written while a task
    runs, and a crash neither loses nor duplicates one. They cannot be written later, since refused
    points must be known before the epoch's rejects are closed. The price: points of an unfinished
    epoch are visible.
    """

    upserts = True

    def __init__(self, config: InfluxdbSinkConfig, context: Context | None = None) -> None:
        super().__init__(config, context)
        self.format = InfluxFormat(config, self.context)
        self.client = Client(config, self.context)
        self.budget = (
            SeriesBudget(config.max_series, TAGS) if config.max_series is not None else None
        )
        self.series_columns: list[str] = []
        self.pool = ThreadPoolExecutor(config.connections, f"{self.context.name}-send")

    @property
    def stages(self) -> Reach:
        """Anywhere, since points may be written repeatedly, unless series are counted."""
        return "anywhere" if self.budget is None else "here"

    @property
    def bound_because(self) -> str:
        """Why series are counted in one process."""
        return "" if self.budget is None else "it counts series for max_series in memory"

    def needs(self) -> Sequence[str]:
        """Return the columns that the format needs."""
        return self.format.needs()

    def bind(self, schema: pa.Schema) -> None:
        """Check the columns of tags, fields and times."""
        self.format.bind(schema)
        settled = self.format.config  # totals of a rollup have other defaults than flows
        origin = ["source_uri"] if settled.uniqueness in {"object_tag", "row_tag"} else []
        tags = [name for name in settled.tags if name in schema.names]
        self.series_columns = list(dict.fromkeys([*tags, *origin]))

    def datasets(self) -> list[Dataset]:
        """Return the bucket or the database."""
        config, url = self.config, urlsplit(self.config.url)
        name = config.database or "/".join(part for part in (config.org, config.bucket) if part)
        port = url.port or (443 if url.scheme == "https" else 80)
        return [Dataset(f"influxdb://{url.hostname}:{port}", name or "/")]

    def check(self) -> None:
        """Check that the server answers and permits writing, by a request without points."""
        self.client.check()

    def sample(self, rows: pa.Table) -> None:
        """Estimate the number of series from a sample."""
        check_estimate(rows, self.series_columns, self._position, self.config.max_series, TAGS)

    def hashes(self, batch: pa.RecordBatch) -> Hashes | None:
        """Return the distinct hashes of a batch's series, if they are counted."""
        if self.budget is None:
            return None
        series, tags = hash_series(batch, self.series_columns, self._position)
        return np.unique(series), tags

    @property
    def _position(self) -> str | None:
        return "source_pos" if self.config.uniqueness == "row_tag" else None

    def post(self, batch: pa.Table) -> tuple[Outcome, int]:
        """Send the lines of one request."""
        lines = text_of(batch)
        self.client.write(lines)
        return ACCEPTED, len(lines)

    def writer(self, task: TaskId) -> _InfluxdbWriter:
        """Return a writer; all writers share the connections."""
        del task  # points are identified by their rows
        return _InfluxdbWriter(self)

    def commit(self, epoch: EpochId, receipts: Sequence[Receipt]) -> None:
        """Do nothing: the points are already written."""

    def close(self) -> None:
        """Stop the threads and close the connections."""
        self.pool.shutdown(cancel_futures=True)
        self.client.close()


class _InfluxdbWriter(Writer):
    def __init__(self, sink: InfluxdbSink) -> None:
        config = sink.config
        self._sink = sink
        self._batcher = Batcher(config.batch_lines, config.batch_size)
        self._sender = PointSender(
            sink.post, sink.pool, config.connections, config.retry_timeout, sink.context
        )
        self._sender.count_field = config.count_field

    def encode(self, batch: pa.RecordBatch) -> _Encoded:
        """Encode the lines, and hash the series."""
        lines, first = [], 0
        for texts in self._sink.format.texts(batch):
            lines.append(with_texts(batch.slice(first, len(texts)), texts))
            first += len(texts)
        return lines, self._sink.hashes(batch)

    def write(self, encoded: _Encoded) -> None:
        """Send full requests; the remaining lines wait for more."""
        lines, hashes = encoded
        if hashes is not None and self._sink.budget is not None:
            self._sink.budget.add(hashes)
        for each in lines:
            for batch in self._batcher.add(each):
                self._sender.send(batch)

    def finish(self) -> Receipt:
        """Send the remaining lines and wait for all answers."""
        for rest in self._batcher.flush():
            self._sender.send(rest)
        self._sender.finish()
        outputs = [f"{place.namespace}/{place.name}" for place in self._sink.datasets()]
        return Receipt(self._sender.rows, self._sender.bytes, outputs=tuple(outputs))

    def refused(self) -> Sequence[Refused]:
        """Return the rows that the server refused, with its messages."""
        return self._sender.refused()

    def abort(self) -> None:
        """Stop sending. Points that were sent remain; a rerun writes the same ones."""
        self._sender.abort()
