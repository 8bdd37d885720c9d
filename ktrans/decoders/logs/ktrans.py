"""Flow rows that ktrans wrote: Parquet and JSON lines of the flow schema.

Rows come back unchanged, source_uri and source_pos included. Columns beyond the flow schema, such as
enrichers add, go to attrs under their names.
"""

from __future__ import annotations

from functools import partial
from typing import Any

import msgspec

from ktrans.api import Head, Sniff
from ktrans.decoders.flow_rule import ADDRESSES, TIMES
from ktrans.decoders.log import LIKELY, SURE, Json, Log, Parquet, col
from ktrans.decoders.partial_rows import PartialRows
from ktrans.decoders.values import Rule, coerce, kind_of, text_of
from ktrans.flow.schema import NAMES
from ktrans.kit.text.json_errors import UNREADABLE_JSON

_LINEAGE = (("source_uri",), ("source_pos",))
_TELLING = frozenset({"provider", "log_type", "source_uri"})
"""Names that only ktrans gives; other tools may use those of addresses and times."""


def _rule(name: str) -> dict[str, Any]:
    # Addresses may have been replaced by hashes before the rows were written.
    return {"kind": "text", "nulls": ()} if kind_of(name) == "address" else {}


def _derive(rows: PartialRows) -> None:
    """Put the members of `attrs` back under their own names, and keep the lineage of the rows."""
    for path in [path for path in rows.raw.columns if path[0] == "attrs" and len(path) > 1]:
        rows.attrs[".".join(path[1:])] = text_of(rows.raw.columns.pop(path), ())
    if (uris := rows.text("source_uri")) is not None:
        rows.columns["source_uri"] = uris
    for path, places in rows.values("source_pos"):
        count = Rule(kind="count")
        rows.columns["source_pos"] = rows.take(path, partial(coerce, count), places, "source_pos")


def _sniff(head: Head) -> Sniff | None:
    """Claim Parquet files and JSON lines whose columns are those of the flow schema."""
    if head.columns is not None:
        return _claim(set(head.columns), "Parquet columns are")
    line = head.data.removeprefix(b"\xef\xbb\xbf").lstrip().partition(b"\n")[0]
    if not line.startswith(b"{"):
        return None
    try:
        record = msgspec.json.decode(line)
    except UNREADABLE_JSON:
        return None
    return _claim(set(record), "the first line's members are")


def _claim(names: set[str], what: str) -> Sniff | None:
    known = len(names & set(NAMES))
    if not names.issuperset(ADDRESSES) or not names & set(TIMES) or known * 2 <= len(names):
        return None
    return Sniff(SURE if names & _TELLING else LIKELY, f"{what} {known} columns of the flow schema")


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
    derive=_derive,
    stored=True,
    sniff=_sniff,
)
