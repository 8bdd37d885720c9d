"""Flow rows that ktrans wrote: Parquet and JSON lines of the flow schema.

Rows come back unchanged, source_uri and source_pos included. Columns beyond the flow schema, such as
enrichers add, go to attrs under their names.
"""

from __future__ import annotations

from typing import Any

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from ktrans.api import Head, Sniff
from ktrans.decoders.log import Json, Log, Parquet, col
from ktrans.decoders.partial_rows import PartialRows
from ktrans.decoders.rows import RowBuilder
from ktrans.decoders.values import Rule, coerce, text_of
from ktrans.flow.columns import coalesce_text
from ktrans.flow.schema import NAMES

_ADDRESSES = frozenset({"src_addr", "dst_addr", "src_pkt_addr", "dst_pkt_addr"})
_LINEAGE = (("source_uri",), ("source_pos",))
_TELLING = ("src_addr", "dst_addr", "start_time", "log_type", "provider", "source_uri")
_SURE = 100


def _rule(name: str) -> dict[str, Any]:
    # Addresses may have been replaced by hashes before the rows were written.
    return {"kind": "text", "nulls": ()} if name in _ADDRESSES else {}


def _take_attrs(work: PartialRows) -> None:
    """Put the members of `attrs` back under their own names."""
    for path in [path for path in work.raw.columns if path[0] == "attrs" and len(path) > 1]:
        work.attrs[".".join(path[1:])] = text_of(work.raw.columns.pop(path), ())


class _StoredRows(RowBuilder):
    """Builds rows that keep their own lineage, ports and IP version."""

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


def _sniff(head: Head) -> Sniff | None:
    """Claim Parquet files and JSON lines whose columns are those of the flow schema."""
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


LOG = Log(
    "ktrans",
    provider=None,
    log_type=None,
    frames=(Parquet(), Json()),
    columns=tuple(
        col(name, name, **_rule(name))
        for name in NAMES
        if name not in {"attrs", "source_uri", "source_pos"}
    ),
    objects=(("attrs",),),
    reads={path: (path[0],) for path in _LINEAGE},
    hidden=frozenset(_LINEAGE),
    derive=_take_attrs,
    row_builder=_StoredRows,
    sniff=_sniff,
)
