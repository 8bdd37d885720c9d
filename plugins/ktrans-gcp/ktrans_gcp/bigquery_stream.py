"""Write streams of BigQuery: rows wait in a pending stream until it is committed.

Source: google/cloud/bigquery/storage/v1/storage.proto: an offset that is there already is answered with
ALREADY_EXISTS; a request of which rows are refused appends none of them, and names them.
"""

from __future__ import annotations

import queue
import time
from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from ktrans.api import Context, Refused, RetryableError, RunError, StageLostError
from ktrans.kit.messages.encode import spans
from ktrans.kit.retry import Retry, interruptible_sleep, with_retries
from ktrans_gcp.bigquery_config import BigQuerySinkConfig
from ktrans_gcp.bigquery_table import ACCESS, MISSING
from ktrans_gcp.bigquery_types import delivered
from ktrans_gcp.errors import google_errors
from ktrans_gcp.google_auth import credentials

_CALL_SECS = 60.0
_FLOW_SECS = 240.0
"""How long a call with many requests lasts at most; it is renewed after half of it, so that each answer is
waited for at least as long."""
_ANY_SIZE = [("grpc.max_receive_message_length", -1), ("grpc.max_send_message_length", -1)]
_ALREADY_EXISTS = 6
_DETAIL_CHARS = 400


def connect(config: BigQuerySinkConfig, context: Context) -> Any:
    """Return Google's client of the Storage Write API."""
    import grpc
    from google.cloud.bigquery_storage_v1.services.big_query_write import BigQueryWriteClient

    endpoint = (config.endpoint or "").rstrip("/")
    if endpoint.startswith("http://"):
        channel = grpc.insecure_channel(endpoint.removeprefix("http://"), options=_ANY_SIZE)
        transport = BigQueryWriteClient.get_transport_class("grpc")(channel=channel)
        return BigQueryWriteClient(transport=transport)
    options = {"api_endpoint": endpoint.removeprefix("https://")} if endpoint else {}
    return BigQueryWriteClient(credentials=credentials(config, context), client_options=options)


class Caller:
    """Makes calls, and repeats those that may pass."""

    def __init__(self, config: BigQuerySinkConfig, context: Context, client: Any) -> None:
        self.config = config
        self.client = client
        self._context = context
        self._retry = Retry(None, config.retry_time, first_wait_secs=0.2, max_wait_secs=10)

    def call(self, work: Any, what: str) -> Any:
        """Call something until it succeeds, or fails for good or for too long."""

        def attempt() -> Any:
            with google_errors(what, missing=MISSING, access=ACCESS):
                return work()

        return with_retries(
            attempt,
            self._retry,
            retry_if=lambda error: (
                isinstance(error, RetryableError) and not self._context.abandoned()
            ),
            sleep=interruptible_sleep(self._context.abandoned, self._context.clock),
            health=self._context.health,
        )

    def new_stream(self, *, fresh: bool) -> str:
        """Create a pending stream; of a table that is fresh, BigQuery may know nothing yet."""
        from google.api_core import exceptions as api
        from google.cloud.bigquery_storage_v1.types import CreateWriteStreamRequest, WriteStream

        kind = WriteStream(type_=WriteStream.Type.PENDING)
        request = CreateWriteStreamRequest(parent=self.config.path, write_stream=kind)

        def create() -> str:
            try:
                made = self.client.create_write_stream(request, retry=None, timeout=_CALL_SECS)
            except api.NotFound as error:
                if fresh:
                    raise RetryableError(str(error), code="busy") from error
                raise
            return str(made.name)

        name: str = self.call(create, f"table {self.config.name}")
        return name

    def finalize(self, stream: str) -> int:
        """End a stream; return how many rows it has."""
        made = self.call(
            lambda: self.client.finalize_write_stream(name=stream, retry=None, timeout=_CALL_SECS),
            f"a write stream of table {self.config.name}",
        )
        return int(made.row_count)

    def commit(self, streams: Sequence[str]) -> None:
        """Make the rows of streams visible together; those that are visible already stay.

        Raises:
            StageLostError: BigQuery has removed the streams.
        """
        from google.cloud.bigquery_storage_v1.types import BatchCommitWriteStreamsRequest

        what = f"rows of table {self.config.name}"
        request = BatchCommitWriteStreamsRequest(
            parent=self.config.path, write_streams=list(streams)
        )
        answer = self.call(
            lambda: self.client.batch_commit_write_streams(request, retry=None, timeout=_CALL_SECS),
            what,
        )
        found = {error.code.name: error.error_message for error in answer.stream_errors}
        if not found or (
            set(found) == {"STREAM_ALREADY_COMMITTED"} and len(answer.stream_errors) == len(streams)
        ):
            return
        said = ", ".join(f"{name}: {message}"[:_DETAIL_CHARS] for name, message in found.items())
        if set(found) == {"STREAM_NOT_FOUND"}:
            raise StageLostError(f"{what}: BigQuery has dropped what was written ({said})")
        raise RunError(f"{what} cannot be committed: {said}", code="refused")


