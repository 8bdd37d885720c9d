"""The life of an epoch, as SQL over any `Database`.

Every change is one transaction, durable when the call returns.
"""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Mapping
from contextlib import AbstractContextManager
from typing import Any

import msgspec

from ktrans.api.state import Database, Transaction
from ktrans.state import rewind, snapshots
from ktrans.state.epochs import PLANNED, STAGED, Epoch, Quarantine, Status

KEPT_EPOCHS = 1000


class EpochStore:
    """Records how far each epoch got."""

    def __init__(self, database: Database) -> None:
        self.database = database

    def transaction(self) -> AbstractContextManager[Transaction]:
        """Run one write transaction."""
        return self.database.transaction()

    def rows(self, sql: str, *values: Any) -> list[tuple[Any, ...]]:
        """Return all rows of a query."""
        return self.database.rows(sql, *values)

    def next_number(self, pipeline: str) -> int:
        """Return the number of the next epoch."""
        rows = self.rows("SELECT max(number) FROM epochs WHERE pipeline=?", pipeline)
        return int(rows[0][0] or 0) + 1

    def unfinished(self, pipeline: str) -> Epoch | None:
        """Return the epoch that an earlier run did not finish, if there is one."""
        rows = self.rows(
            "SELECT number, status, fingerprint, plan, staged, begun FROM epochs "
            "WHERE pipeline=? AND status NOT IN (?, ?, ?) ORDER BY number LIMIT 1",
            pipeline,
            Status.DONE.value,
            Status.DROPPED.value,
            Status.REWOUND.value,
        )
        return self._epoch(pipeline, rows[0]) if rows else None

    def _epoch(self, pipeline: str, row: tuple[Any, ...]) -> Epoch:
        number, status, fingerprint, plan_text, staged_text, begun = row
        quarantined = self.rows(
            "SELECT key, uri, kind, code, reason FROM epoch_quarantined "
            "WHERE pipeline=? AND number=?",
            pipeline,
            number,
        )
        epoch = msgspec.convert(
            {
                "number": number,
                "status": status,
                "fingerprint": fingerprint,
                "decided": staged_text is not None,
                "begun": begun or 0,
                **json.loads(plan_text),
                **json.loads(staged_text or "{}"),
            },
            Epoch,
        )
        epoch.quarantined = {item[0]: Quarantine(*item) for item in quarantined}
        return epoch

    def plan(self, pipeline: str, epoch: Epoch) -> None:
        """Record the plan of an epoch, before any of its data is read."""
        with self.transaction() as db:
            db.execute(
                "INSERT INTO epochs (pipeline, number, status, fingerprint, plan, planned, begun) "
                "VALUES (?, ?, ?, ?, ?, ?, ?)",
                (
                    pipeline,
                    epoch.number,
                    Status.PLANNED.value,
                    epoch.fingerprint,
                    json.dumps(epoch.to_json(PLANNED)),
                    now_text(),
                    epoch.begun,
                ),
            )

    def begin(self, pipeline: str, epoch: Epoch) -> None:
        """Record that another process begins to process a planned epoch."""
        self._add_begun(pipeline, epoch, 1)

    def leave(self, pipeline: str, epoch: Epoch) -> None:
        """Record that a process leaves a planned epoch in an orderly way; one that dies does not."""
        self._add_begun(pipeline, epoch, -1)

    def _add_begun(self, pipeline: str, epoch: Epoch, change: int) -> None:
        with self.transaction() as db:
            db.execute(
                "UPDATE epochs SET begun=coalesce(begun, 0)+? WHERE pipeline=? AND number=?",
                (change, pipeline, epoch.number),
            )
        epoch.begun += change

    def set_fingerprint(self, pipeline: str, epoch: Epoch) -> None:
        """Record the fingerprint of the definition under which a planned epoch is processed again."""
        with self.transaction() as db:
            db.execute(
                "UPDATE epochs SET fingerprint=? WHERE pipeline=? AND number=?",
                (epoch.fingerprint, pipeline, epoch.number),
            )

    def quarantine(self, pipeline: str, epoch: Epoch, one: Quarantine) -> None:
        """Quarantine a split of an epoch, for this attempt and every later one."""
        with self.transaction() as db:
            db.execute(
                "DELETE FROM epoch_quarantined WHERE pipeline=? AND number=? AND key=?",
                (pipeline, epoch.number, one.key),
            )
            db.execute(
                "INSERT INTO epoch_quarantined VALUES (?, ?, ?, ?, ?, ?, ?)",
                (pipeline, epoch.number, *msgspec.structs.astuple(one)),
            )

    def clear_quarantine(self, pipeline: str, epoch: Epoch) -> None:
        """Let an epoch that is planned read all its splits again."""
        with self.transaction() as db:
            self._clear_quarantine(db, pipeline, epoch)

    @staticmethod
    def _clear_quarantine(db: Transaction, pipeline: str, epoch: Epoch) -> None:
        db.execute(
            "DELETE FROM epoch_quarantined WHERE pipeline=? AND number=?", (pipeline, epoch.number)
        )

    def drop(self, pipeline: str, epoch: Epoch) -> None:
        """Drop an epoch that is only planned: its splits are planned again."""
        with self.transaction() as db:
            db.execute(
                "UPDATE epochs SET status=?, plan='{}', staged=NULL WHERE pipeline=? AND number=?",
                (Status.DROPPED.value, pipeline, epoch.number),
            )
            self._clear_quarantine(db, pipeline, epoch)

    def stage(self, pipeline: str, epoch: Epoch) -> None:
        """Record that every task has staged its rows: from here on the epoch is only committed."""
        with self.transaction() as db:
            db.execute(
                "UPDATE epochs SET status=?, staged=? WHERE pipeline=? AND number=?",
                (
                    Status.COMMITTING.value,
                    json.dumps(epoch.to_json(STAGED)),
                    pipeline,
                    epoch.number,
                ),
            )
            snapshots.stage(db, pipeline, epoch.number, epoch.updates)

    def unstage(self, pipeline: str, epoch: Epoch) -> None:
        """Set a staged epoch back to planned, because its staged rows are lost.

        Its receipts stay: what is staged next has to be the same.
        """
        with self.transaction() as db:
            db.execute(
                "UPDATE epochs SET status=? WHERE pipeline=? AND number=?",
                (Status.PLANNED.value, pipeline, epoch.number),
            )
            snapshots.undo(db, pipeline, epoch.number)

    def record(self, pipeline: str, epoch: Epoch, summary: Mapping[str, Any]) -> None:
        """Record an epoch whose sinks have all committed: position, memory and ledger together."""
        with self.transaction() as db:
            db.execute(
                "UPDATE epochs SET status=?, summary=?, recorded=? WHERE pipeline=? AND number=?",
                (Status.RECORDED.value, json.dumps(summary), now_text(), pipeline, epoch.number),
            )
            db.execute(
                "UPDATE pipelines SET position=?, source=?, updated=? WHERE name=?",
                (json.dumps(epoch.position), epoch.source.partition(":")[0], now_text(), pipeline),
            )
            rewind.note(db, pipeline, epoch)
            self._remember(db, pipeline, epoch)
            self._keep_quarantined(db, pipeline, epoch)
            snapshots.settle(db, pipeline, epoch.number)

    def _remember(self, db: Transaction, pipeline: str, epoch: Epoch) -> None:
        remembered = epoch.remembered()
        db.executemany(
            "INSERT INTO remembered VALUES (?, ?, ?, ?) ON CONFLICT (pipeline, key) "
            "DO UPDATE SET value=excluded.value, number=excluded.number",
            (
                (pipeline, key, json.dumps(value), epoch.number)
                for key, value in remembered.items()
                if value is not None
            ),
        )
        db.executemany(
            "DELETE FROM remembered WHERE pipeline=? AND key=?",
            ((pipeline, key) for key, value in remembered.items() if value is None),
        )

    def _keep_quarantined(self, db: Transaction, pipeline: str, epoch: Epoch) -> None:
        read = [s.key for s in epoch.splits if s.key not in epoch.quarantined]
        db.executemany(
            "DELETE FROM quarantined WHERE pipeline=? AND key=?", ((pipeline, key) for key in read)
        )
        db.executemany(
            "INSERT INTO quarantined VALUES (?, ?, ?, ?, ?, ?, ?, ?, 1) ON CONFLICT (pipeline, key) "
            "DO UPDATE SET kind=excluded.kind, code=excluded.code, reason=excluded.reason, "
            "number=excluded.number, tries=quarantined.tries+1",
            (
                (pipeline, e.key, e.uri, e.kind, e.code, e.reason, epoch.number, now_text())
                for e in epoch.quarantined.values()
            ),
        )

    def finish(self, pipeline: str, epoch: Epoch) -> None:
        """Record that the source knows too, and remove what old epochs no longer need."""
        with self.transaction() as db:
            db.execute(
                "UPDATE epochs SET status=?, plan='{}', staged=NULL WHERE pipeline=? AND number=?",
                (Status.DONE.value, pipeline, epoch.number),
            )
            oldest = epoch.number - KEPT_EPOCHS
            for table in ("epochs", "epoch_quarantined", "replaced"):
                db.execute(
                    f"DELETE FROM {table} WHERE pipeline=? AND number<=?",  # noqa: S608
                    (pipeline, oldest),
                )
        rewind.bound(self.database, pipeline)


def now_text() -> str:
    """Return the time as the tables hold it."""
    return dt.datetime.now(dt.UTC).isoformat(timespec="milliseconds")
