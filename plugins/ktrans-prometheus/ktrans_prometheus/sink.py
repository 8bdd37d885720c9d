"""The `prometheus` sink: totals of a rollup by remote write."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from hashlib import blake2b
from itertools import pairwise
from pathlib import Path

import msgspec
import numpy as np
import pyarrow as pa

from ktrans.api import (
    Context,
    EpochId,
    Reach,
    Receipt,
    Refused,
    RetryableError,
    TaskId,
    Writer,
)
from ktrans.kit.errors import as_unavailable
from ktrans.kit.files.path_template import slug
from ktrans.kit.files.staging import check_writable
from ktrans.kit.http.answers import ACCEPTED, Answer, Fault, Outcome, as_error
from ktrans.kit.http.batches import rows_of, text_of, with_texts
from ktrans.kit.http.sender import Sender
from ktrans.kit.http.sink import HttpSink
from ktrans.kit.series import LABELS, Hashes, SeriesBudget, check_estimate, hash_series
from ktrans_prometheus.answers import error_of_write
from ktrans_prometheus.config import PrometheusSinkConfig
from ktrans_prometheus.names import Names, names_of
from ktrans_prometheus.progress import Faults, forget_before, progress_of
from ktrans_prometheus.samples import encode_rows, times_in_ms

_NUMBER = "\0number"
"""The column of a request, a table of rows, that numbers its rows."""


class Encoded(msgspec.Struct, frozen=True):
    """Rows with the bytes of their samples.

    Attributes:
        requests: the rows of a request each, all of one time.
        times: of the requests, in milliseconds since 1970.
        hashes: of the series, if they are counted.
    """

    requests: Sequence[pa.Table]
    times: Sequence[int]
    hashes: Hashes | None


class PrometheusSink(HttpSink[PrometheusSinkConfig]):
    """Writes each total of a closed window as a sample.

    Samples are written while a task runs, window by window in the order of the rows. A sample that is
    the last of its series may be written again, so a request that fails is repeated; requests of earlier
    windows are remembered in a file, and not repeated after a crash.
    """

    content_type = "application/x-protobuf"
    stages: Reach = "here"
    bound_because = "samples of a series have to be written in the order of their times"

    def __init__(self, config: PrometheusSinkConfig, context: Context | None = None) -> None:
        super().__init__(config, context)
        limit = config.max_series
        self.budget = SeriesBudget(limit, LABELS) if limit is not None else None
        self.names = Names({}, {})

    @property
    def url(self) -> str:
        """The address of remote writes."""
        return self.config.url

    @property
    def folder(self) -> Path:
        """The folder with the progress of tasks."""
        name = f"{slug(self.context.pipeline)}.{slug(self.context.name)}"
        return self.context.path(".ktrans") / "sent" / name

    def bind(self, schema: pa.Schema) -> None:
        """Find the labels and metrics of totals.

        Raises:
            ConfigError: the rows are not totals, or a column fits no label or metric.
        """
        self.names = names_of(schema, self.config)

    def headers(self, body: bytes) -> Mapping[str, str]:
        """Return the headers of the protocol."""
        del body
        return {"Content-Encoding": "snappy", "X-Prometheus-Remote-Write-Version": "0.1.0"}

    def body(self, batch: pa.Table) -> bytes:
        """Return a compressed WriteRequest."""
        return compressed(text_of(batch))

    def judge(self, answer: Answer, rows: int) -> Outcome:
        """Return what became of samples.

        Raises:
            Refusal: some are refused.
            KtransError: the request failed.
        """
        error = error_of_write(answer, self.where, rows)
        if error is not None:
            raise error
        return ACCEPTED

    def check(self) -> None:
        """Check that requests can be remembered, and that the server takes one without samples."""
        check_writable(self.folder)
        headers = {"Content-Type": self.content_type, **self.headers(b"")}
        try:
            answer = self.client.request("POST", self.url, compressed(b""), headers)
        except RetryableError as error:
            raise as_unavailable(error) from None
        fault = error_of_write(answer, self.where, 0)
        if fault is not None:
            raise as_error(fault)

    def sample(self, rows: pa.Table) -> None:
        """Estimate the number of series from a sample."""
        check_estimate(rows, list(self.names.labels.values()), None, self.config.max_series, LABELS)

    def prepare(self, epoch: EpochId) -> None:
        """Forget what was sent in other epochs; what cannot be remembered must not be sent.

        Raises:
            AccessError: the folder with the progress cannot be written.
            ConfigError: something that is not a folder is in its place.
        """
        check_writable(self.folder)
        forget_before(self.folder, epoch)

    def writer(self, task: TaskId) -> Writer:
        """Return a writer, which goes on where earlier attempts at the task stopped."""
        return _PrometheusWriter(self, task)

    def encode(self, batch: pa.RecordBatch) -> Encoded:
        """Encode rows, and cut them into requests of one time each.

        Raises:
            RowsError: rows have no time, or one that has no form.
        """
        names, config = self.names, self.config
        times = times_in_ms(batch.column(config.time))
        encoded = encode_rows(batch, times, names.labels, names.metrics, config.labels)
        places = list(_cuts(times, config.batch_rows))
        numbers = [np.arange(last - first) for first, last in places]
        numbered = batch.append_column(
            _NUMBER, pa.array(np.concatenate([[], *numbers]), pa.int64())
        )
        rows = with_texts(numbered, encoded)
        hashes = None
        if self.budget is not None:
            series, labels = hash_series(batch, list(names.labels.values()), None)
            hashes = np.unique(series), labels
        return Encoded(
            [rows.slice(first, last - first) for first, last in places],
            [int(times[first]) for first, _ in places],
            hashes,
        )


def compressed(data: bytes) -> bytes:
    """Compress a request in Snappy's block format."""
    found: bytes = pa.compress(data, codec="snappy", asbytes=True)
    return found


