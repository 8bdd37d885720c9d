"""Documents in Elasticsearch and OpenSearch, by bulk requests."""

from __future__ import annotations

import re
from collections.abc import Mapping

import msgspec
import pyarrow as pa
from pydantic import Field, SecretStr, field_validator, model_validator

from ktrans.api import (
    AccessError,
    ConfigError,
    Context,
    Dataset,
    DeliveryGuarantee,
    RetryableError,
    RunError,
)
from ktrans.kit.errors import row
from ktrans.kit.http.answers import (
    STATUSES,
    Answer,
    Fault,
    Outcome,
    as_error,
    error_of,
    shortened,
)
from ktrans.kit.http.options import HttpLoginConfig, http_url
from ktrans.kit.http.sink import HttpSink
from ktrans.kit.rows.es_bulk import EsBulkFormat, EsBulkFormatConfig, slots
from ktrans.kit.rows.pieces import Piece

_ANSWER_PARTS = (
    "errors,items.*.status,items.*.error.type,items.*.error.reason,items.*.error.caused_by.reason"
)
_OK, _THERE, _BUSY, _SERVER_FAULT = 200, 409, 429, 500
_STORED = range(200, 300)
_FOR_ALL = {401, 403, 404}
_OF_ONE_DOCUMENT = re.compile(r" in document with id '[^']*'|\[\d+:\d+\] ")
_ITEM_STATUSES = STATUSES.extended(
    row(ConfigError, 404, code="not_found", field="index", hint="create it, or check its name")
)


class ElasticsearchSinkConfig(HttpLoginConfig, EsBulkFormatConfig, type="elasticsearch"):
    """Stores rows as documents of Elasticsearch or OpenSearch.

    A document's `_id` depends on its row alone (option `id_columns`), so a row that is sent again is
    not stored twice: exactly once. In a data stream ids are unique in each backing index, so a row that
    is sent again after a rollover is there twice. Without `id_columns` rows arrive at least once.
    """

    url: str = Field(
        description="URL of the cluster.",
        examples=["https://elastic.example:9200", "http://localhost:9428/insert/elasticsearch"],
    )
    index: str = Field(
        "flows",
        description="The index or data stream. A column's value goes in by `{column}`, a time by "
        "`{column:%Y.%m.%d}` (no finer than hours).",
        examples=["flows-{@timestamp:%Y.%m.%d}", "logs-ktrans.flow-default"],
    )
    api_key: SecretStr | None = Field(
        None,
        description="An API key in its encoded form, instead of user and password.",
        examples=["${env:ELASTIC_API_KEY}"],
    )
    pipeline: str | None = Field(
        None,
        pattern=r"^[^/?#\s]+$",
        description="An ingest pipeline that the documents go through.",
        examples=["geo"],
    )

    @field_validator("url")
    @classmethod
    def _url(cls, value: str) -> str:
        return http_url(value)

    @model_validator(mode="after")
    def _one_key(self) -> ElasticsearchSinkConfig:
        if self.api_key is not None and (self.user or self.token or self.oauth2):
            raise ValueError("take one of `api_key`, `user`, `token` and `oauth2`")
        return self


class _Cause(msgspec.Struct):
    reason: str | None = None


class _Error(msgspec.Struct):
    type: str = ""
    reason: str | None = None
    caused_by: _Cause | None = None


class _Item(msgspec.Struct):
    status: int
    error: _Error | None = None


class _Result(msgspec.Struct):
    errors: bool
    items: list[dict[str, _Item]] = []


class _Privileges(msgspec.Struct):
    has_all_requested: bool


