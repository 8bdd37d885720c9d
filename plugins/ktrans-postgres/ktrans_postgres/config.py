"""Options of the connection to a database, and of the `postgres` state store."""

from __future__ import annotations

from pydantic import Field, SecretStr, field_validator

from ktrans.api import ComponentConfig
from ktrans.kit.units import Duration, WholeSeconds


class PostgresOptions(ComponentConfig):
    """Options of the connection, of state store and sink."""

    url: SecretStr | None = Field(
        None,
        description="Address of the database, with any parameters of libpq: sslmode, sslrootcert, "
        "target_session_attrs and so on; what it leaves out is taken from PGHOST, PGUSER and the like.",
        examples=["${env:DATABASE_URL}", "postgresql://ktrans@db.example.org/ktrans"],
    )
    password: SecretStr | None = Field(
        None,
        description="Password, if it is not in the url; None uses PGPASSWORD, or the file ~/.pgpass.",
        examples=["${env:PGPASSWORD}"],
    )
    connect_timeout: WholeSeconds = Field(
        10, ge=2, le=600, description="How long to wait for one connection.", examples=[10]
    )
    retry_timeout: Duration = Field(
        60,
        ge=0,
        description="How long a run tries to reach the database again when the connection is lost, "
        "before it fails. A failover or a restart should fit into it.",
        examples=[60, 300],
    )

    @field_validator("url")
    @classmethod
    def _is_an_address(cls, url: SecretStr | None) -> SecretStr | None:
        schemes = ("postgresql://", "postgres://")
        if url is not None and not url.get_secret_value().startswith(schemes):
            raise ValueError("an address begins with postgresql://")
        return url


class PostgresStateConfig(PostgresOptions, type="postgres"):
    """A PostgreSQL database, for runs of several machines."""

    schema_name: str = Field(
        "ktrans",
        pattern=r"^[a-z_][a-z0-9_]{0,62}$",
        description="The schema of the tables; created at first use.",
        examples=["ktrans", "netflow_state"],
    )