def _cuts(times: np.ndarray, most: int) -> Iterator[tuple[int, int]]:
    """Yield first and last of the rows of each request: consecutive ones of the same time."""
    changes = np.flatnonzero(np.diff(times)) + 1
    for first, last in pairwise([0, *changes.tolist(), len(times)]):
        for begin in range(first, last, most):
            yield begin, min(begin + most, last)


class _PrometheusWriter(Writer):
    """Sends the requests of one time, and waits for them before those of another time."""

    def __init__(self, sink: PrometheusSink, task: TaskId) -> None:
        self._sink = sink
        self._progress = progress_of(sink.folder, task)
        self._time: int | None = None
        self._under_way: deque[tuple[str, Sender]] = deque()
        self._accepted: dict[str, Faults] = {}
        self._refused: list[Refused] = []
        self._rows = self._bytes = 0

    def encode(self, batch: pa.RecordBatch) -> Encoded:
        return self._sink.encode(batch)

    def write(self, encoded: Encoded) -> None:
        if encoded.hashes is not None and self._sink.budget is not None:
            self._sink.budget.add(encoded.hashes)
        for time, request in zip(encoded.times, encoded.requests, strict=True):
            if time != self._time:
                self._settle()
                self._time = time
            digest = blake2b(text_of(request), digest_size=16).hexdigest()
            known = self._progress.find(digest)
            if known is None:
                self._send(digest, request)
            else:
                self._rows += request.num_rows - len(known)
                self._refuse(request, known)

    def finish(self) -> Receipt:
        self._settle()
        return Receipt(self._rows, self._bytes, outputs=self._sink.outputs())

    def refused(self) -> Sequence[Refused]:
        return self._refused

    def abort(self) -> None:
        for _, sender in self._under_way:
            sender.abort()

    def _send(self, digest: str, request: pa.Table) -> None:
        sink, config = self._sink, self._sink.config
        sender = Sender(sink.post, sink.pool, 1, config.retry_timeout, sink.context)
        self._under_way.append((digest, sender))
        sender.send(request)
        if len(self._under_way) > config.connections:
            self._wait()

    def _wait(self) -> None:
        """Wait for the oldest request."""
        digest, sender = self._under_way[0]
        sender.finish()
        self._under_way.popleft()
        self._rows += sender.rows
        self._bytes += sender.bytes
        faults: dict[int, Fault] = {}
        for refused in sender.refused():
            fault = Fault(refused.reason, refused.detail)
            faults |= dict.fromkeys(refused.rows.column(_NUMBER).to_pylist(), fault)
            rows = refused.rows.drop_columns([_NUMBER])
            self._refused.append(Refused(rows, fault.reason, fault.detail))
        self._accepted[digest] = faults

    def _settle(self) -> None:
        """Wait until all requests of a time are accepted, and remember them."""
        while self._under_way:
            self._wait()
        if self._accepted:
            self._progress.add(self._accepted)
            self._accepted = {}

    def _refuse(self, request: pa.Table, faults: Faults) -> None:
        """Refuse the rows that an earlier attempt found to be refused."""
        for number, fault in faults.items():
            for rows in rows_of(request.slice(number, 1)):
                plain = rows.drop_columns([_NUMBER])
                self._refused.append(Refused(plain, fault.reason, fault.detail))
