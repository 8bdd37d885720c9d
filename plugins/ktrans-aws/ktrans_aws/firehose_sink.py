"""The `firehose` sink: records of one or several rows for a Firehose stream.

Source: Amazon Data Firehose API Reference, PutRecordBatch: 500 records and 4 MB a request, 1,000 KB a
record, before base64.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property

from pydantic import Field

from ktrans.api import ConfigError, Dataset, KtransError
from ktrans.kit.messages.encode import DATA, MessageEncoder
from ktrans.kit.messages.send import Request, RequestLimits
from ktrans.kit.units import Size
from ktrans_aws.errors import aws_errors
from ktrans_aws.stream_sink import AwsMessageConfig, AwsMessageSink, described, failures

_MAX_RECORD_BYTES = 1_000_000
_MAX_REQUEST_BYTES = 4_000_000
_MAX_RECORDS = 500


class FirehoseSinkConfig(AwsMessageConfig, type="firehose"):
    """Writes rows to a Firehose stream, at least once.

    Firehose joins records in the files that it writes, so rows end with a line feed. It has no ids of
    records: a row that comes twice is known by its `source_uri` and `source_pos`.
    """

    stream: str = Field(
        min_length=1,
        max_length=64,
        description="Name of the stream; its source is direct PUT.",
        examples=["flows-to-redshift"],
    )
    rows_per_message: int = Field(
        1,
        ge=1,
        description="How many rows a record holds, at most. More than one costs less, since Firehose "
        "counts each record as 5 kB at least.",
        examples=[100],
    )
    line_ends: bool = Field(
        True,
        description="Whether the record of a single row ends with a line feed.",
        examples=[False],
    )
    max_record_size: Size = Field(
        _MAX_RECORD_BYTES,
        ge=1000,
        le=1_024_000,
        description="A row whose record is larger goes to the rejects (`message_too_large`).",
        examples=["500 kB"],
    )


class FirehoseSink(AwsMessageSink[FirehoseSinkConfig]):
    """Puts records into a Firehose stream; those that it does not accept are put again."""

    service = "firehose"

    @cached_property
    def encoder(self) -> MessageEncoder:
        config = self.config
        return MessageEncoder(
            self.format,
            config.max_record_size,
            config.rows_per_message,
            line_ends=config.line_ends,
        )

    @property
    def request_limits(self) -> RequestLimits:
        return RequestLimits(_MAX_RECORDS, _MAX_REQUEST_BYTES, at_once=self.config.requests_at_once)

    def datasets(self) -> list[Dataset]:
        return [Dataset("firehose", self.config.stream)]

    def outputs(self) -> tuple[str, ...]:
        return (f"firehose://{self.config.stream}",)

    def check(self) -> None:
        super().check()
        name = self.config.stream
        with aws_errors(f"look at the Firehose stream {name}", checking=True):
            answer = self.client.describe_delivery_stream(DeliveryStreamName=name)
        found = described(answer, "DeliveryStreamDescription", f"the Firehose stream {name}")
        kind = found.get("DeliveryStreamType", "DirectPut")
        if kind != "DirectPut":
            raise ConfigError(
                f"the Firehose stream {name} takes records from {kind}, not from PUT requests",
                field="stream",
                code="over_limit",
                hint="write to that source with the `kinesis` or `kafka` sink instead",
            )

    def post(self, request: Request) -> Mapping[int, KtransError]:
        """Put records; returns those that the stream did not accept."""
        name = self.config.stream
        what = f"put records into the Firehose stream {name}"
        records = [{"Data": data} for data in request.batch.column(DATA).to_pylist()]
        with aws_errors(what):
            answer = self.client.put_record_batch(DeliveryStreamName=name, Records=records)
        return failures(answer.get("RequestResponses", ()), len(records), what)