class PendingStream:
    """Appends the rows of a task, each request at its offset.

    Attributes:
        name: of the stream.
        rows: how many rows it has.
        bytes: of the requests.
        refused: rows that BigQuery refuses.
    """

    def __init__(self, caller: Caller, name: str, schema: pa.Schema) -> None:
        self.name = name
        self.rows = self.bytes = 0
        self.refused: list[Refused] = []
        self._caller = caller
        self._schema = schema
        self._flow: _Flow | None = None

    def append(self, batch: pa.RecordBatch) -> None:
        """Append rows, and wait until BigQuery has them."""
        sent = delivered(batch, self._schema)
        limit = self._caller.config.request_size
        average = max(sent.nbytes // max(sent.num_rows, 1), 1)
        sizes = np.full(sent.num_rows, average, np.int64)
        for start, end in spans(sizes, 1 << 30, limit):
            self._part(batch.slice(start, end - start), sent.slice(start, end - start))

    def close(self) -> None:
        """End the connection."""
        if self._flow is not None:
            self._flow.close()
            self._flow = None

    def _part(self, batch: pa.RecordBatch, sent: pa.RecordBatch) -> None:
        """Append rows as one request, or as several if it is too large."""
        data = sent.serialize().to_pybytes()
        if len(data) > self._caller.config.request_size:
            if sent.num_rows == 1:
                detail = f"a row of {len(data)} bytes"
                self.refused.append(Refused(batch, "message_too_large", detail))
                return
            half = sent.num_rows // 2
            self._part(batch.slice(0, half), sent.slice(0, half))
            self._part(batch.slice(half), sent.slice(half))
            return
        what = f"a write stream of table {self._caller.config.name}"
        faults = self._caller.call(lambda: self._request(data), what)
        if not faults:
            self.rows += sent.num_rows
            self.bytes += len(data)
            return
        bad = np.zeros(sent.num_rows, np.bool_)
        for number, message in faults.items():
            bad[number] = True
            self.refused.append(Refused(batch.slice(number, 1), "row_refused", message))
        keep = pa.array(~bad)
        if not bad.all():
            self._part(batch.filter(keep), sent.filter(keep))

    def _request(self, data: bytes) -> dict[int, str]:
        """Send a request; return the rows that are refused with it, and then nothing is appended.

        Raises:
            google.api_core.exceptions.GoogleAPICallError: it failed.
        """
        from google.api_core import exceptions as api

        if self._flow is not None and self._flow.is_old():
            self.close()
        if self._flow is None:
            self._flow = _Flow(self._caller.client, self.name, self._schema)
        try:
            answer = self._flow.ask(data, self.rows)
        except BaseException:
            self.close()
            raise
        if answer.row_errors:
            return {each.index: each.message[:_DETAIL_CHARS] for each in answer.row_errors}
        if answer.error.code and answer.error.code != _ALREADY_EXISTS:
            self.close()
            raise api.from_grpc_status(answer.error.code, answer.error.message)
        return {}


class _Flow:
    """A bidirectional call: a request, its answer, the next request."""

    def __init__(self, client: Any, stream: str, schema: pa.Schema) -> None:
        self._client = client
        self._stream = stream
        self._schema = schema
        self._requests: queue.SimpleQueue[Any] = queue.SimpleQueue()
        self._answers: Any = None
        self._began = time.monotonic()

    def is_old(self) -> bool:
        return time.monotonic() - self._began > _FLOW_SECS / 2

    def ask(self, data: bytes, offset: int) -> Any:
        from google.api_core import exceptions as api
        from google.cloud.bigquery_storage_v1.types import (
            AppendRowsRequest,
            ArrowRecordBatch,
            ArrowSchema,
        )

        rows = AppendRowsRequest.ArrowData(rows=ArrowRecordBatch(serialized_record_batch=data))
        request = AppendRowsRequest(write_stream=self._stream, offset=offset, arrow_rows=rows)
        if self._answers is None:  # the schema only once a call
            schema = self._schema.serialize().to_pybytes()
            request.arrow_rows.writer_schema = ArrowSchema(serialized_schema=schema)
        self._requests.put(request)
        if self._answers is None:  # waits for the first answer
            self._answers = self._client.append_rows(
                iter(self._requests.get, None),
                retry=None,
                timeout=_FLOW_SECS,
                metadata=(("x-goog-request-params", f"write_stream={self._stream}"),),
            )
        answer = next(self._answers, None)
        if answer is None:
            raise api.ServiceUnavailable("the server ended the call")
        return answer

    def close(self) -> None:
        self._requests.put(None)
        if self._answers is not None:
            self._answers.cancel()
