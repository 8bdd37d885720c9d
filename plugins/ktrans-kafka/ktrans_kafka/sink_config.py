"""Options of the `kafka` sink."""

from __future__ import annotations

from typing import ClassVar, Literal, Self

from pydantic import Field, SecretStr, field_validator, model_validator

from ktrans.kit.units import Duration, Size, WholeSeconds
from ktrans_kafka.client import KafkaOptions
from ktrans_kafka.encode_topic import parse_topic

Encoding = Literal["json", "avro", "protobuf", "arrow", "parquet"]
BY_BATCH = ("arrow", "parquet")
WITH_SCHEMA = ("avro", "protobuf")


class KafkaSinkConfig(KafkaOptions):
    """Options of the Kafka sink."""

    owned: ClassVar[dict[str, str]] = {
        "transactional.id": "it follows from the names of pipeline and sink",
        "enable.idempotence": "idempotence",
        "acks": "always all",
        "request.required.acks": "always all",
        "delivery.report.only.error": "always on",
        "transaction.timeout.ms": "transaction_timeout",
        "message.timeout.ms": "delivery_timeout",
        "delivery.timeout.ms": "delivery_timeout",
        "message.max.bytes": "max_record_size",
        "compression.type": "compression",
        "compression.codec": "compression",
        "linger.ms": "linger",
        "queue.buffering.max.ms": "linger",
        "queue.buffering.max.kbytes": "buffer_size",
        "queue.buffering.max.messages": "buffer_size",
        "partitioner": "partitioner",
    }

    type: Literal["kafka"] = Field("kafka", description="A Kafka topic.", examples=["kafka"])
    topic: str = Field(
        description="Where records go. {column} takes a row's own text or number, behind a prefix"
        " of fixed text; characters that no topic name has become _, and a missing value"
        " `unknown`.",
        examples=["flows", "flows-{provider}"],
    )
    max_topics: int = Field(
        100,
        ge=1,
        description="The run stops when the rows name more topics than this: most likely the wrong"
        " column makes them.",
        examples=[100],
    )
    encoding: Encoding = Field(
        "json",
        description="What a record holds: one row as JSON, Avro or Protobuf, or a batch of rows as"
        " an Arrow stream or a Parquet file.",
        examples=["json", "avro", "protobuf", "arrow", "parquet"],
    )
    json_nulls: Literal["omit", "write"] = Field(
        "omit",
        description="Whether members without a value are left out of JSON or written as null.",
        examples=["omit", "write"],
    )
    framing: Literal["auto", "registry", "single_object", "raw"] = Field(
        "auto",
        description="What stands before an Avro or Protobuf datum: the schema's number in the"
        " registry; Avro's single-object header with the schema's fingerprint; nothing. By default"
        " `registry` with a registry_url, without one `single_object` for Avro and `raw` for"
        " Protobuf.",
        examples=["auto", "raw"],
    )
    schema_name: str = Field(
        "ktrans.Flow",
        pattern=r"^[A-Za-z_][A-Za-z0-9_]*(\.[A-Za-z_][A-Za-z0-9_]*)*$",
        description="Full name of the Avro record or Protobuf message.",
        examples=["ktrans.Flow", "com.example.net.Flow"],
    )
    registry_url: str | None = Field(
        None,
        pattern=r"^https?://",
        description="Address of a Confluent Schema Registry, or of what speaks its protocol.",
        examples=["https://registry.example.com:8081"],
    )
    registry_username: str | None = Field(
        None, description="Who logs in there (HTTP Basic).", examples=["ktrans"]
    )
    registry_password: SecretStr | None = Field(
        None, description="The password there.", examples=["${env:REGISTRY_PASSWORD}"]
    )
    registry_token: SecretStr | None = Field(
        None, description="A bearer token instead of both.", examples=["${env:REGISTRY_TOKEN}"]
    )
    registry_ca_file: str | None = Field(
        None,
        description="Certificates of the authorities that the registry's one is signed by (PEM).",
        examples=["/etc/ktrans/registry-ca.pem"],
    )
    register_schemas: bool = Field(
        True,
        description="Whether schemas that the registry does not have are registered; otherwise"
        " they must be there.",
        examples=[True, False],
    )
    subject_strategy: Literal["topic_name", "record_name", "topic_record_name"] = Field(
        "topic_name",
        description="The subject of a schema: `<topic>-value`, the record's name, or both as"
        " `<topic>-<name>`.",
        examples=["topic_name"],
    )
    key: list[str] = Field(
        default=[],
        description="Columns that make a record's key, as text; records of equal keys go to one"
        " partition. A row without any of them has no key.",
        examples=[["account_id", "interface_id"]],
    )
    key_separator: str = Field(
        "|", description="What stands between the columns of a key.", examples=["|"]
    )
    headers: dict[str, str] = Field(
        default={},
        description="Headers that every record gets.",
        examples=[{"producer": "ktrans"}],
    )
    header_columns: list[str] = Field(
        default=[],
        description="Columns that become headers under their own names, where they have a value.",
        examples=[["provider", "log_type"]],
    )
    timestamp_column: str | None = Field(
        None,
        description="The time column that makes a record's timestamp; by default the time of"
        " sending. Retention of a topic goes by it.",
        examples=["end_time"],
    )
    partitioner: Literal[
        "murmur2_random",
        "murmur2",
        "consistent_random",
        "consistent",
        "fnv1a_random",
        "fnv1a",
        "random",
    ] = Field(
        "murmur2_random",
        description="How a key chooses its partition; `murmur2_random` does as Java clients do."
        " Those with `_random` spread records without a key.",
        examples=["murmur2_random"],
    )
    delivery: Literal["exactly_once", "at_least_once"] = Field(
        "exactly_once",
        description="Whether records come in transactions, so that readers with"
        " `isolation.level=read_committed` see each row once; or without, at once, for brokers that"
        " have none: a crash then sends the rows of an epoch again.",
        examples=["exactly_once", "at_least_once"],
    )
    idempotence: bool = Field(
        True,
        description="Whether brokers leave out what a retry sends a second time. To be turned off"
        " only for brokers that cannot do so, with delivery at_least_once.",
        examples=[True],
    )
    compression: Literal["none", "gzip", "snappy", "lz4", "zstd"] = Field(
        "lz4",
        description="Compression of record batches.",
        examples=["lz4", "zstd", "gzip"],
    )
    linger: Duration = Field(
        0.05,
        ge=0,
        le=900,
        description="How long a record waits for others to be sent in the same batch.",
        examples=[0.05],
    )
    batch_size: Size = Field(
        1_000_000,
        ge=1,
        le=2_000_000_000,
        description="Size of a record batch before compression; max_record_size bounds it too.",
        examples=[1_000_000],
    )
    max_record_size: Size = Field(
        1_000_000,
        ge=1000,
        le=1_000_000_000,
        description="The largest record, with key, headers and Kafka's own envelope, before"
        " compression. No more than the topic's max.message.bytes. Larger rows become rejects"
        " `record_too_large`.",
        examples=[1_000_000],
    )
    buffer_size: Size = Field(
        64 << 20,
        ge=1 << 20,
        le=2_000_000_000,
        description="Records of one task that wait to be acknowledged; writing pauses beyond it.",
        examples=[67_108_864],
    )
    delivery_timeout: Duration = Field(
        120.0,
        ge=1,
        description="How long a record, or a commit, is tried before the attempt has failed.",
        examples=[120],
    )
    transaction_timeout: WholeSeconds = Field(
        900,
        ge=10,
        description="After this time the broker aborts a transaction by itself, so an epoch must"
        " not take longer; and readers wait for it if a run dies and is not started again. The"
        " broker's transaction.max.timeout.ms bounds it.",
        examples=[900, 3600],
    )

    @field_validator("topic")
    @classmethod
    def _topic(cls, value: str) -> str:
        parse_topic(value)
        return value

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        if self.encoding in BY_BATCH:
            for name in ("key", "header_columns", "timestamp_column"):
                if getattr(self, name):
                    raise ValueError(
                        f"{name} is a row's, but a record of encoding {self.encoding} holds many"
                        " rows; leave it out"
                    )
        if self.delivery == "exactly_once" and not self.idempotence:
            raise ValueError("delivery: exactly_once needs idempotence: true")
        if self.delivery == "exactly_once" and (self.delivery_timeout > self.transaction_timeout):
            raise ValueError("delivery_timeout must not exceed transaction_timeout")
        return self

    @model_validator(mode="after")
    def _framed(self) -> Self:
        if self.encoding not in WITH_SCHEMA:
            if self.framing != "auto" or self.registry_url:
                raise ValueError("framing and registry_url are for encoding avro and protobuf")
        elif self.framing == "registry" and self.registry_url is None:
            raise ValueError("framing: registry needs registry_url")
        elif self.framing == "single_object" and self.encoding == "protobuf":
            raise ValueError("framing: single_object is Avro's; take raw or registry for protobuf")
        elif self.framing in ("single_object", "raw") and self.registry_url:
            raise ValueError(f"framing: {self.framing} does not use the registry_url")
        if (self.registry_username is None) != (self.registry_password is None):
            raise ValueError("registry_username and registry_password go together")
        if self.registry_token is not None and self.registry_username is not None:
            raise ValueError("give registry_token or registry_username, not both")
        return self
