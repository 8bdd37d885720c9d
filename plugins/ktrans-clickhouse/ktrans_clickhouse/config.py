"""Options of the `clickhouse` sink."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, SecretStr, field_validator

from ktrans.kit.http.options import http_url
from ktrans.kit.table_sink import TableSinkConfig
from ktrans.kit.units import Duration

NAME = r"^[A-Za-z_][A-Za-z0-9_]*$"


class ClickhouseSinkConfig(TableSinkConfig, type="clickhouse"):
    """Adds rows to a table of ClickHouse, over its HTTP interface."""

    url: str = Field(
        description="URL of the HTTP interface.",
        examples=["http://localhost:8123", "https://abc123.eu-west-1.aws.clickhouse.cloud:8443"],
    )
    database: str = Field(
        "default", pattern=NAME, description="The database of the table.", examples=["netflow"]
    )
    user: str = Field("default", min_length=1, description="User.", examples=["ktrans"])
    password: SecretStr = Field(
        SecretStr(""), description="Password of the user.", examples=["${env:CLICKHOUSE_PASSWORD}"]
    )
    table: str = Field(
        "flows", pattern=NAME, description="The table to add rows to.", examples=["flows"]
    )
    engine: str = Field(
        "MergeTree",
        pattern=r"^\w*MergeTree(\(.*\))?$",
        description="Engine of a table that is created.",
        examples=["MergeTree", "ReplicatedMergeTree"],
    )
    order_by: list[str] | None = Field(
        None,
        min_length=1,
        description="Sorting key of a table that is created; by default account_id and vpc_id, where the "
        "rows have them, and the time.",
        examples=[["account_id", "dst_port", "start_time"]],
    )
    partition_by: Literal["day", "month", "none"] = Field(
        "day", description="Partitions of a table that is created.", examples=["month"]
    )
    keep: Duration | None = Field(
        None,
        ge=3600,
        description="How long a table that is created keeps rows, by their time; None keeps them for good.",
        examples=["90d"],
    )
    deduplicate: bool = Field(
        True,
        description="Require a table that recognises a repeated insert. Otherwise rows arrive at least once.",
        examples=[True],
    )
    verify_tls: bool = Field(True, description="Verify the server's certificate.", examples=[True])
    ca_file: str | None = Field(
        None,
        description="CA certificates to verify the server with (PEM); by default those of the system.",
        examples=["/etc/ssl/private-ca.pem"],
    )
    timeout: Duration = Field(
        300, ge=1, description="How long to wait for the answer to an insert.", examples=["5m"]
    )

    @field_validator("url")
    @classmethod
    def _url(cls, value: str) -> str:
        return http_url(value, no_query="put the database into its option, not into the URL")
