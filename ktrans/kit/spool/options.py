"""The option that sources with a spool share."""

from __future__ import annotations

from pydantic import Field

from ktrans.api import ComponentConfig


class SpoolConfig(ComponentConfig):
    """Options of where a spool is."""

    spool_dir: str | None = Field(
        None,
        min_length=1,
        description="Folder for the segments, on a disk that survives a restart; by default "
        ".ktrans/spool/<pipeline> next to the pipeline file.",
        examples=["/var/spool/ktrans/flows"],
    )
