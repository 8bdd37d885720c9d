"""Options of the `pubsub` source."""

from __future__ import annotations

from pydantic import Field

from ktrans.kit.spool.options import SpoolConfig
from ktrans.kit.units import Duration, Size
from ktrans_gcp.google_auth import GoogleConfig


class PubsubSourceConfig(SpoolConfig, GoogleConfig, type="pubsub"):
    """Messages of a Pub/Sub subscription, spooled to disk before they are acknowledged.

    A message's data becomes one line, or as many as it has itself. A run without --follow ends once
    no message has come for `idle_timeout`.
    """

    project: str = Field(
        min_length=1, description="The project of the subscription.", examples=["my-project"]
    )
    subscription: str = Field(
        min_length=3,
        pattern=r"^[A-Za-z][^/]*$",
        description="The subscription's id. It must be a pull subscription, and this pipeline's "
        "alone.",
        examples=["flows-ktrans"],
    )
    idle_timeout: Duration = Field(
        10,
        gt=0,
        description="A run without --follow ends when no message has come for so long.",
        examples=[30],
    )
    segment_size: Size = Field(
        16 << 20,
        ge=1,
        description="A segment is closed, and its messages acknowledged, at this size in bytes.",
        examples=[16_777_216],
    )
    segment_age: Duration = Field(
        1,
        gt=0,
        le=30,
        description="A segment is closed this long after its first message although it is not "
        "full. Messages with an ordering key do not wait.",
        examples=[0.5],
    )
    pullers: int = Field(
        4,
        ge=1,
        le=64,
        description="Pull requests at a time when messages abound.",
        examples=[8],
    )
    max_outstanding_size: Size = Field(
        64 << 20,
        ge=1 << 20,
        description="About how many bytes of messages are asked for before what came is on disk.",
        examples=[33_554_432],
    )
    dedupe_messages: int = Field(
        500_000,
        ge=0,
        description="How many message ids are remembered, on disk, to drop messages that are "
        "delivered again; about 100 bytes of memory each. 0 keeps every delivery.",
        examples=[1_000_000],
    )

    @property
    def full_name(self) -> str:
        return f"projects/{self.project}/subscriptions/{self.subscription}"
