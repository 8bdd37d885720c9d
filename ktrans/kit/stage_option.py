"""The option of sinks that keep rows until the commit: where the rows wait."""

from __future__ import annotations

from urllib.parse import urlsplit

from pydantic import Field, field_validator

from ktrans.api.config import ComponentConfig

SCHEMES = {"s3": "s3", "gs": "gcs", "az": "azure_blob"}
"""The types of the state stores that reach buckets, by the scheme of the address."""
FORMS = "s3://bucket/prefix/, gs://bucket/prefix/ or az://account/container/prefix/"


class BufferedSinkConfig(ComponentConfig):
    """Options of sinks that keep rows until the commit (`ktrans.kit.buffered_sink`)."""

    stage: str | None = Field(
        None,
        min_length=1,
        description="Where rows wait for the commit: a folder, by default .ktrans/staged/ next to the "
        f"pipeline file, or {FORMS}, with which tasks can run on any machine. The "
        "credentials are those of the environment; other options, such as region, follow a question mark.",
        examples=["s3://my-bucket/ktrans/staged/?region=eu-central-1", "/mnt/shared/staged"],
    )

    @field_validator("stage")
    @classmethod
    def _place(cls, value: str | None) -> str | None:
        if value is not None:
            is_address(value)
        return value


def is_address(place: str) -> bool:
    """Return whether a place is a bucket, not a folder.

    Raises:
        ValueError: it is an address of something else.
    """
    if "://" not in place:
        return False
    if urlsplit(place).scheme not in SCHEMES:
        raise ValueError(f"it is a folder, or {FORMS}")
    return True
