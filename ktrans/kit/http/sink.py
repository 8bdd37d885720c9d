"""The base of sinks that send rows by HTTP requests.

>>> from ktrans.kit.http.options import HttpConfig
>>> from ktrans.kit.rows.json import object_pieces
>>> class AcmeSink(HttpSink[HttpConfig]):
...     content_type = "application/json"
...     head, tail, between = b"[", b"]", 1
...     @property
...     def url(self):
...         return "https://acme.example/rows"
...     def pieces(self, batch):
...         return object_pieces(batch.schema.names, batch.columns, nulls=False, end="},")
"""

from __future__ import annotations

import abc
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cached_property
from typing import Any, TypeVar
from urllib.parse import urlsplit

import pyarrow as pa

from ktrans.api import (
    AccessError,
    ConfigError,
    Context,
    Dataset,
    EpochId,
    Reach,
    Receipt,
    Refused,
    RetryableError,
    RunError,
    Sink,
    TaskId,
    UnavailableError,
    Writer,
)
from ktrans.kit.errors import as_unavailable
from ktrans.kit.http.answers import ACCEPTED, FOR_GOOD, Answer, Outcome, error_of, error_of_api
from ktrans.kit.http.batches import Batcher, text_of, with_texts
from ktrans.kit.http.client import HttpClient
from ktrans.kit.http.options import ConnectionConfig
from ktrans.kit.http.sender import Sender
from ktrans.kit.rows.json import check_json
from ktrans.kit.rows.pieces import Piece, texts_of

H = TypeVar("H", bound=ConnectionConfig)


