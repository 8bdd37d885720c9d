"""Options of the `kafka` sink."""

from __future__ import annotations

from typing import ClassVar, Literal, Self

from pydantic import Field, SecretStr, field_validator, model_validator

from ktrans.kit.units import Duration, Size, WholeSeconds
from ktrans_kafka.client import KafkaConfig
from ktrans_kafka.encode_parts import parse_topic

Encoding = Literal["json", "avro", "protobuf", "arrow", "parquet"]
BY_BATCH = ("arrow", "parquet")
WITH_SCHEMA = ("avro", "protobuf")


class KafkaSinkConfig(KafkaConfig, type="kafka"):
    """Options of the Kafka sink."""

    owned: ClassVar[dict[str, str]] = {
        "transactional.id": "it is derived from the names of pipeline and sink",
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
        "queue.buffering.max.messages": "unlimited; see queue.buffering.max.kbytes",
    }

    topic: str = Field(
        description="Topic of the records. {column} is replaced by the row's value, after a prefix of"
        " fixed text; characters that are invalid in topic names become _, and null becomes"
        " `unknown`.",
        examples=["flows", "flows-{provider}"],
    )
    max_topics: int = Field(
        100,
        ge=1,
        description="The run stops when the rows have more topics than this, which is most likely a"
        " wrong column. They are counted in one process: tasks run there if `topic` has columns.",
        examples=[100],
    )
    encoding: Encoding = Field(
        "json",
        description="Content of a record: one row as JSON, Avro or Protobuf, or a batch of rows as"
        " an Arrow stream or a Parquet file.",
        examples=["json", "avro", "protobuf", "arrow", "parquet"],
    )
    json_nulls: Literal["omit", "write"] = Field(
        "omit",
        description="Whether nulls are omitted from JSON objects or written.",
        examples=["omit", "write"],
    )
    framing: Literal["auto", "registry", "single_object", "raw"] = Field(
        "auto",
        description="Prefix of an Avro or Protobuf datum: the schema id of the registry (`registry`);"
        " Avro's single-object header with the schema's fingerprint; nothing (`raw`). The default"
        " is `registry` with a registry_url, otherwise `single_object` for Avro and `raw` for"
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
        description="URL of a Confluent Schema Registry, or a compatible one.",
        examples=["https://registry.example.com:8081"],
    )
    registry_username: str | None = Field(
        None, description="User name for the registry (HTTP Basic).", examples=["ktrans"]
    )
    registry_password: SecretStr | None = Field(
        None, description="Password for the registry.", examples=["${env:REGISTRY_PASSWORD}"]
    )
    registry_token: SecretStr | None = Field(
        None, description="Bearer token for the registry.", examples=["${env:REGISTRY_TOKEN}"]
    )
    registry_ca_file: str | None = Field(
        None,
        description="CA certificates to verify the registry with (PEM).",
        examples=["/etc/ktrans/registry-ca.pem"],
    )
    register_schemas: bool = Field(
        True,
        description="Register schemas that the registry does not have; otherwise they must exist.",
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
        description="Columns that form a record's key, as text with | between them; records with equal"
        " keys go to the same partition. The key is null if all of them are null.",
        examples=[["account_id", "interface_id"]],
    )
    headers: dict[str, str] = Field(
        default={},
        description="Headers of every record.",
        examples=[{"producer": "ktrans"}],
    )
    header_columns: list[str] = Field(
        default=[],
        description="Columns that become headers with the column's name; nulls are omitted.",
        examples=[["provider", "log_type"]],
    )
    timestamp_column: str | None = Field(
        None,
        description="Time column for a record's timestamp, which the topic's retention depends on; by"
        " default the time of sending.",
        examples=["end_time"],
    )
    delivery: Literal["exactly_once", "at_least_once"] = Field(
        "exactly_once",
        description="`exactly_once` writes in transactions: consumers with"
        " `isolation.level=read_committed` see each row once. `at_least_once` is for brokers without"
        " transactions: after a crash the rows of an epoch are sent again. A transaction is committed"
        " by the process that wrote it, so tasks with transactions run in one process.",
        examples=["exactly_once", "at_least_once"],
    )
    idempotence: bool = Field(
        True,
        description="Let brokers drop duplicates of retried requests. Turn it off only for brokers"
        " that do not support it, with delivery at_least_once.",
        examples=[True],
    )
    compression: Literal["none", "gzip", "snappy", "lz4", "zstd"] = Field(
        "lz4",
        description="Compression of record batches.",
        examples=["lz4", "zstd", "gzip"],
    )
    max_record_size: Size = Field(
        1_000_000,
        ge=1000,
        le=1_000_000_000,
        description="Maximum size of a record with key, headers and overhead, before compression; not"
        " above the topic's max.message.bytes. Larger rows become rejects `record_too_large`.",
        examples=[1_000_000],
    )
    delivery_timeout: Duration = Field(
        120.0,
        ge=1,
        description="How long to retry sending a record, or a commit.",
        examples=[120],
    )
    transaction_timeout: WholeSeconds = Field(
        900,
        ge=10,
        description="The broker aborts a transaction after this time, so an epoch must not take"
        " longer. Consumers wait this long if a run dies and is not restarted. The broker's"
        " transaction.max.timeout.ms is the upper limit.",
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
                        f"{name} needs one row per record; records of encoding {self.encoding} hold"
                        " many rows"
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
            raise ValueError("framing: single_object is for avro; use raw or registry for protobuf")
        elif self.framing in ("single_object", "raw") and self.registry_url:
            raise ValueError(f"framing: {self.framing} does not use the registry_url")
        if (self.registry_username is None) != (self.registry_password is None):
            raise ValueError("registry_username and registry_password go together")
        if self.registry_token is not None and self.registry_username is not None:
            raise ValueError("set registry_token or registry_username, not both")
        return self
