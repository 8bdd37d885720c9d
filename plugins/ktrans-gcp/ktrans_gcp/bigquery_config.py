"""Options of the `bigquery` sink."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, field_validator

from ktrans.kit.units import Duration, Size
from ktrans_gcp.google_auth import GoogleConfig

_NAME = r"^[A-Za-z0-9_]+$"


class BigQuerySinkConfig(GoogleConfig, type="bigquery"):
    """Adds rows to a BigQuery table by the Storage Write API, exactly once.

    Rows of an epoch wait in BigQuery, where nobody sees them, and become visible together.
    """

    project: str = Field(
        min_length=1, description="The project of the dataset.", examples=["my-project"]
    )
    dataset: str = Field(pattern=_NAME, description="The dataset.", examples=["network"])
    table: str = Field(
        "flows",
        pattern=r"^[\w-]+$",
        description="The table; its columns have the names of those of the rows.",
        examples=["flows"],
    )
    create_table: bool = Field(
        False,
        description="Create the table before the first rows, if there is none. Otherwise a run ends, "
        "and it and `validate --connect` print the statement that creates it.",
        examples=[True],
    )
    time: str | None = Field(
        None,
        description="The time column by which a table that is created is partitioned; by default the "
        "first of start_time, end_time and logged_at that the rows have.",
        examples=["end_time"],
    )
    partition: Literal["HOUR", "DAY", "MONTH"] = Field(
        "DAY", description="Span of a partition, of a table that is created.", examples=["HOUR"]
    )
    partition_expiration: Duration | None = Field(
        None,
        ge=3600,
        description="How long partitions of a table that is created are kept.",
        examples=["90d"],
    )
    cluster_by: list[str] = Field(
        default_factory=list,
        max_length=4,
        description="Columns by which a table that is created is clustered.",
        examples=[["account_id", "action"]],
    )
    request_size: Size = Field(
        8_000_000,
        ge=1000,
        le=9_500_000,
        description="Size of a request, about; BigQuery takes 10 MB. A row that is larger goes to the "
        "rejects (`message_too_large`).",
        examples=["4 MB"],
    )
    retry_time: Duration = Field(
        120,
        ge=0,
        description="How long a request is sent again before the task fails.",
        examples=["10m"],
    )
    rest_endpoint: str = Field(
        "https://bigquery.googleapis.com",
        pattern=r"^https?://",
        description="Address of the BigQuery API, which describes and creates tables; `endpoint` is "
        "that of the Storage Write API.",
        examples=["https://bigquery.europe-west3.rep.googleapis.com"],
    )

    @field_validator("rest_endpoint")
    @classmethod
    def _no_slash(cls, value: str) -> str:
        return value.rstrip("/")

    @property
    def name(self) -> str:
        """The table as people write it."""
        return f"{self.project}.{self.dataset}.{self.table}"

    @property
    def path(self) -> str:
        """The table as the APIs name it."""
        return f"projects/{self.project}/datasets/{self.dataset}/tables/{self.table}"
