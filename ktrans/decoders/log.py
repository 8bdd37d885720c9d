"""Declarations of flow logs: one `Log` says how records are stored, mapped and recognised.

A module in `ktrans.decoders.logs` holds one; its decoder, its options, what `auto` asks, the page on
mappings and the tests all follow from it:

    LOG = Log(
        "acme_firewall",
        provider="acme",
        log_type="acme.firewall",
        frames=(Json(arrays=("records",)),),
        columns=(
            col("start_time", "when", unit="ms"),
            col("src_addr", "conn.src.ip"),
            col("action", "verdict", values={"allow": "accept", "deny": "reject"}),
        ),
        skip=where("type", not_="flow"),
        sniff=keys("conn", "verdict"),
    )
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Literal

from pydantic import Field, create_model

from ktrans.api import ComponentConfig, Decoder, Head, Sniff
from ktrans.decoders.mapped.decoder import MappedDecoder
from ktrans.decoders.mapped.frames import Frame, Json, JsonInLogEvents, Parquet, ZeekText
from ktrans.decoders.mapped.table import Table, col, each_text, where
from ktrans.decoders.read.parquet_mapped import TableDecoder
from ktrans.decoders.rows import RowBuilder
from ktrans.decoders.sniffing import Sniffer, any_of, first_of, keys, pattern, texts

__all__ = [
    "Json", "JsonInLogEvents", "Log", "Parquet", "ZeekText",
    "any_of", "col", "each_text", "first_of", "keys", "pattern", "texts", "where",
]  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Log(Table):
    """A flow log: a table of columns, how its records are stored, and how `auto` recognises it.

    Attributes:
        name: the decoder's type.
        provider: of every row; None if records have their own.
        log_type: of every row; None if records have their own.
        frames: how records may be stored; the first that accepts an object is used, or the last.
        row_builder: builds the flow rows.
        sniff: makes a claim on an object by its first bytes.
    """

    name: str = field(kw_only=False)
    provider: str | None
    log_type: str | None
    frames: tuple[Frame, ...]
    row_builder: type[RowBuilder] = RowBuilder
    sniff: Sniffer

    def __post_init__(self) -> None:
        own = {"provider": self.provider, "log_type": self.log_type}
        constants = {name: text for name, text in own.items() if text is not None}
        object.__setattr__(self, "constants", {**constants, **self.constants})
        super().__post_init__()

    @cached_property
    def config(self) -> type[ComponentConfig]:
        """The model of the decoder's options: its type alone."""
        only: Any = Literal[self.name]
        of_type = Field(
            default=self.name, description="Which component this is.", examples=[self.name]
        )
        return create_model(
            f"{self._class_name}Config",
            __base__=ComponentConfig,
            __doc__=f"Options of the `{self.name}` decoder.",
            type=(only, of_type),
        )

    @cached_property
    def decoder(self) -> type[Decoder[Any]]:
        """The class of the decoder."""
        reads_parquet = any(isinstance(frame, Parquet) for frame in self.frames)
        members = {
            "__doc__": f"Decodes records of {self.name}.",
            "table": self,
            "frames": self.frames,
            "row_builder": self.row_builder,
        }
        base = TableDecoder if reads_parquet else MappedDecoder
        return type(self._class_name, (base,), members)

    @property
    def _class_name(self) -> str:
        return f"{self.name.title().replace('_', '')}Decoder"

    def recognise(self, head: Head) -> Sniff | None:
        """Make a claim on an object, looking at the records inside whatever carries them."""
        for frame in self.frames:
            head = frame.unwrapped(head)
        return self.sniff(head)
