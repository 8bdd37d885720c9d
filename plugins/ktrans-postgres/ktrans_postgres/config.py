"""Options of the postgres state store."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field, SecretStr, field_validator, model_validator

from ktrans.api import ComponentConfig
from ktrans.kit.units import Duration, WholeSeconds

_PARTS = ("host", "port", "dbname", "user", "password", "sslmode")


class PostgresStateConfig(ComponentConfig, type="postgres"):
    """A PostgreSQL database, for runs of several machines."""

    url: SecretStr | None = Field(
        None,
        description="Address of the database, with any parameters of libpq: sslmode, sslrootcert, "
        "target_session_attrs and so on. Instead of the options host to sslmode.",
        examples=["${env:KTRANS_STATE_URL}"],
    )
    host: str | None = Field(
        None,
        min_length=1,
        description="Host, or the folder of a Unix socket; several are tried in order, separated "
        "by commas. None uses the default of libpq: PGHOST, or the local socket.",
        examples=["db.example.org"],
    )
    port: int | None = Field(
        None, ge=1, le=65535, description="Port; None uses PGPORT, or 5432.", examples=[5432]
    )
    dbname: str | None = Field(
        None, min_length=1, description="Database; None uses PGDATABASE.", examples=["ktrans"]
    )
    user: str | None = Field(
        None, min_length=1, description="User; None uses PGUSER.", examples=["ktrans"]
    )
    password: SecretStr | None = Field(
        None,
        description="Password; None uses PGPASSWORD, or the file ~/.pgpass.",
        examples=["${env:KTRANS_STATE_PASSWORD}"],
    )
    sslmode: Literal["disable", "allow", "prefer", "require", "verify-ca", "verify-full"] | None = (
        Field(
            None,
            description="Whether the connection is encrypted and the server's certificate checked; "
            "None uses PGSSLMODE, or prefer.",
            examples=["verify-full"],
        )
    )
    schema_name: str = Field(
        "ktrans",
        pattern=r"^[a-z_][a-z0-9_]{0,62}$",
        description="The schema of the tables; created at first use.",
        examples=["ktrans", "netflow_state"],
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

    @model_validator(mode="after")
    def _one_way(self) -> PostgresStateConfig:
        both = [name for name in _PARTS if getattr(self, name) is not None]
        if self.url is not None and both:
            raise ValueError(f"url has all parameters: leave out {', '.join(both)}")
        return self

    def parameters(self) -> dict[str, Any]:
        """Return the parameters of libpq, secrets included."""
        found: dict[str, Any] = {"connect_timeout": self.connect_timeout}
        for name in _PARTS:
            value = getattr(self, name)
            if value is not None:
                found[name] = value.get_secret_value() if name == "password" else value
        return found
