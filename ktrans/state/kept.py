"""What stateful enrichers keep: parts by epoch, of which those of recorded epochs count.

An epoch's parts are written when it is decided, and settled when it is recorded: then parts that
were replaced go. Until then readers of earlier epochs' parts do not see them.
"""

from __future__ import annotations

from collections.abc import Mapping

from ktrans.api import StateSnapshot, StateUpdate
from ktrans.state.database import Rows, Writes


def stage(db: Writes, pipeline: str, number: int, changes: Mapping[str, StateUpdate]) -> None:
    """Write an epoch's changes down, within the transaction that decides it."""
    for name, change in changes.items():
        db.executemany(
            "INSERT INTO kept VALUES (?, ?, ?, ?, ?, ?, ?)",
            (
                (pipeline, name, number, index, int(change.whole), change.open, part)
                for index, part in enumerate(change.parts)
            ),
        )


def undo(db: Writes, pipeline: str, number: int) -> None:
    """Remove what an epoch that is not recorded has written."""
    db.execute("DELETE FROM kept WHERE pipeline=? AND number=?", (pipeline, number))


def settle(db: Writes, pipeline: str, number: int) -> None:
    """Let an epoch's parts count, within the transaction that records it."""
    db.execute(
        "DELETE FROM kept WHERE pipeline=? AND number<? AND name IN "
        "(SELECT name FROM kept WHERE pipeline=? AND number=? AND whole=1)",
        (pipeline, number, pipeline, number),
    )


def kept(database: Rows, pipeline: str, name: str, number: int) -> StateSnapshot:
    """Return what an enricher finds at the beginning of an epoch."""
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

    return StateSnapshot(found[0][0] or 0, read)


def open_totals(database: Rows, pipeline: str) -> dict[str, int]:
    """Return how many totals each enricher has open, by the name of its state."""
    rows = database.rows(
        "SELECT DISTINCT name, open FROM kept AS k WHERE pipeline=? AND number="
        "(SELECT max(number) FROM kept WHERE pipeline=k.pipeline AND name=k.name)",
        pipeline,
    )
    return dict(rows)
