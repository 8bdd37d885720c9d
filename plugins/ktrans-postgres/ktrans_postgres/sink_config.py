"""Options of the `postgres` sink."""

from __future__ import annotations

from typing import Any, ClassVar, Literal

from pydantic import Field

from ktrans.kit.table_sink import TableSinkConfig
from ktrans_postgres.config import PostgresOptions

NAME = r"^[A-Za-z_][A-Za-z0-9_$]{0,62}$"


class PostgresSinkConfig(TableSinkConfig, PostgresOptions, type="postgres"):
    """Adds rows to a table of PostgreSQL or TimescaleDB."""

    example: ClassVar[dict[str, Any]] = {"url": "postgresql://ktrans@db.example/flows"}

    schema_name: str = Field(
        "public",
        pattern=NAME,
        description="The schema of the table, and of the table `ktrans_marks`; it must exist.",
        examples=["public", "netflow"],
    )
    table: str = Field(
        "flows", pattern=NAME, description="The table to add rows to.", examples=["flows"]
    )
    hypertable: Literal["auto", "never"] = Field(
        "auto",
        description="Whether a table that is created becomes a hypertable: where the extension TimescaleDB "
        "is in the database, or never.",
        examples=["never"],
    )
