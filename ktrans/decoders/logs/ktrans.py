"""What ktrans itself has written: Parquet and JSON lines of the flow schema.

The rows come back as they are, source_uri and source_pos included. Columns that are not of the flow
schema (enrichers add such) go to attrs under their names.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Literal

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from pydantic import Field

from ktrans.api import ComponentConfig, Head, Sniff
from ktrans.decoders.mapped.table import Table, col
from ktrans.decoders.partial_rows import PartialRows
from ktrans.decoders.read.parquet_mapped import TableDecoder
from ktrans.decoders.rows import RowBuilder
from ktrans.decoders.values import Rule, coerce, text_of
from ktrans.flow.columns import coalesce_text
from ktrans.flow.schema import BY_NAME, NAMES

_ADDRESSES = frozenset({"src_addr", "dst_addr", "src_pkt_addr", "dst_pkt_addr"})
_LINEAGE = (("source_uri",), ("source_pos",))
_TELLING = ("src_addr", "dst_addr", "start_time", "log_type", "provider", "source_uri")
_SURE = 100


def _rule(name: str) -> dict[str, Any]:
    # Addresses may have been replaced by hashes since; a reader of a lake is no place to doubt it.
    return {"kind": "text", "nulls": ()} if name in _ADDRESSES else {}


def _take_attrs(work: PartialRows) -> None:
    """Give the members of `attrs` back under their own names."""
    for path in [path for path in work.raw.columns if path[0] == "attrs" and len(path) > 1]:
        work.attrs[".".join(path[1:])] = text_of(work.raw.columns.pop(path), ())


TABLE = Table(
    columns=tuple(
        col(name, name, **_rule(name))
        for name in NAMES
        if name not in {"attrs", "source_uri", "source_pos"}
    ),
    objects=(("attrs",),),
    reads={path: (path[0],) for path in _LINEAGE},
    hidden=frozenset(_LINEAGE),
    derive=_take_attrs,
)


class KeptRows(RowBuilder):
    """Makes rows that keep what they say of their source, and are not worked on again."""

    def _ports_and_version(self, columns: dict[str, pa.Array]) -> None:
        del columns

    def _batch(self, work: PartialRows, positions: np.ndarray) -> pa.RecordBatch:
        batch = super()._batch(work, positions)
        uris, places = work.text("source_uri"), work.raw.columns.get(("source_pos",))
        columns = dict(zip(batch.schema.names, batch.columns, strict=True))
        if uris is not None and "source_uri" in columns:
            columns["source_uri"] = coalesce_text(uris, columns["source_uri"])
        if places is not None and "source_pos" in columns:
            kept = work.take(
                ("source_pos",), lambda values: coerce(Rule(kind="count"), values), places
            )
            columns["source_pos"] = pc.coalesce(kept, columns["source_pos"])
        return pa.RecordBatch.from_arrays(list(columns.values()), schema=batch.schema)


class KtransDecoderConfig(ComponentConfig):
    """Options of the `ktrans` decoder."""

    type: Literal["ktrans"] = Field(
        default="ktrans", description="Which component this is.", examples=["ktrans"]
    )


class KtransDecoder(TableDecoder[KtransDecoderConfig]):
    """Reads flow rows back from Parquet and JSON lines."""

    table = TABLE
    row_builder: ClassVar[type[RowBuilder]] = KeptRows


MAPPING: Mapping[str, str] = {name: f"`{name}`" for name in BY_NAME}


def sniff(head: Head) -> Sniff | None:
    """Claim Parquet files and JSON lines whose columns are plainly those of the flow schema."""
    if head.columns is not None:
        return _claim(set(head.columns), "Parquet columns are")
    line = head.data.removeprefix(b"\xef\xbb\xbf").lstrip().partition(b"\n")[0]
    if not line.startswith(b"{"):
        return None
    try:
        record = msgspec.json.decode(line)
    except msgspec.DecodeError:
        return None
    return _claim(set(record), "the first line's members are")


def _claim(names: set[str], what: str) -> Sniff | None:
    known = len(names & set(NAMES))
    if "log_type" not in names or sum(name in names for name in _TELLING) < len(_TELLING) // 2:
        return None
    return Sniff(_SURE, f"{what} {known} columns of the flow schema")
