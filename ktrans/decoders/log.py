"""Declarations of flow logs: one `Log` says how records are stored, mapped and recognised.

A module in `ktrans.decoders.logs` has one as `LOG`. Its decoder, its options, the claims for `auto`,
the page on mappings and the tests follow from it.

>>> from ktrans.api import BytesPayload, Head, Split
>>> LOG = Log(
...     "acme_firewall",
...     provider="acme",
...     log_type="acme.firewall",
...     frames=(Json(arrays=(("events",),)),),
...     columns=(
...         col("start_time", "when", unit="ms"),
...         col("src_addr", "from.ip"),
...         col("dst_addr", "to.ip"),
...         col("action", "verdict", values={"pass": "accept", "block": "reject"}),
...     ),
...     skip=where("kind", not_="flow"),
...     sniff=keys("verdict", "from", "to"),
... )
>>> data = (
...     b'{"events": [{"kind": "flow", "when": 1777882369305, "from": {"ip": "10.0.0.5"}, '
...     b'"to": {"ip": "192.0.2.9"}, "verdict": "block"}, {"kind": "login"}]}'
... )
>>> LOG.recognise(Head("a.json", data)).why
'JSON keys verdict, from, to'
>>> decoder = LOG.decoder(LOG.config())
>>> decoder.schema(["src_addr", "action", "log_type"]).names
['log_type', 'src_addr', 'action']
>>> [block] = decoder.blocks(BytesPayload(Split("a.json", "a.json"), data))
>>> decoded = decoder.decode(block)
>>> decoded.batch.to_pylist()
[{'log_type': 'acme.firewall', 'src_addr': '10.0.0.5', 'action': 'reject'}]
>>> decoded.records, decoded.skipped
(2, 1)
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from ktrans.api import ComponentConfig, Decoder, Head, Sniff
from ktrans.decoders.declared import DeclaredLog
from ktrans.decoders.mapped.decoder import MappedDecoder, SampledConfig, SampledDecoder
from ktrans.decoders.mapped.frames import Frame, Json, Parquet, ZeekText
from ktrans.decoders.mapped.table import Table, col, each_text, where
from ktrans.decoders.sniffing import (
    LIKELY,
    SURE,
    WEAK,
    Sniffer,
    any_of,
    first_of,
    keys,
    pattern,
    texts,
)

__all__ = [
    "LIKELY", "SURE", "WEAK", "Json", "Log", "Parquet", "ZeekText",
    "any_of", "col", "each_text", "first_of", "keys", "pattern", "texts", "where",
]  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Log(Table, DeclaredLog):
    """A flow log: a table of columns, how its records are stored, and how `auto` recognises it.

    Attributes:
        name: the decoder's type.
        provider: of every row; None if records have their own.
        log_type: of every row; None if records have their own.
        frames: how records may be stored; the first that accepts an object is used, or the last.
        sniff: makes a claim on an object by its first bytes.
        base: the class that reads the log, if the general one would be slower.
    """

    name: str = field(kw_only=False)
    provider: str | None
    log_type: str | None
    frames: tuple[Frame, ...]
    sniff: Sniffer
    base: type[MappedDecoder[Any]] = MappedDecoder

    def __post_init__(self) -> None:
        own = {"provider": self.provider, "log_type": self.log_type}
        constants = {name: text for name, text in own.items() if text is not None}
        object.__setattr__(self, "constants", {**constants, **self.constants})
        super().__post_init__()

    def bases(self) -> tuple[type[ComponentConfig], type[Decoder[Any]]]:
        """Return the bases; if records have a sampling rate, there is an option to scale counters."""
        return (SampledConfig, SampledDecoder) if self.rate else (ComponentConfig, self.base)

    def members(self) -> Mapping[str, Any]:
        """Return the table and the frames."""
        return {"table": self, "frames": self.frames}

    def recognise(self, head: Head) -> Sniff | None:
        """Make a claim on an object by its first bytes."""
        return self.sniff(head)