class ElasticsearchSink(HttpSink[ElasticsearchSinkConfig]):
    """Sends bulk requests; each document has an answer of its own."""

    content_type = "application/x-ndjson"
    probe = b"\n"

    def __init__(self, config: ElasticsearchSinkConfig, context: Context | None = None) -> None:
        super().__init__(config, context)
        self.format = EsBulkFormat(config, self.context)
        self.upserts = config.action == "index" and bool(config.id_columns)

    def authorization(self) -> Mapping[str, str]:
        """Return the header with the API key, if there is one."""
        key = self.config.api_key
        return {"Authorization": f"ApiKey {key.get_secret_value()}"} if key else {}

    @property
    def url(self) -> str:
        """The address of the bulk API."""
        pipeline = f"&pipeline={self.config.pipeline}" if self.config.pipeline else ""
        return f"{self.config.url}/_bulk?filter_path={_ANSWER_PARTS}{pipeline}"

    @property
    def delivery(self) -> DeliveryGuarantee | None:
        """Weaker without ids."""
        return None if self.config.id_columns else "at_least_once"

    def bind(self, schema: pa.Schema) -> None:
        """Check the columns of the id and of the index."""
        self.format.bind(schema)

    def pieces(self, batch: pa.RecordBatch) -> list[Piece]:
        """Return the pieces of an action and a document."""
        return self.format.pieces(batch)

    def outputs(self) -> tuple[str, ...]:
        """Return the address of the index."""
        return (f"{self.config.url}/{self.config.index}",)

    def datasets(self) -> list[Dataset]:
        """Return the cluster and the index."""
        return [Dataset(super().datasets()[0].namespace, self.config.index)]

    def check(self) -> None:
        """Check that the cluster takes bulk requests, and documents of this user."""
        super().check()
        names = "".join(f"{text}*" if slot else text for text, slot, _ in slots(self.config.index))
        privilege = "create_doc" if self.config.action == "create" else "index"
        asked = {"index": [{"names": [names], "privileges": [privilege]}]}
        url = f"{self.config.url}/_security/user/_has_privileges"
        headers = {"Content-Type": "application/json"}
        try:
            found = self.ask("POST", url, msgspec.json.encode(asked), headers)
        except AccessError:
            return  # of this API alone: the one for documents was permitted above
        told = found.read(_Privileges) if found.status == _OK else None
        if told is not None and not told.has_all_requested:
            raise AccessError(
                f"{self.config.url} does not permit this user to write to {names}",
                hint=f"it needs the privilege {privilege} there, and create_index if it is to make it",
            )

    def judge(self, answer: Answer, rows: int) -> Outcome:
        """Look at each document's answer where there are errors."""
        super().judge(answer, rows)
        result = answer.read(_Result)
        if result is not None and not result.errors:
            return Outcome()
        items = [each for item in result.items for each in item.values()] if result else []
        if result is None or len(items) != rows:
            raise RunError(
                f"{self.where} does not answer as a bulk API does: {answer.message}",
                code="refused",
                hint="check `url`",
            )
        return self._outcome(items)

    def _outcome(self, items: list[_Item]) -> Outcome:
        refused: dict[int, Fault] = {}
        again: list[int] = []
        error: RetryableError | None = None
        for number, item in enumerate(items):
            if (item.status in _STORED and item.error is None) or item.status == _THERE:
                continue
            told = item.error or _Error(f"status {item.status}")
            message = _message(told)
            if _passes(item.status, told):
                again.append(number)
                error = error or RetryableError(
                    f"{self.where} does not take some documents now: {message}", code="busy"
                )
            elif item.status in _FOR_ALL:
                raise as_error(
                    error_of(Answer(item.status, {}, message.encode()), self.where, _ITEM_STATUSES)
                )
            else:
                refused[number] = Fault("row_refused", message)
        return Outcome(refused, again, error)


def _passes(status: int, error: _Error) -> bool:
    """Return whether a document may be accepted later: the cluster is busy, or an index is blocked."""
    return status == _BUSY or status >= _SERVER_FAULT or error.type == "cluster_block_exception"


def _message(error: _Error) -> str:
    """Return the message without what differs from one document to the next."""
    reasons = [error.reason, error.caused_by.reason if error.caused_by else None]
    text = ": ".join(filter(None, [error.type, *reasons]))
    return shortened(_OF_ONE_DOCUMENT.sub("", text))
