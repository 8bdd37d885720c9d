"""Options of the `influxdb` sink: those of line protocol, and of the connection."""

from __future__ import annotations

from typing import Any, ClassVar, Literal

from pydantic import Field, SecretStr, field_validator, model_validator

from ktrans.kit.http.options import http_url
from ktrans.kit.rows.influx import InfluxFormatConfig
from ktrans.kit.units import Duration, Size

Api = Literal["v1", "v2", "v3"]

_OPTIONS = {
    "v1": {"database": True, "retention_policy": False, "user": False, "password": False},
    "v2": {"org": True, "bucket": True, "token": False},
    "v3": {"database": True, "token": False},
}
"""The options of each version, and whether it needs them."""


class InfluxdbSinkConfig(InfluxFormatConfig, type="influxdb"):
    """Options of the `influxdb` sink; tags, fields and time as in the format `influx`."""

    example: ClassVar[dict[str, Any]] = {
        "org": "net",
        "bucket": "flows",
        "token": "${env:INFLUX_TOKEN}",
    }

    url: str = Field(
        description="URL of the server, without the path of its API.",
        examples=["http://localhost:8086", "https://eu-central-1-1.aws.cloud2.influxdata.com"],
    )
    api: Api = Field(
        "v2",
        description="Version of the write API. v1: InfluxDB 1. v2: InfluxDB 2, InfluxDB Cloud,"
        " VictoriaMetrics, QuestDB. v3: InfluxDB 3.",
        examples=["v2", "v1"],
    )
    org: str | None = Field(
        None, min_length=1, description="Organisation, for v2.", examples=["netops"]
    )
    bucket: str | None = Field(
        None, min_length=1, description="Bucket, for v2.", examples=["flows"]
    )
    token: SecretStr | None = Field(
        None,
        description="Token with write permission for the bucket or database, for v2 and v3.",
        examples=["${env:INFLUX_TOKEN}"],
    )
    database: str | None = Field(
        None, min_length=1, description="Database, for v1 and v3.", examples=["flows"]
    )
    retention_policy: str | None = Field(
        None,
        min_length=1,
        description="Retention policy of the database, for v1; by default the database's default policy.",
        examples=["thirty_days"],
    )
    user: str | None = Field(
        None,
        min_length=1,
        description="User with write permission for the database, for v1.",
        examples=["ktrans"],
    )
    password: SecretStr | None = Field(
        None, description="Password of that user.", examples=["${env:INFLUX_PASSWORD}"]
    )
    verify_tls: bool = Field(True, description="Verify the server's certificate.", examples=[True])
    ca_file: str | None = Field(
        None,
        description="CA certificates to verify the server with (PEM); by default those of the system.",
        examples=["/etc/ssl/private-ca.pem"],
    )
    precision: Literal["ns", "us", "ms", "s"] = Field(
        "ns", description="Precision of the timestamps.", examples=["ns", "s"]
    )
    gzip: bool = Field(True, description="Compress requests with gzip.", examples=[True])
    batch_lines: int = Field(
        5000,
        ge=1,
        le=1_000_000,
        description="Maximum points of a request. InfluxDB's documentation recommends 5000.",
        examples=[5000],
    )
    batch_size: Size = Field(
        4 << 20,
        ge=1024,
        le=64 << 20,
        description="Maximum size of a request, before compression.",
        examples=[4194304],
    )
    connections: int = Field(
        2, ge=1, le=16, description="Maximum concurrent requests.", examples=[2]
    )
    timeout: Duration = Field(30, gt=0, description="Timeout of a request.", examples=[30])
    retry_timeout: Duration = Field(
        120,
        ge=0,
        description="How long to retry a request while the server is busy or unreachable; then the"
        " task fails and the engine retries it.",
        examples=[120],
    )
    max_series: int | None = Field(
        1_000_000,
        ge=1,
        description="Maximum number of series (distinct combinations of tag values) of a run. A run"
        " that would exceed it stops, since an index that outgrows the server's memory is hard to"
        " reduce. They are counted in one process, where tasks run then; null turns the check off.",
        examples=[1_000_000, None],
    )

    @field_validator("url")
    @classmethod
    def _url(cls, value: str) -> str:
        return http_url(
            value, no_query="put bucket or database into their options, not into the URL"
        )

    @model_validator(mode="after")
    def _options_match_api(self) -> InfluxdbSinkConfig:
        for name in sorted({name for names in _OPTIONS.values() for name in names}):
            needed = _OPTIONS[self.api].get(name)
            if needed and getattr(self, name) is None:
                raise ValueError(f"api: {self.api} needs `{name}`")
            if needed is None and getattr(self, name) is not None:
                raise ValueError(f"`{name}` is not an option of api: {self.api}")
        if (self.user is None) != (self.password is None):
            raise ValueError("`user` and `password` go together")
        return self

    @property
    def target(self) -> str:
        """The bucket or database, for messages."""
        if self.api == "v2":
            return f"bucket {self.bucket!r} of organisation {self.org!r}"
        policy = f", retention policy {self.retention_policy!r}" if self.retention_policy else ""
        return f"database {self.database!r}{policy}"
