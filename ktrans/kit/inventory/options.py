"""The options that the enrichers of all clouds share."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, Self

from pydantic import Field, model_validator

from ktrans.api import ComponentConfig


class InventoryConfig(ComponentConfig):
    """Options of an enricher that looks addresses up in snapshots.

    A subclass adds `columns`, `interface`, and how to ask the cloud.
    """

    snapshot: str | None = Field(
        None,
        min_length=1,
        description="Snapshot file, or a folder of dated snapshots: then each row is looked up in the "
        "one in force when it started. By default the cloud is asked once a run, and tasks run in one "
        "process.",
        examples=["interfaces.json", "snapshots/"],
    )
    before_first: Literal["first", "null"] = Field(
        "first",
        description="What rows get that started before the first snapshot of a folder: the values of "
        "that snapshot, or null.",
        examples=["null"],
    )
    addresses: list[str] = Field(
        default=["src_addr", "dst_addr"],
        description="Address columns to look up.",
        examples=[["src_pkt_addr", "dst_pkt_addr"]],
    )
    tags: list[str] = Field(
        default=[],
        description="Tags (labels) to add, each as a column `tag_<key>`.",
        examples=[["team", "env"]],
    )
    naming: str = Field(
        "{side}_{column}",
        description="How to name a new column: {side} is the address column without `_addr`, or"
        " `interface`; {column} what it holds.",
        examples=["{side}_cloud_{column}"],
    )
    time_column: str | None = Field(
        None,
        description="Name of a column for the time of the snapshot.",
        examples=["metadata_time"],
    )

    def folders(self) -> Sequence[str]:
        """Return the folder of snapshots, if it is one."""
        return [self.snapshot] if self.snapshot else []

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        if not self.addresses and not getattr(self, "interface", None):
            raise ValueError("give `addresses` or `interface`")
        if not getattr(self, "columns", None) and not self.tags:
            raise ValueError("give `columns` or `tags`")
        if "{column}" not in self.naming or "{side}" not in self.naming:
            raise ValueError("naming has both {side} and {column}")
        return self
