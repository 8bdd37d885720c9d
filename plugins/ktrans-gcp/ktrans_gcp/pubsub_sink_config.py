"""Options of the `pubsub` sink."""

from __future__ import annotations

from typing import Self

from pydantic import Field, model_validator

from ktrans.kit.messages.options import MessageSinkConfig
from ktrans.kit.units import Size
from ktrans_gcp.google_auth import GoogleConfig


class PubsubSinkConfig(GoogleConfig, MessageSinkConfig, type="pubsub"):
    """Publishes rows to a Pub/Sub topic, at least once.

    Rows wait on the local disk or in a bucket until their epoch is decided, then they are published. A run that
    dies during this publishes some messages again, which consumers recognize by `id_attribute`.
    """

    project: str = Field(
        min_length=1, description="The project of the topic.", examples=["my-project"]
    )
    topic: str = Field(
        min_length=3,
        pattern=r"^[A-Za-z][^/]*$",
        description="The topic's id.",
        examples=["flows"],
    )
    attributes: dict[str, str] = Field(
        default_factory=dict,
        max_length=90,
        description="Attributes that a message gets from its row, as name: column. Rows without a "
        "value lack the attribute. Needs a message a row.",
        examples=[{"account": "account_id", "verdict": "action"}],
    )
    fixed_attributes: dict[str, str] = Field(
        default_factory=dict,
        max_length=8,
        description="Attributes that every message gets, as name: value.",
        examples=[{"origin": "ktrans"}],
    )
    id_attribute: str | None = Field(
        "ktrans_id",
        description="Attribute that names pipeline, sink, epoch, task and message: the same when a "
        "message is published again, so that consumers can drop it. null for none.",
        examples=["ktrans_id"],
    )
    ordering_key: str | None = Field(
        None,
        min_length=1,
        description="Column whose value is the ordering key; rows of one key are published in "
        "their order. Needs a message a row. Many different keys make for many small requests.",
        examples=["interface_id"],
    )
    batch_messages: int = Field(
        1000,
        ge=1,
        le=1000,
        description="Messages in a publish request, at most.",
        examples=[500],
    )
    batch_size: Size = Field(
        4_000_000,
        ge=1000,
        le=9_900_000,
        description="Bytes in a publish request, about.",
        examples=[1_000_000],
    )
    max_message_size: Size = Field(
        9_900_000,
        ge=1,
        le=9_900_000,
        description="A row whose message is larger, the attributes from the row included, goes to "
        "the rejects (`message_too_large`). Pub/Sub takes 10 MB.",
        examples=[1_000_000],
    )
    publishers: int = Field(
        4,
        ge=1,
        le=64,
        description="Publish requests at a time.",
        examples=[8],
    )

    @property
    def full_name(self) -> str:
        return f"projects/{self.project}/topics/{self.topic}"

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        if self.rows_per_message > 1 and (self.attributes or self.ordering_key):
            raise ValueError(
                "attributes and ordering_key come from one row: leave out rows_per_message"
            )
        names = [*self.attributes, *self.fixed_attributes, *filter(None, [self.id_attribute])]
        for name in names:
            if not name or len(name.encode()) > 256 or name.startswith("goog"):  # noqa: PLR2004
                raise ValueError(
                    f"{name!r} cannot name an attribute: 1 to 256 bytes, not beginning with goog"
                )
        if len(set(names)) < len(names):
            raise ValueError("two attributes have the same name")
        if any(len(value.encode()) > 1024 for value in self.fixed_attributes.values()):  # noqa: PLR2004
            raise ValueError("an attribute's value has at most 1024 bytes")
        return self
