"""Maps the fields of text logs in the format of AWS to flow columns."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import UTC, datetime
from functools import lru_cache, partial
from urllib.parse import unquote_to_bytes

import msgspec
import numpy as np
import pyarrow as pa

from ktrans.decoders.aws.fields import LOST_FIELDS, TAG_FIELDS
from ktrans.decoders.aws.layout import LOGGED_AT, Dialect
from ktrans.decoders.mapped.table import Col, Table
from ktrans.decoders.partial_rows import REPORTERS, PartialRows
from ktrans.decoders.read.raw_columns import RawColumns
from ktrans.decoders.texts import changed
from ktrans.decoders.values import Rule, coerce, kind_of
from ktrans.flow.columns import constant_text, lower_text
from ktrans.flow.schema import TIME

_FILE_NAME = re.compile(
    r"^(?:(?P<account>\d{12})_vpcflowlogs_(?P<region>[a-z0-9-]+)_fl-[^_]+_|.*_)"
    r"(?P<time>\d{8}T\d{4}Z)_[^/]*$"
)
_IP_TYPES = ("IPv4", "IPv6")
_COUNT = Rule("count", nulls=(), strict=True, negative_is_null=False)
_LOWER = ("action", "direction")
_DATA = ("srcaddr", "dstaddr", "pkt-srcaddr", "pkt-dstaddr", "packets", "bytes")
_NO_DATA = "interval without data"


class FileFacts(msgspec.Struct, frozen=True):
    """Facts about records in the name of their object.

    Source: AWS VPC User Guide, "Flow log files": account_vpcflowlogs_region_id_time_hash.log.gz.
    """

    region: str | None = None
    logged_at: datetime | None = None


@lru_cache(maxsize=4096)
def file_facts(uri: str) -> FileFacts:
    """Parse the name of an object; names of another shape have no facts."""
    match = _FILE_NAME.match(uri.rpartition("/")[2])
    if match is None:
        return FileFacts()
    try:
        logged_at = datetime.strptime(match["time"], "%Y%m%dT%H%MZ").replace(tzinfo=UTC)
    except ValueError:
        logged_at = None
    return FileFacts(match["region"], logged_at)


def aws_table(dialect: Dialect, names: Sequence[str]) -> Table:
    """Return the table of a log, for records with these fields.

    Args:
        dialect: the log.
        names: the fields of a record.
    """
    columns = [
        Col(field.column, ((field.name,),), _rule(field.column))
        for field in dialect.fields
        if field.column is not None
    ]
    stamp = Rule("time", unit="rfc3339", nulls=(), strict=True)
    logged_at = Col("logged_at", ((LOGGED_AT,),), stamp)
    packet = [
        Col(f"{side}_addr", ((f"pkt-{side}addr",),), _rule(f"{side}_addr"))
        for side in ("src", "dst")
        if f"{side}addr" not in names
    ]
    ip_version = Col("ip_version", (("type",),), Rule("ip_version", nulls=()))
    return Table(
        columns=(*columns, *packet, logged_at, ip_version),
        constants={"provider": dialect.provider, "log_type": dialect.log_type},
        reads={
            ("type",): ("attrs",),
            ("resource-id",): ("interface_id",),
            ("aws-region",): ("region",),
            ("flow-direction",): ("reporter",),
            (LOGGED_AT,): ("start_time",),
            **{(name,): ("packets_dropped", "attrs") for name in LOST_FIELDS},
        },
        always=frozenset({"logged_at"}),
        skip=None if "log-status" in names else _without_data,
        derive=partial(_derive, known_region="region" in names, lost=_lost(dialect)),
        all_text=True,
    )


def _without_data(raw: RawColumns) -> pa.DictionaryArray | None:
    """Name the records of intervals without data, in formats that have no log status to say so.

    AWS prints neither addresses nor counters in them.
    """
    empty = np.ones(raw.rows, dtype=bool)
    for name in _DATA:
        column = raw.columns.get((name,))
        if column is not None:
            empty &= np.asarray(column.is_null())
    if not empty.any():
        return None
    names = pa.array([_NO_DATA], pa.string())
    return pa.DictionaryArray.from_arrays(
        pa.array(np.zeros(raw.rows, np.int32), mask=~empty), names
    )


def _rule(column: str) -> Rule:
    lower = column in _LOWER
    return Rule(kind_of(column), nulls=(), strict=True, negative_is_null=False, lower=lower)


def _lost(dialect: Dialect) -> tuple[str, ...]:
    return tuple(name for name in LOST_FIELDS if name in dialect.by_name)


def _derive(rows: PartialRows, *, known_region: bool, lost: tuple[str, ...]) -> None:
    """Fill what depends on several fields, or on the name of the object."""
    _times(rows)
    _reporter(rows)
    _place(rows, known_region=known_region)
    _lost_packets(rows, lost)
    if "attrs" in rows.wanted:
        _attributes(rows)


def _times(rows: PartialRows) -> None:
    """Fill the time of logging from the object's name, and the start from the time of logging."""
    in_name = file_facts(rows.uri).logged_at
    if in_name is not None:
        rows.fill("logged_at", pa.repeat(pa.scalar(in_name, TIME), rows.rows))
    rows.fill("start_time", rows.columns.get("logged_at"))


def _reporter(rows: PartialRows) -> None:
    if "reporter" not in rows.wanted:
        return
    direction = rows.columns.get("direction")
    if direction is None and (text := rows.text("flow-direction")) is not None:
        direction = lower_text(text)
    if direction is None:
        rows.columns["reporter"] = constant_text("interface", rows.rows)
        return
    rows.columns["reporter"] = changed(direction, REPORTERS.get)
    rows.fill("reporter", constant_text("interface", rows.rows))


def _place(rows: PartialRows, *, known_region: bool) -> None:
    """Fill interface and region from other places where the record does not have them."""
    columns = rows.columns
    if "interface_id" in rows.wanted:
        rows.fill("interface_id", rows.text("resource-id"))
    if "region" in rows.wanted and not known_region:
        partition = rows.text("aws-region")
        named = file_facts(rows.uri).region
        if partition is not None:
            columns["region"] = partition
        elif named is not None:
            columns["region"] = constant_text(named, rows.rows)


def _lost_packets(rows: PartialRows, names: tuple[str, ...]) -> None:
    """Add up the counts of lost packets; the sum is null only where all are."""
    counts = []
    for name in names:
        for path, column in rows.values(name):
            count = rows.take(path, partial(coerce, _COUNT), column, "packets_dropped")
            counts.append(count)
            rows.attrs[name] = count.cast(pa.string()).dictionary_encode()
    if counts and "packets_dropped" in rows.wanted:
        total = sum(np.asarray(count.fill_null(0)) for count in counts)
        missing = np.logical_and.reduce([np.asarray(count.is_null()) for count in counts])
        rows.columns["packets_dropped"] = pa.array(total, pa.int64(), mask=missing)


def _attributes(rows: PartialRows) -> None:
    """Keep types beyond IPv4 and IPv6, such as EFA, and decode the values of tags."""
    if (types := rows.text("type")) is not None:
        odd = changed(types, lambda word: None if word in _IP_TYPES else word)
        if odd.null_count < len(odd):
            rows.attrs["type"] = odd
    for name in TAG_FIELDS:
        if (tags := rows.text(name)) is not None:
            rows.attrs[name] = changed(tags, _unquoted)


def _unquoted(word: str) -> str:
    """Decode a percent-encoded text; one that is not UTF-8 underneath stays as it is."""
    try:
        return unquote_to_bytes(word).decode("utf-8")
    except UnicodeDecodeError:
        return word
