"""The state of a rollup between epochs: open totals, as a log of what each epoch added to them.

An epoch stores only the totals of its own rows, so its cost does not grow with what is open. Once
the log is about twice as long as the totals that it adds up to, the totals take its place.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import pyarrow as pa

from ktrans.api import StateError, StateUpdate
from ktrans.enrichers.totals.merge import Totals, combined, empty, merge, sums
from ktrans.enrichers.totals.plan import RollupPlan

PART_ROWS = 1 << 19
SLACK_ROWS = 65_536
LEAST_ROWS = 1_000
"""What an epoch's entry in the log costs at least, in rows: reading it back takes as long."""

_META, _TABLE, _MAIN = b"ktrans.rollup", b"ktrans.rollup.table", "totals"


@dataclass(frozen=True, slots=True)
class Meta:
    """Facts about the open totals.

    Attributes:
        definition: of the plan that they were made by.
        closed_until: windows that end by then are closed; microseconds since 1970.
        newest: the latest time of any row so far.
        logged: rows in the log.
        sums: rows, bytes and packets that the open totals must add up to.
    """

    definition: str
    closed_until: int | None = None
    newest: int | None = None
    logged: int = 0
    sums: tuple[int, int, int] = (0, 0, 0)


@dataclass(frozen=True, slots=True)
class Opened:
    """Open totals, and facts about them."""

    meta: Meta
    totals: Totals


def read(plan: RollupPlan, parts: Sequence[bytes], name: str) -> Opened:
    """Rebuild the open totals from the log.

    Raises:
        StateError: they were made by another definition, or do not add up.
    """
    if not parts:
        return Opened(Meta(plan.definition()), empty(plan))
    tables = [_read(part) for part in parts]
    found: dict[str, Any] = json.loads(tables[-1].schema.metadata[_META])
    meta = Meta(**{**found, "sums": tuple(found["sums"])})
    if meta.definition != plan.definition():
        if any(meta.sums):
            raise StateError(
                f"rollup {name!r} has open windows of another definition: its window, group_by or "
                "aggregates were changed",
                code="rollup_changed",
                hint="put the old definition back and run once with `flush: at_end`, then change "
                "it; or give the new one another `id`, and let the old one finish first",
            )
        # The log holds parts of the other definition: the next change has to replace it.
        known = Meta(plan.definition(), meta.closed_until, meta.newest, logged=1 << 62)
        return Opened(known, empty(plan))
    main = _named(tables, _MAIN, plan.main_schema())
    members = (_named(tables, m.name, plan.member_schema(m, stored=True)) for m in plan.members)
    merged = merge(plan, [Totals(main, tuple(members))])
    since = None if meta.closed_until is None else meta.closed_until - plan.width + 1
    totals = merged.where(since)
    if sums(totals.main) != meta.sums:
        raise StateError(
            f"the open windows of rollup {name!r} do not add up: {sums(totals.main)} instead of "
            f"{meta.sums} rows, bytes and packets",
            code="rollup_damaged",
            hint="this is a defect in ktrans or a damaged state store; please report it",
        )
    return Opened(meta, totals)


def _named(tables: Sequence[pa.Table], name: str, schema: pa.Schema) -> pa.Table:
    """Concatenate the pieces of one table, with its columns in the order of the plan."""
    pieces = [
        table.select(schema.names).replace_schema_metadata(None)
        for table in tables
        if table.schema.metadata[_TABLE] == name.encode()
    ]
    return pa.concat_tables(pieces)


def _read(part: bytes) -> pa.Table:
    with pa.ipc.open_stream(part) as stream:
        return stream.read_all()


def update(
    plan: RollupPlan, before: Meta, added: Totals, after: Opened
) -> tuple[StateUpdate, Meta]:
    """Return what to store of an epoch, and the facts about the open totals after it.

    `added` are the totals of the epoch's rows in windows that stay open, `after` all open totals,
    in which `logged` is not set yet.
    """
    logged = before.logged + max(added.rows, LEAST_ROWS)
    whole = logged > 2 * after.totals.rows + SLACK_ROWS
    stored = after.totals if whole else added
    meta = replace(after.meta, logged=max(stored.rows, LEAST_ROWS) if whole else logged)
    known = json.dumps(asdict(meta)).encode()
    names = [_MAIN, *(member.name for member in plan.members)]
    parts = tuple(
        part
        for name, table in zip(names, [stored.main, *stored.members], strict=True)
        for part in _parts(table, {_META: known, _TABLE: name.encode()})
    )
    return StateUpdate(parts, whole, after.totals.main.num_rows), meta


def _parts(table: pa.Table, metadata: dict[bytes, bytes]) -> list[bytes]:
    table = combined(table).replace_schema_metadata(metadata)
    options = pa.ipc.IpcWriteOptions(compression="zstd")
    found = []
    for start in range(0, max(table.num_rows, 1), PART_ROWS):
        sink = pa.BufferOutputStream()
        with pa.ipc.new_stream(sink, table.schema, options=options) as stream:
            stream.write_table(table.slice(start, PART_ROWS))
        found.append(sink.getvalue().to_pybytes())
    return found
