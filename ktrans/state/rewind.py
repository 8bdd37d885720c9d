"""Rewinds a pipeline's memory to an earlier epoch, so that later ones are read again.

Each recorded epoch keeps the source's position, and the remembered values that it replaced or
dropped. New values need no copy: they have the epoch's number. Rewound epochs keep their numbers,
which are not used again.
"""

from __future__ import annotations

import datetime as dt
import json
from typing import TYPE_CHECKING, Any

import msgspec

from ktrans.api import EpochId, StateError, UsageError
from ktrans.state.epochs import Epoch, Status, chunks

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from ktrans.api.state import Database, Queryable, Transaction

REPLACED_VALUES = 100_000
"""How many replaced values are kept of a pipeline; those of the oldest epochs are removed first."""


def note(db: Transaction, pipeline: str, epoch: Epoch) -> None:
    """Keep what rewinding an epoch needs, within the transaction that records it."""
    keys = list(epoch.remembered())
    for marks, chunk in chunks(keys):
        db.execute(
            "INSERT INTO replaced (pipeline, number, key, value, written) "  # noqa: S608
            "SELECT pipeline, ?, key, value, number FROM remembered "
            f"WHERE pipeline=? AND key IN ({marks})",
            (epoch.number, pipeline, *chunk),
        )
    db.execute(
        "UPDATE epochs SET position=?, source=?, replaced="
        "(SELECT count(*) FROM replaced WHERE pipeline=? AND number=?) "
        "WHERE pipeline=? AND number=?",
        (
            json.dumps(epoch.position),
            epoch.source.partition(":")[0],
            pipeline,
            epoch.number,
            pipeline,
            epoch.number,
        ),
    )


def bound(database: Database, pipeline: str, most: int = REPLACED_VALUES) -> None:
    """Remove the replaced values of the oldest epochs, if there are too many."""
    total = database.rows("SELECT sum(replaced) FROM epochs WHERE pipeline=?", pipeline)[0][0] or 0
    if total <= most:
        return
    counts = database.rows(
        "SELECT number, replaced FROM epochs WHERE pipeline=? AND replaced>0 ORDER BY number",
        pipeline,
    )
    until = 0
    for number, count in counts:
        if total <= most:
            break
        until, total = number, total - count
    with database.transaction() as db:
        db.execute("DELETE FROM replaced WHERE pipeline=? AND number<=?", (pipeline, until))
        db.execute(
            "UPDATE epochs SET replaced=NULL WHERE pipeline=? AND number<=?", (pipeline, until)
        )


class RewindPlan(msgspec.Struct, frozen=True):
    """What a rewind does.

    Attributes:
        to: the number of the last epoch that stays recorded; 0 is the very beginning.
        recorded: when that epoch was recorded; None for the beginning.
        epochs: what is read again, oldest first: `number`, `recorded` and `summary` of each.
        source: the type of the source that the position is of; empty for the beginning.
        kept: the numbers of those that replayed rejects of logs that are not read again: their output
            has to stay.
    """

    to: int
    recorded: str | None
    epochs: tuple[dict[str, Any], ...]
    source: str
    kept: frozenset[int]


def plan_rewind(database: Queryable, pipeline: str, time: dt.datetime) -> RewindPlan:
    """Plan a rewind to a time; nothing is changed.

    Epochs that were recorded after `time` are read again.

    Raises:
        StateError: an epoch is unfinished, the time is too far back, or open totals cannot be
            rewound so far.
    """
    _check_finished(database, pipeline)
    rows = database.rows(
        "SELECT number, recorded, position, source, replaced, summary FROM epochs "
        "WHERE pipeline=? AND status=? ORDER BY number",
        pipeline,
        Status.DONE.value,
    )
    before = [row for row in rows if dt.datetime.fromisoformat(row[1]) <= time]
    to = before[-1] if before else None
    number = to[0] if to else 0
    over = [row for row in rows if row[0] > number]
    reach = _reach(database, pipeline, rows)
    if over and reach is None:
        raise StateError(
            "what the last epochs replaced was not kept: they were recorded by an older ktrans",
            code="rewind_too_far",
            hint="`ktrans state reset` reads everything again",
        )
    if over and reach is not None and number < reach[0]:
        raise StateError(
            f"the state store no longer knows its content at {_shown(time)}",
            code="rewind_too_far",
            hint=f"the earliest possible time is {reach[1]}; `ktrans state reset` reads "
            "everything again",
        )
    epochs = tuple(
        {"number": row[0], "recorded": row[1], "summary": json.loads(row[5] or "{}")}
        for row in over
    )
    kept = _kept(epochs, database.rows("SELECT history FROM pipelines WHERE name=?", pipeline))
    return RewindPlan(number, to[1] if to else None, epochs, (to[3] or "") if to else "", kept)


def _kept(epochs: Sequence[Mapping[str, Any]], histories: Sequence[tuple[str]]) -> frozenset[int]:
    """Return the replays, among epochs to rewind, of which some rejects come from other epochs.

    A replay may have read the rejects of an earlier replay.
    """
    history = histories[0][0] if histories else ""
    again: set[str] = set()
    kept: set[int] = set()
    for epoch in epochs:
        summary = epoch["summary"]
        if summary.get("replay") and not again.issuperset(summary.get("replayed", [None])):
            kept.add(epoch["number"])
        else:
            again.add(str(EpochId(pipeline="", number=epoch["number"], history=history)))
    return frozenset(kept)


