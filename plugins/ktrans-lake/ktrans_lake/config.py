"""Options of the tables."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import Field, SecretStr, field_validator, model_validator

from ktrans.api import ComponentConfig


class DeltaTableConfig(ComponentConfig, type="delta"):
    """A Delta Lake table in the folder of the files. The first epoch with rows makes it."""

    properties: dict[str, str] = Field(
        {},
        description="Properties of a table that is made here.",
        examples=[{"delta.logRetentionDuration": "interval 30 days"}],
    )
    storage: dict[str, SecretStr] = Field(
        {},
        description="Options by which the library object_store reaches the bucket, beside those that"
        " follow from the sink's.",
        examples=[{"aws_s3_allow_unsafe_rename": "true"}],
    )


class IcebergTableConfig(ComponentConfig, type="iceberg"):
    """An Iceberg table in a catalogue. The first epoch with rows makes it."""

    table: str = Field(
        pattern=r"^[^.\s]+(\.[^.\s]+)+$",
        description="Namespace and name of the table.",
        examples=["lake.flows"],
    )
    catalog: Literal["rest", "sql"] = Field(
        description="Kind of the catalogue: a REST catalogue, or a database that pyiceberg reads"
        " itself.",
        examples=["rest", "sql"],
    )
    uri: SecretStr = Field(
        description="Address of the catalogue: that of its REST service, or of the database as"
        " SQLAlchemy writes it. A relative SQLite file is beside the pipeline file.",
        examples=["https://catalog.example.net/api", "sqlite:///catalog.db"],
    )
    catalog_name: str = Field(
        "default",
        min_length=1,
        description="Name of the catalogue. A SQL catalogue keeps tables under it; others may ignore"
        " it. The settings that pyiceberg's own file has for this name apply as well.",
        examples=["prod"],
    )
    warehouse: str | None = Field(
        None, description="Warehouse to ask the REST catalogue for.", examples=["flows"]
    )
    token: SecretStr | None = Field(
        None, description="Bearer token for a REST catalogue.", examples=["${env:CATALOG_TOKEN}"]
    )
    credential: SecretStr | None = Field(
        None,
        description="Client id and secret, with a colon between, for a REST catalogue that gives out"
        " tokens.",
        examples=["${env:CATALOG_CREDENTIAL}"],
    )
    catalog_options: dict[str, SecretStr] = Field(
        {},
        description="More options of pyiceberg's catalogue and file access, such as those for AWS"
        " Glue's REST service.",
        examples=[{"rest.sigv4-enabled": "true", "rest.signing-name": "glue"}],
    )
    properties: dict[str, str] = Field(
        {},
        description="Properties of a table that is made here.",
        examples=[{"history.expire.max-snapshot-age-ms": "604800000"}],
    )

    @field_validator("uri")
    @classmethod
    def _is_an_address(cls, value: SecretStr) -> SecretStr:
        if "://" not in value.get_secret_value():
            raise ValueError("an address has a scheme, such as https:// or sqlite://")
        return value

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        if self.catalog == "sql" and (self.token or self.credential):
            raise ValueError("token and credential are for a REST catalogue")
        if self.token and self.credential:
            raise ValueError("give one of token and credential, not both")
        return self
