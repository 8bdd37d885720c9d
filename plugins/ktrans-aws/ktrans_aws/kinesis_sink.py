"""The `kinesis` sink: a record for each row, or for several rows, in a Kinesis data stream.

Source: Amazon Kinesis API Reference, PutRecords: 500 records and 10 MiB a request, keys included;
PutRecordsRequestEntry: a partition key has 1 to 256 characters; UpdateMaxRecordSize: a stream takes
records of 1 MiB unless it is set up for up to 10 MiB.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Self

import pyarrow as pa
from pydantic import Field, model_validator

from ktrans.api import ConfigError, Dataset, KtransError
from ktrans.kit.messages.encode import DATA, MessageEncoder, check_text_column, column_text
from ktrans.kit.messages.send import Request, RequestLimits
from ktrans.kit.units import Size
from ktrans_aws.errors import aws_errors
from ktrans_aws.kinesis_stream import named
from ktrans_aws.stream_sink import AwsMessageConfig, AwsMessageSink, described, failures

_MIB = 1 << 20
_KEY = "key"
_KEY_CHARS = 256


class KinesisSinkConfig(AwsMessageConfig, type="kinesis"):
    """Writes rows to a Kinesis data stream, at least once.

    A record's partition key is its id by default: pipeline, sink, epoch, task and number. It spreads
    records over the shards, and is the same when a record is written again.
    """

    stream: str = Field(
        min_length=1,
        description="Name or ARN of the stream.",
        examples=["flows", "arn:aws:kinesis:eu-central-1:123456789012:stream/flows"],
    )
    partition_key: list[str] = Field(
        default=[],
        description="Columns that form the partition key, as text with | between them: rows with equal "
        "keys go to one shard. By default, and where all of them are null, a record's id. Needs a "
        "record a row.",
        examples=[["interface_id"]],
    )
    line_ends: bool = Field(
        False,
        description="Whether the record of a single row ends with a line feed, for consumers that join "
        "records, such as Firehose.",
        examples=[True],
    )
    max_record_size: Size = Field(
        _MIB,
        ge=1000,
        le=10 * _MIB,
        description="A row whose record is larger, key included, goes to the rejects "
        "(`message_too_large`). A stream takes 1 MiB unless it is set up for more.",
        examples=["10 MiB"],
    )

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        if self.rows_per_message > 1 and self.partition_key:
            raise ValueError("partition_key comes from one row: leave out rows_per_message")
        return self


class KinesisSink(AwsMessageSink[KinesisSinkConfig]):
    """Puts records into a stream; those that it does not accept are put again."""

    service = "kinesis"

    @cached_property
    def encoder(self) -> MessageEncoder:
        config = self.config
        return MessageEncoder(
            self.format,
            config.max_record_size - (0 if config.partition_key else _KEY_CHARS),
            config.rows_per_message,
            {_KEY: column_text(config.partition_key)} if config.partition_key else {},
            _KEY_CHARS,
            config.line_ends,
        )

    @property
    def request_limits(self) -> RequestLimits:
        overhead = 0 if self.config.partition_key else _KEY_CHARS
        # Not the 10 MiB that one may hold: a shard takes 1 MB a second, and what it refuses comes again.
        size = max(5 * _MIB, self.config.max_record_size)
        return RequestLimits(500, size, overhead, self.config.requests_at_once)

    def datasets(self) -> list[Dataset]:
        return [Dataset("kinesis", self.config.stream)]

    def outputs(self) -> tuple[str, ...]:
        return (f"kinesis://{self.config.stream}",)

    def columns(self) -> Sequence[str]:
        return self.config.partition_key

    def bind(self, schema: pa.Schema) -> None:
        """Check the format and the columns of the partition key."""
        for column in self.config.partition_key:
            check_text_column(schema, column, "partition_key", "kinesis")
        super().bind(schema)

    def check(self) -> None:
        super().check()
        with aws_errors(f"look at the stream {self.config.stream}", checking=True):
            answer = self.client.describe_stream_summary(**named(self.config.stream))
        what = f"the stream {self.config.stream}"
        found = described(answer, "StreamDescriptionSummary", what)
        largest = found.get("MaxRecordSizeInKiB", 1024) << 10
        if self.config.max_record_size > largest:
            raise ConfigError(
                f"the stream {self.config.stream} takes records of {largest >> 10} KiB",
                field="max_record_size",
                code="over_limit",
                hint="lower it, or raise the stream's limit (aws kinesis update-max-record-size)",
            )

    def post(self, request: Request) -> Mapping[int, KtransError]:
        """Put records; returns those that the stream did not accept."""
        keys = request.ids
        if self.config.partition_key:
            found = request.batch.column(_KEY).to_pylist()
            keys = [key or one for key, one in zip(found, keys, strict=True)]
        data = request.batch.column(DATA).to_pylist()
        what = f"put records into the stream {self.config.stream}"
        with aws_errors(what):
            answer = self.client.put_records(
                Records=[
                    {"Data": each, "PartitionKey": key[-_KEY_CHARS:]}
                    for each, key in zip(data, keys, strict=True)
                ],
                **named(self.config.stream),
            )
        return failures(answer.get("Records", ()), len(data), what)
