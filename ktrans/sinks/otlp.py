"""Logs and metrics for OpenTelemetry collectors and stores, by OTLP over HTTP (protobuf)."""

from __future__ import annotations

from typing import Any, Literal

import pyarrow as pa
import pyarrow.compute as pc
from pydantic import Field, field_validator

from ktrans.api import ConfigError
from ktrans.kit.http.answers import ACCEPTED, Answer, Fault, Outcome, Refusal
from ktrans.kit.http.batches import groups_of, text_of
from ktrans.kit.http.events import EventConfig, EventTimes
from ktrans.kit.http.options import HttpLoginConfig, http_url
from ktrans.kit.http.sink import HttpSink
from ktrans.kit.rows import protobuf as pb
from ktrans.kit.rows.json import check_json, json_text
from ktrans.kit.rows.points import series_of
from ktrans.kit.rows.scalars import is_number, is_scalar, scalar_text

_compute: Any = pc
_DELTA, _INFO = 1, 9
_OF_LOGS = {"timeUnixNano", "observedTimeUnixNano", "severityNumber", "severityText", "body"}
"""Columns of `to_otel` that are fields of a log record; `resource` and `attributes` are structs."""


class OtlpSinkConfig(EventConfig, HttpLoginConfig, type="otlp"):
    """Sends rows as log records, or the totals of a rollup as metrics, by OTLP over HTTP, at least once.

    Records that `to_otel` made keep their resource, attributes and body. Of other rows each column is an
    attribute.
    """

    url: str = Field(
        description="URL of the receiver, without /v1/logs or /v1/metrics.",
        examples=["http://collector.example:4318", "http://localhost:9428/insert/opentelemetry"],
    )
    signal: Literal["logs", "metrics"] = Field(
        "logs",
        description="`metrics` takes the totals of a rollup that writes each window once; each value is a"
        " metric, with the groups as attributes.",
        examples=["metrics"],
    )
    service: str = Field(
        "ktrans", min_length=1, description="The resource's service.name.", examples=["flow-logs"]
    )
    metric_prefix: str = Field(
        "flow.", description="What the names of metrics begin with.", examples=["flow.", ""]
    )
    gauges: tuple[str, ...] = Field(
        (),
        description="Values that are no sums, such as averages and distinct counts: gauges. The others"
        " are sums of their window (delta).",
        examples=[["sources"]],
    )

    @field_validator("url")
    @classmethod
    def _url(cls, value: str) -> str:
        return http_url(value)


class OtlpSink(HttpSink[OtlpSinkConfig]):
    """Sends export requests; records are grouped by their resource."""

    content_type = "application/x-protobuf"
    probe = b""

    @property
    def url(self) -> str:
        """The address of the signal."""
        return f"{self.config.url}/v1/{self.config.signal}"

    def bind(self, schema: pa.Schema) -> None:
        """Find the time of a row and, for metrics, the values and the groups.

        Raises:
            ConfigError: the rows are not those of a rollup, or a gauge is none of their values.
        """
        check_json(schema)
        self.times = EventTimes(self.config, schema)
        self.schema = schema
        if self.config.signal == "logs":
            return
        self.series = series_of(schema)
        if self.series is None or "window_end" not in schema.names:
            raise ConfigError(
                "metrics are made of the totals of a rollup, and these rows are others",
                field="signal",
                code="column_missing",
                hint="put a rollup before this sink, or take `signal: logs`",
            )
        for name in self.config.gauges:
            if name not in self.series["fields"]:
                raise ConfigError(
                    f"gauges: {name!r} is no value of the rollup",
                    field="gauges",
                    code="column_missing",
                    hint=f"they are: {', '.join(self.series['fields'])}",
                )

    def texts(self, batch: pa.RecordBatch) -> list[pa.Array]:
        """Return each row's log record, or its metrics."""
        if not batch.num_rows:
            return []
        return [self._records(batch) if self.config.signal == "logs" else self._metrics(batch)]

    def body(self, batch: pa.Table) -> bytes:
        """Return an export request: for each resource its records."""
        scope = pb.field_bytes(1, pb.field_bytes(1, b"ktrans"))
        service = pb.field_bytes(1, _service(self.config.service))
        made = []
        for resource, rows in groups_of(batch, self._resources(batch)):
            whole = pb.field_bytes(1, service + resource)
            made.append(pb.field_bytes(1, whole + pb.field_bytes(2, scope + text_of(rows))))
        return b"".join(made)

    def judge(self, answer: Answer, rows: int) -> Outcome:
        """Look at how many records were refused.

        Raises:
            Refusal: some were; which ones is not told.
        """
        super().judge(answer, rows)
        count, text = _partial_success(answer.body)
        if count:
            if self.config.signal == "metrics":  # of which a row has several
                detail = f"{self.where} refuses {count} data points of {rows} rows: {text}"
                raise Refusal(Fault("row_refused", detail))
            detail = f"{self.where} refuses {count} of {rows} records: {text}"
            raise Refusal(Fault("row_refused", detail), dropped=count)
        return ACCEPTED

    def _resources(self, batch: pa.Table) -> pa.Array:
        """Return the attributes of each row's resource."""
        if self.config.signal == "metrics" or not _is_struct(self.schema, "resource"):
            return pa.array([b""]).take(pa.array([0] * batch.num_rows))
        made = [
            pb.message(_attributes(1, _members(rows.column("resource"))), rows.num_rows)
            for rows in batch.to_batches()
        ]
        return pa.concat_arrays(made)

    def _records(self, batch: pa.RecordBatch) -> pa.Array:
        names = set(batch.schema.names)
        times = self.times.unix(batch, "ns")
        fields = [pb.fixed64(1, times)]
        number = pa.array([_INFO] * batch.num_rows, pa.int32())
        fields.append(
            pb.varint(2, batch.column("severityNumber") if "severityNumber" in names else number)
        )
        if "severityText" in names:
            fields.append(pb.delimited(3, _plain(batch.column("severityText"))))
        if "body" in names:
            fields.append(pb.delimited(5, _value(batch.column("body"))))
        if "observedTimeUnixNano" in names:
            fields.append(pb.fixed64(11, batch.column("observedTimeUnixNano")))
        fields += _attributes(6, self._columns(batch))
        return pb.delimited(2, pb.message(fields, batch.num_rows))

    def _columns(self, batch: pa.RecordBatch) -> list[tuple[str, pa.Array]]:
        """Return what becomes attributes: the members of `attributes`, and all other columns."""
        found: list[tuple[str, pa.Array]] = []
        for name, column in zip(batch.schema.names, batch.columns, strict=True):
            if name in {"attributes", "resource"} and pa.types.is_struct(column.type):
                found += _members(column) if name == "attributes" else []
            elif name not in _OF_LOGS:
                found.append((name, column))
        return found

    def _metrics(self, batch: pa.RecordBatch) -> pa.Array:
        assert self.series is not None
        tags = [(name, batch.column(name)) for name in self.series["tags"]]
        point = [
            *_attributes(7, tags),
            pb.fixed64(2, self.times.unix(batch, "ns")),
            pb.fixed64(3, self._ends(batch)),
        ]
        metrics = []
        for name in self.series["fields"]:
            values = batch.column(name)
            if not is_number(values.type):
                continue
            number = 4 if pa.types.is_floating(values.type) else 6
            whole = pb.message([*point, pb.fixed64(number, values)], batch.num_rows)
            data = _compute.if_else(values.is_valid(), whole, pa.scalar(None, pa.binary()))
            metrics.append(self._metric(name, pb.delimited(1, data)))
        return pb.message(metrics, batch.num_rows)

    def _ends(self, batch: pa.RecordBatch) -> pa.Array:
        micros = batch.column("window_end").cast(pa.timestamp("us", "UTC")).cast(pa.int64())
        return _compute.multiply_checked(micros, pa.scalar(1000, pa.int64()))

    def _metric(self, name: str, point: pa.Array) -> pa.Array:
        """Return a metric of one point a row, null where there is no point."""
        head = pa.scalar(
            pb.field_bytes(1, f"{self.config.metric_prefix}{name}".encode()), pa.binary()
        )
        empty = pa.scalar(b"", pa.binary())
        if name in self.config.gauges:
            data = pb.delimited(5, point)
        else:
            sums = pa.scalar(b"\x10" + pb.number_bytes(_DELTA) + b"\x18\x01", pa.binary())
            data = pb.delimited(7, _compute.binary_join_element_wise(point, sums, empty))
        return pb.delimited(2, _compute.binary_join_element_wise(head, data, empty))


