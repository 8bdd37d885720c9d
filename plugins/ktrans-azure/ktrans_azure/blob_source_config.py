"""The options of the `azure_blob` source."""

from __future__ import annotations

from typing import Any, ClassVar, Self

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from ktrans.kit.objects.days import check_template
from ktrans.kit.objects.source import ObjectSourceConfig
from ktrans.kit.units import Duration, WholeSeconds
from ktrans_azure.account import AccountConfig
from ktrans_azure.hour_blobs import CONTAINERS


class EventQueueConfig(BaseModel):
    """A storage queue with Event Grid's events."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)

    name: str = Field(
        pattern=r"^[a-z0-9](?:[a-z0-9-]{1,61})[a-z0-9]$",
        description="Name of the queue.",
        examples=["flow-log-events"],
    )
    endpoint: str | None = Field(
        default=None,
        pattern=r"^https?://[^?]+$",
        description="Address of the queue service, where it is not the account's own.",
        examples=["http://127.0.0.1:10001/devstoreaccount1"],
    )
    visibility_timeout: WholeSeconds = Field(
        default=300,
        ge=3,
        le=7 * 86400,
        description="How long messages are hidden from other readers. It is renewed while an epoch"
        " runs; after a crash they reappear once it is over.",
        examples=[600],
    )
    max_messages: int = Field(
        default=2000,
        ge=1,
        description="Take at most so many messages for one epoch.",
        examples=[500],
    )


class AzureBlobSourceConfig(AccountConfig, ObjectSourceConfig, type="azure_blob"):
    """Blobs of one container of Azure Blob Storage.

    Hour blobs of flow logs (`layout: flow_logs`) are read on while they grow. There `lookback`
    and `min_age` have no meaning.
    """

    example: ClassVar[dict[str, Any]] = {"account": "myaccount"}

    container: str = Field(
        min_length=1,
        description="The container to read.",
        examples=["insights-logs-flowlogflowevent"],
    )
    layout: str = Field(
        default="auto",
        description="`flow_logs`: hour blobs (PT1H.json) as Network Watcher writes them, read on"
        " while they grow. Otherwise how blobs are filed by day, so that only the days that matter"
        " are listed: a template below the prefix says where the days are (`*` stands for one"
        " folder), `plain` lists everything at every look. `auto` takes flow_logs for the two"
        " containers that Network Watcher writes to, and else looks for folders such as"
        " 2026/11/05/ or year=2026/month=11/day=05/.",
        examples=["auto", "flow_logs", "plain", "*/%Y/%m/%d/"],
    )
    final_after: Duration = Field(
        default=7200,
        ge=0,
        description="With flow_logs: how long after its end an hour is still looked at. What Azure"
        " adds to a blob later than that is not seen.",
        examples=[3600],
    )
    discover_interval: Duration = Field(
        default=300,
        ge=0,
        description="With flow_logs: how often to look for flow logs that were newly set up.",
        examples=[60],
    )

    hierarchical: bool = Field(
        default=False,
        description="Whether the account has a hierarchical namespace (Data Lake Storage Gen2):"
        " then blobs are listed folder by folder, as flat listings come in another order there.",
        examples=[True],
    )
    queue: EventQueueConfig | None = Field(
        default=None,
        description="A storage queue to which Event Grid sends BlobCreated events. Blobs are then"
        " read as they are announced instead of being looked for.",
        examples=[{"name": "flow-log-events"}],
    )

    @field_validator("layout")
    @classmethod
    def _layout(cls, value: str) -> str:
        if value not in ("auto", "plain", "flow_logs"):
            check_template(value)
        return value

    @model_validator(mode="after")
    def _queue_needs_authentication(self) -> Self:
        if self.queue is not None and self.authentication == "identity: anonymous":
            raise ValueError("a queue cannot be read anonymously: give an identity, key or SAS")
        return self

    @property
    def tails(self) -> bool:
        """Whether the blobs are growing hour blobs of flow logs."""
        if self.layout == "auto":
            return self.container.lower() in CONTAINERS
        return self.layout == "flow_logs"

    def includes(self, key: str) -> bool:
        """Return whether `prefix`, `include` and `exclude` let a blob in."""
        return key.startswith(tuple(self.prefixes)) and super().includes(key)
