"""The state snapshots of stateful enrichers: parts by epoch, of which recorded epochs' parts count.

An epoch's parts are written when it is staged, and settled when it is recorded: then replaced parts
are removed. Until then readers of earlier epochs' parts do not see them.
"""

from __future__ import annotations

from collections.abc import Mapping

from ktrans.api import StateSnapshot, StateUpdate
from ktrans.api.state import Queryable, Transaction


def stage(db: Transaction, pipeline: str, number: int, updates: Mapping[str, StateUpdate]) -> None:
    """Write an epoch's updates, within the transaction that stages it."""
    for name, update in updates.items():
        db.executemany(
            "INSERT INTO snapshots VALUES (?, ?, ?, ?, ?, ?, ?)",
            (
                (pipeline, name, number, index, int(update.whole), update.open, part)
                for index, part in enumerate(update.parts)
            ),
        )


def undo(db: Transaction, pipeline: str, number: int) -> None:
    """Remove the parts of an epoch that is not recorded."""
    db.execute("DELETE FROM snapshots WHERE pipeline=? AND number=?", (pipeline, number))


def settle(db: Transaction, pipeline: str, number: int) -> None:
    """Remove the parts that an epoch replaced, within the transaction that records it."""
    db.execute(
        "DELETE FROM snapshots WHERE pipeline=? AND number<? AND name IN "
        "(SELECT name FROM snapshots WHERE pipeline=? AND number=? AND whole=1)",
        (pipeline, number, pipeline, number),
    )


def snapshot(database: Queryable, pipeline: str, name: str, number: int) -> StateSnapshot:
    """Return the snapshot that an enricher resumes from in an epoch."""
    found = database.rows(
        "SELECT max(number) FROM snapshots WHERE pipeline=? AND name=? AND number<?",
        pipeline,
        name,
        number,
    )

    def read() -> list[bytes]:
        rows = database.rows(
            "SELECT value FROM snapshots WHERE pipeline=? AND name=? AND number<? ORDER BY number, part",
            pipeline,
            name,
            number,
        )
        return [row[0] for row in rows]

    return StateSnapshot(found[0][0] or 0, read)


def open_totals(database: Queryable, pipeline: str) -> dict[str, int]:
    """Return the number of open totals of each enricher, by the name of its state."""
    rows = database.rows(
        "SELECT DISTINCT name, open FROM snapshots AS k WHERE pipeline=? AND number="
        "(SELECT max(number) FROM snapshots WHERE pipeline=k.pipeline AND name=k.name)",
        pipeline,
    )
    return dict(rows)