def _attributes(field: int, columns: list[tuple[str, pa.Array]]) -> list[pa.Array]:
    """Return fields of key and value, null where the value is null."""
    made = []
    for name, column in columns:
        if column.null_count == len(column):
            continue
        key = pa.scalar(pb.field_bytes(1, name.encode()), pa.binary())
        values, indices = column, None
        if pa.types.is_dictionary(column.type):
            values, indices = column.dictionary, column.indices
        value = pb.delimited(2, _value(values))
        pair = _compute.binary_join_element_wise(key, value, pa.scalar(b"", pa.binary()))
        whole = pb.delimited(field, pair)
        made.append(whole if indices is None else whole.take(indices))
    return made


def _value(column: pa.Array) -> pa.Array:
    """Return values as the message AnyValue, null where the value is null."""
    kind = column.type
    if pa.types.is_boolean(kind):
        return pb.varint(2, column)
    if pa.types.is_integer(kind) and kind != pa.uint64():
        return pb.varint(3, column)
    if pa.types.is_floating(kind):
        return pb.fixed64(4, column)
    if pa.types.is_map(kind) or not is_scalar(kind):
        return pb.delimited(1, json_text(column))
    return pb.delimited(1, scalar_text(column))


def _plain(column: pa.Array) -> pa.Array:
    return column.cast(pa.string()) if pa.types.is_dictionary(column.type) else column


def _members(column: pa.Array) -> list[tuple[str, pa.Array]]:
    """Return the members of a struct, null where it is null."""
    names = [column.type.field(index).name for index in range(column.type.num_fields)]
    return list(zip(names, column.flatten(), strict=True))


def _is_struct(schema: pa.Schema, name: str) -> bool:
    return name in schema.names and pa.types.is_struct(schema.field(name).type)


def _service(name: str) -> bytes:
    value = pb.field_bytes(1, name.encode())
    return pb.field_bytes(1, b"service.name") + pb.field_bytes(2, value)


def _partial_success(body: bytes) -> tuple[int, str]:
    """Return how many records an answer says were refused, and why (ExportLogsPartialSuccess)."""
    outer = dict(pb.read_fields(body))
    inner = outer.get(1)
    if not isinstance(inner, bytes):
        return 0, ""
    found = dict(pb.read_fields(inner))
    count, text = found.get(1, 0), found.get(2, b"")
    return (
        count if isinstance(count, int) else 0,
        text.decode("utf-8", "replace") if isinstance(text, bytes) else "",
    )