class HttpSink(Sink[H]):
    """Sends rows while a task runs, since refused rows must be known before the epoch's rejects are closed.

    Rows of an unfinished epoch are visible, and rows of an epoch that fails are sent again. So rows
    arrive exactly once if the server recognizes a row that it has (an id that depends on the row
    alone), otherwise at least once. Declare it in the Spec.

    Subclasses say with `url` and `pieces` where rows go and what they look like, with `judge` what
    an answer means, and with `check` how to find out whether rows would be accepted, without rows.

    Attributes:
        method: of requests with rows.
        content_type: of their bodies.
        head: what a body begins with.
        tail: what it ends with.
        between: how many bytes at the end of a row separate it from the next one: the last row's
            are left out.
        probe: a body without rows that the API takes, or refuses without harm, for `check`.
    """

    method: str = "POST"
    content_type: str = "application/json"
    head: bytes = b""
    tail: bytes = b""
    between: int = 0
    probe: bytes | None = None

    stages: Reach = "anywhere"

    def __init__(self, config: H, context: Context | None = None) -> None:
        super().__init__(config, context)
        self.pool = ThreadPoolExecutor(config.connections, f"{self.context.name}-send")

    @property
    @abc.abstractmethod
    def url(self) -> str:
        """The address of requests with rows."""

    def pieces(self, batch: pa.RecordBatch) -> list[Piece]:
        """Return the pieces of each row's text, with what ends or separates it. Pure; any thread."""
        raise NotImplementedError

    def texts(self, batch: pa.RecordBatch) -> list[pa.Array]:
        """Return each row's text or bytes as consecutive arrays; override it to do without `pieces`."""
        return texts_of(batch, self.pieces)

    @cached_property
    def client(self) -> HttpClient:
        """What sends requests."""
        return HttpClient(self.config, self.context, self.authorization)

    def authorization(self) -> Mapping[str, str]:
        """Return headers that authenticate a request, besides those of the options; any thread."""
        return {}

    def headers(self, body: bytes) -> Mapping[str, str]:
        """Return more headers of a request with this body."""
        del body
        return {}

    def body(self, batch: pa.Table) -> bytes:
        """Return the body of a request: head, the texts of the rows, tail."""
        text = text_of(batch)
        return b"".join((self.head, memoryview(text)[: len(text) - self.between], self.tail))

    def judge(self, answer: Answer, rows: int) -> Outcome:
        """Return what became of the rows of a request; by default its status tells.

        A web page is no success, whatever its status.

        Raises:
            Refusal: the request is refused because of its rows.
            KtransError: it failed, perhaps only for now.
        """
        del rows
        error = error_of_api(answer, self.where)
        if error is not None:
            raise error
        return ACCEPTED

    @property
    def where(self) -> str:
        """The address for messages, without its query."""
        return self.url.partition("?")[0]

    def post(self, batch: pa.Table) -> tuple[Outcome, int]:
        """Send one request with rows; return what became of them, and the size of the body."""
        body = self.body(batch)
        headers = {"Content-Type": self.content_type, **self.headers(body)}
        answer = self.client.request(self.method, self.url, body, headers)
        return self.judge(answer, batch.num_rows), len(body)

    def check(self) -> None:
        """Check that the server answers, and does not refuse the credentials or the address."""
        self.probed()

    def probed(self) -> Answer:
        """Send the `probe` as rows would be sent, or a HEAD request if there is none; return the answer.

        Raises:
            UnavailableError: no answer, or the server says that it is not available.
            AccessError: it refuses the credentials.
            ConfigError: there is no such address.
            RunError: it answers with a web page.
        """
        if self.probe is None:  # an API may know other methods alone, or another page by this one
            answer = self.ask("HEAD", self.url)
            error = error_of(answer, self.where) if answer.status in FOR_GOOD else None
        else:
            headers = {"Content-Type": self.content_type, **self.headers(self.probe)}
            answer = self.ask(self.method, self.url, self.probe, headers)
            error = error_of_api(answer, self.where)
        if isinstance(error, ConfigError | RunError):
            raise error
        return answer

    def ask(
        self,
        method: str,
        url: str,
        body: bytes | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Answer:
        """Send a request without rows, for `check`, and return the answer if the server works.

        Raises:
            UnavailableError: no answer, or the server says that it is not available.
            AccessError: it refuses the credentials.
        """
        try:
            answer = self.client.request(method, url, body, headers)
        except RetryableError as error:
            raise as_unavailable(error) from None
        found = error_of(answer, url.partition("?")[0])
        if isinstance(found, RetryableError):
            raise UnavailableError(found.message, code=found.code, hint=found.hint)
        if isinstance(found, AccessError):
            raise found
        return answer

    def bind(self, schema: pa.Schema) -> None:
        """Check that the columns have a JSON form; override this for other texts."""
        check_json(schema)

    def datasets(self) -> list[Dataset]:
        """Return the server and the path."""
        url = urlsplit(self.url)
        port = url.port or (443 if url.scheme == "https" else 80)
        return [Dataset(f"{url.scheme}://{url.hostname}:{port}", url.path or "/")]

    def outputs(self) -> tuple[str, ...]:
        """Return the destination's names, for receipts."""
        return (self.where,)

    def writer(self, task: TaskId) -> Writer:
        """Return a writer; all writers share the connections."""
        del task
        return _HttpWriter(self)

    def commit(self, epoch: EpochId, receipts: Sequence[Receipt]) -> None:
        """Do nothing: the rows are already sent."""

    def close(self) -> None:
        """Stop the threads and close the connections."""
        self.pool.shutdown(cancel_futures=True)
        made: HttpClient | None = self.__dict__.pop("client", None)
        if made is not None:
            made.close()


class _HttpWriter(Writer):
    def __init__(self, sink: HttpSink[Any]) -> None:
        config = sink.config
        self._sink = sink
        self._batcher = Batcher(config.batch_rows, config.batch_size)
        self._sender = Sender(
            sink.post, sink.pool, config.connections, config.retry_timeout, sink.context
        )

    def encode(self, batch: pa.RecordBatch) -> list[pa.Table]:
        encoded, first = [], 0
        for texts in self._sink.texts(batch):
            encoded.append(with_texts(batch.slice(first, len(texts)), texts))
            first += len(texts)
        return encoded

    def write(self, encoded: list[pa.Table]) -> None:
        for rows in encoded:
            for batch in self._batcher.add(rows):
                self._sender.send(batch)

    def finish(self) -> Receipt:
        for rest in self._batcher.flush():
            self._sender.send(rest)
        self._sender.finish()
        return Receipt(self._sender.rows, self._sender.bytes, outputs=self._sink.outputs())

    def refused(self) -> Sequence[Refused]:
        return self._sender.refused()

    def abort(self) -> None:
        self._sender.abort()