def rewound(database: Queryable, pipeline: str) -> list[int]:
    """Return the epochs that were rewound and whose output is to be removed.

    These are not those that replayed rejects of logs that were not read again, and not those whose
    output the operator decided to keep.
    """
    rows = database.rows(
        "SELECT number, summary FROM epochs WHERE pipeline=? AND status=? ORDER BY number",
        pipeline,
        Status.REWOUND.value,
    )
    return [number for number, text in rows if not json.loads(text or "{}").get("keep")]


def reach(database: Queryable, pipeline: str) -> str | None:
    """Return the earliest time that a rewind can go back to; None if there is none."""
    rows = database.rows(
        "SELECT number, recorded, position, source, replaced FROM epochs "
        "WHERE pipeline=? AND status=? ORDER BY number",
        pipeline,
        Status.DONE.value,
    )
    found = _reach(database, pipeline, rows)
    return found[1] if found else None


def _reach(
    database: Queryable, pipeline: str, rows: list[tuple[Any, ...]]
) -> tuple[int, str] | None:
    """Return the earliest epoch to rewind to, and its time; epoch 0 is the very beginning."""
    whole = database.rows(
        "SELECT max(number) FROM snapshots WHERE pipeline=? AND whole=1", pipeline
    )[0][0]
    best: tuple[int, str] | None = None
    for row in reversed(rows):
        number, recorded, position, _, replaced = row[:5]
        if position is None:
            break
        best = (number, recorded)
        if replaced is None or number == whole:
            break
    else:
        first = database.rows("SELECT min(number) FROM epochs WHERE pipeline=?", pipeline)[0][0]
        if first == 1 and rows:
            return 0, "the beginning"
    return best


def rewind(
    database: Database, pipeline: str, plan: RewindPlan, now: dt.datetime, *, keep: bool = False
) -> None:
    """Rewind a pipeline, in one transaction.

    The database has to be held by this process since `plan_rewind`.

    Args:
        database: the state store.
        pipeline: its name.
        plan: what to rewind.
        now: the time.
        keep: note that what these epochs have published is to stay, for later rewinds too.
    """
    later = (pipeline, plan.to)
    with database.transaction() as db:
        db.execute(
            "UPDATE pipelines SET "
            "position=(SELECT position FROM epochs WHERE pipeline=? AND number=?), "
            "source=(SELECT source FROM epochs WHERE pipeline=? AND number=?), updated=? "
            "WHERE name=?",
            (*later, *later, now.isoformat(timespec="milliseconds"), pipeline),
        )
        db.execute("DELETE FROM remembered WHERE pipeline=? AND number>?", later)
        db.execute(
            "INSERT INTO remembered (pipeline, key, value, number) "
            "SELECT r.pipeline, r.key, r.value, r.written FROM replaced AS r JOIN "
            "(SELECT key, min(number) AS number FROM replaced "
            "WHERE pipeline=? AND number>? GROUP BY key) AS first "
            "ON r.key=first.key AND r.number=first.number WHERE r.pipeline=? AND r.written<=?",
            (*later, *later),
        )
        for table in ("replaced", "snapshots"):
            db.execute(f"DELETE FROM {table} WHERE pipeline=? AND number>?", later)  # noqa: S608
        db.execute(
            "DELETE FROM quarantined WHERE pipeline=? AND since>?", (pipeline, plan.recorded or "")
        )
        db.execute(
            "UPDATE epochs SET status=?, position=NULL, source=NULL, replaced=NULL "
            "WHERE pipeline=? AND number>? AND status=?",
            (Status.REWOUND.value, *later, Status.DONE.value),
        )
        for epoch in plan.epochs:
            if keep or epoch["number"] in plan.kept:
                db.execute(
                    "UPDATE epochs SET summary=? WHERE pipeline=? AND number=?",
                    (json.dumps({**epoch["summary"], "keep": True}), pipeline, epoch["number"]),
                )


def _check_finished(database: Queryable, pipeline: str) -> None:
    rows = database.rows(
        "SELECT number, status FROM epochs WHERE pipeline=? AND status NOT IN (?, ?, ?)",
        pipeline,
        Status.DONE.value,
        Status.DROPPED.value,
        Status.REWOUND.value,
    )
    if rows:
        raise StateError(
            f"epoch {rows[0][0]} is unfinished ({rows[0][1]})",
            code="epoch_unfinished",
            hint="run the pipeline once, which finishes it, and try again",
        )


def parse_time(text: str, now: dt.datetime) -> dt.datetime:
    """Parse a time: RFC 3339, in UTC if it has no zone, or how long ago, such as `90m`.

    Raises:
        UsageError: it is neither, or in the future.
    """
    units = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days", "w": "weeks"}
    try:
        if text[-1:] in units and text[:-1].isdecimal():
            time = now - dt.timedelta(**{units[text[-1]]: int(text[:-1])})
        else:
            time = dt.datetime.fromisoformat(text)
            time = time if time.tzinfo else time.replace(tzinfo=dt.UTC)
    except (ValueError, OverflowError):
        raise UsageError(
            f"{text!r} is not a time",
            hint="give one such as 2026-05-01T06:00:00Z, or how long ago: 90m, 2h, 3d",
        ) from None
    if time > now:
        raise UsageError(f"{text} is in the future")
    return time.astimezone(dt.UTC)


def _shown(time: dt.datetime) -> str:
    return time.isoformat(timespec="seconds").replace("+00:00", "Z")
