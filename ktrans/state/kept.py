"""What stateful enrichers keep: parts by epoch, of which those of recorded epochs count.

An epoch's parts are written when it is decided, and settled when it is recorded: then parts that
were replaced go. Until then readers of earlier epochs' parts do not see them.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping

from ktrans.api import Change, Kept
from ktrans.state.database import Database


def stage(
    db: sqlite3.Connection, pipeline: str, number: int, changes: Mapping[str, Change]
) -> None:
    """Write an epoch's changes down, within the transaction that decides it."""
    for name, change in changes.items():
        db.executemany(
            "INSERT INTO kept VALUES (?, ?, ?, ?, ?, ?, ?)",
            (
                (pipeline, name, number, index, change.whole, change.open, part)
                for index, part in enumerate(change.parts)
            ),
        )


def undo(db: sqlite3.Connection, pipeline: str, number: int) -> None:
    """Remove what an epoch that is not recorded has written."""
    db.execute("DELETE FROM kept WHERE pipeline=? AND number=?", (pipeline, number))


def settle(db: sqlite3.Connection, pipeline: str, number: int) -> None:
    """Let an epoch's parts count, within the transaction that records it."""
    db.execute(
        "DELETE FROM kept WHERE pipeline=? AND number<? AND name IN "
        "(SELECT name FROM kept WHERE pipeline=? AND number=? AND whole)",
        (pipeline, number, pipeline, number),
    )


def kept(database: Database, pipeline: str, name: str, number: int) -> Kept:
    """Give what an enricher finds at the beginning of an epoch."""
    found = database.rows(
        "SELECT max(number) FROM kept WHERE pipeline=? AND name=? AND number<?",
        pipeline,
        name,
        number,
    )

    def read() -> list[bytes]:
        rows = database.rows(
            "SELECT value FROM kept WHERE pipeline=? AND name=? AND number<? ORDER BY number, part",
            pipeline,
            name,
            number,
        )
        return [row[0] for row in rows]

    return Kept(found[0][0] or 0, read)


def open_totals(database: Database, pipeline: str) -> dict[str, int]:
    """Give how many totals each enricher has open, by the name of its state."""
    rows = database.rows(
        "SELECT name, open FROM kept AS k WHERE pipeline=? AND number="
        "(SELECT max(number) FROM kept WHERE pipeline=k.pipeline AND name=k.name) GROUP BY name",
        pipeline,
    )
    return dict(rows)
