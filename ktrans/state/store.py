"""What a run must remember, as SQL over any `Database`.

Every change is one transaction, durable when the call returns. One store may serve many pipelines;
who may write a pipeline is for the `StateStore` to say that hands this out.
"""

from __future__ import annotations

import datetime as dt
import json
import secrets
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ktrans.api import Receipt, Split, StateError
from ktrans.state import kept, rewind
from ktrans.state.database import Database, Writes
from ktrans.state.epochs import Epoch, Quarantine, Status
from ktrans.state.tables import TABLES

if TYPE_CHECKING:
    from typing import Self

KEPT_EPOCHS = 1000
RECALL_CHUNK = 500


class Store:
    """Remembers positions, epochs and splits of pipelines.

    Args:
        database: where; closed with the store.
    """

    def __init__(self, database: Database) -> None:
        self.database = database

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_exc: object) -> None:
        self.close()

    @property
    def where(self) -> str:
        """The database's name for messages."""
        return self.database.where

    def close(self) -> None:
        """Close the database; safe to call twice."""
        self.database.close()

    def confirm(self) -> None:
        """Make sure that this process may still write.

        Raises:
            FencedError: another run has taken over.
        """
        self.database.confirm()

    def transaction(self) -> AbstractContextManager[Writes]:
        """Run one write transaction."""
        return self.database.transaction()

    def rows(self, sql: str, *values: Any) -> list[tuple[Any, ...]]:
        """Return all rows of a query."""
        return self.database.rows(sql, *values)

    # -- a pipeline ---------------------------------------------------------------------------

    def claim(self, pipeline: str, config_path: Path) -> None:
        """Tie the pipeline's name to its file.

        Raises:
            StateError: another file that still exists uses this name in this store.
        """
        # Links stay: a mounted ConfigMap is a link to a folder whose name changes with its content.
        mine = str(config_path.absolute())
        rows = self.rows("SELECT config_path FROM pipelines WHERE name=?", pipeline)
        if rows and rows[0][0] != mine and _is_another(Path(rows[0][0]), config_path):
            raise StateError(
                f"the state store {self.database.where} already serves a pipeline named {pipeline!r}, "
                f"from {rows[0][0]}",
                hint="give one of the two another name, or another place for its state",
                code="name_taken",
            )
        if rows and rows[0][0] == mine:
            return
        with self.transaction() as db:
            db.execute(
                "INSERT INTO pipelines VALUES (?, ?, ?, NULL, NULL, ?) ON CONFLICT (name) "
                "DO UPDATE SET config_path=excluded.config_path",
                (pipeline, mine, secrets.token_hex(3), _now()),
            )

    def history(self, pipeline: str) -> str:
        """Return the name of the pipeline's history in this store; another one after a reset."""
        rows = self.rows("SELECT history FROM pipelines WHERE name=?", pipeline)
        return str(rows[0][0]) if rows else ""

    def position(self, pipeline: str, source: str | None = None) -> Any:
        """Return the source's position after the last recorded epoch, or None.

        Args:
            pipeline: whose position.
            source: the type of the source that asks: another type's position means nothing to it.
        """
        rows = self.rows("SELECT position, source FROM pipelines WHERE name=?", pipeline)
        if not rows or not rows[0][0] or (source is not None and rows[0][1] != source):
            return None
        return json.loads(rows[0][0])

    def memory(self, pipeline: str) -> StoredMemory:
        """Return the source's view of what it asked to remember."""
        return StoredMemory(self, pipeline)

    def pipelines(self) -> list[str]:
        """Return the name of the pipelines that this store serves."""
        return [row[0] for row in self.rows("SELECT name FROM pipelines ORDER BY name")]

    def reset(self, pipeline: str) -> None:
        """Forget all about a pipeline: everything is read again by the next run."""
        with self.transaction() as db:
            for table in TABLES[1:]:
                db.execute(f"DELETE FROM {table} WHERE pipeline=?", (pipeline,))  # noqa: S608
            db.execute("DELETE FROM pipelines WHERE name=?", (pipeline,))

    def forget(self, pipeline: str, keys: Sequence[str]) -> None:
        """Forget splits, so that the source plans them again."""
        with self.transaction() as db:
            for table in ("remembered", "quarantined", "replaced"):
                db.executemany(
                    f"DELETE FROM {table} WHERE pipeline=? AND key=?",  # noqa: S608
                    ((pipeline, key) for key in keys),
                )

    # -- the life of an epoch -----------------------------------------------------------------

    def next_number(self, pipeline: str) -> int:
        """Return the number that the next epoch takes."""
        rows = self.rows("SELECT max(number) FROM epochs WHERE pipeline=?", pipeline)
        return int(rows[0][0] or 0) + 1

    def unfinished(self, pipeline: str) -> Epoch | None:
        """Return the epoch that an earlier run did not bring to its end, if there is one."""
        rows = self.rows(
            "SELECT number, status, fingerprint, plan, staged FROM epochs "
            "WHERE pipeline=? AND status NOT IN (?, ?, ?) ORDER BY number LIMIT 1",
            pipeline,
            Status.DONE.value,
            Status.DROPPED.value,
            Status.REWOUND.value,
        )
        return self._epoch(pipeline, rows[0]) if rows else None

    def _epoch(self, pipeline: str, row: tuple[Any, ...]) -> Epoch:
        number, status, fingerprint, plan_text, staged_text = row
        plan = json.loads(plan_text)
        staged = json.loads(staged_text) if staged_text else {}
        excluded = self.rows(
            "SELECT key, uri, kind, code, reason FROM excluded WHERE pipeline=? AND number=?",
            pipeline,
            number,
        )
        return Epoch(
            number,
            [[Split.from_json(split) for split in task] for task in plan["tasks"]],
            plan["position"],
            plan["remember"],
            fingerprint,
            Status(status),
            {item[0]: Quarantine(*item) for item in excluded},
            {
                sink: [Receipt.from_json(receipt) for receipt in receipts]
                for sink, receipts in staged.get("receipts", {}).items()
            },
            staged.get("ledger", {}),
            staged.get("extra", {}),
            replay=plan["replay"],
            source=plan["source"],
            last=plan["last"],
            decided=staged_text is not None,
            planned=dt.datetime.fromisoformat(plan["planned"]),
        )

    def plan(self, pipeline: str, epoch: Epoch) -> None:
        """Write an epoch down before any of its data is read."""
        with self.transaction() as db:
            db.execute(
                "INSERT INTO epochs (pipeline, number, status, fingerprint, plan, planned) "
                "VALUES (?, ?, ?, ?, ?, ?)",
                (
                    pipeline,
                    epoch.number,
                    Status.PLANNED.value,
                    epoch.fingerprint,
                    json.dumps(epoch.plan_json()),
                    _now(),
                ),
            )

    def refingerprint(self, pipeline: str, epoch: Epoch) -> None:
        """Note that a planned epoch is processed again under a changed definition."""
        with self.transaction() as db:
            db.execute(
                "UPDATE epochs SET fingerprint=? WHERE pipeline=? AND number=?",
                (epoch.fingerprint, pipeline, epoch.number),
            )

    def exclude(self, pipeline: str, epoch: Epoch, exclusion: Quarantine) -> None:
        """Leave a split out of its epoch, for this attempt and every later one."""
        with self.transaction() as db:
            db.execute(
                "DELETE FROM excluded WHERE pipeline=? AND number=? AND key=?",
                (pipeline, epoch.number, exclusion.key),
            )
            db.execute(
                "INSERT INTO excluded VALUES (?, ?, ?, ?, ?, ?, ?)",
                (pipeline, epoch.number, *exclusion.to_json().values()),
            )

    def readmit(self, pipeline: str, epoch: Epoch) -> None:
        """Take back all that was left out of an epoch that is planned, so that it is tried again."""
        with self.transaction() as db:
            db.execute(
                "DELETE FROM excluded WHERE pipeline=? AND number=?", (pipeline, epoch.number)
            )

    def drop(self, pipeline: str, epoch: Epoch) -> None:
        """Forget an epoch that is only planned: what it was to read is planned anew."""
        with self.transaction() as db:
            db.execute(
                "UPDATE epochs SET status=?, plan='{}', staged=NULL WHERE pipeline=? AND number=?",
                (Status.DROPPED.value, pipeline, epoch.number),
            )
            db.execute(
                "DELETE FROM excluded WHERE pipeline=? AND number=?", (pipeline, epoch.number)
            )

    def stage(self, pipeline: str, epoch: Epoch) -> None:
        """Decide: every task has staged its rows, so from here on the epoch goes forward only."""
        with self.transaction() as db:
            db.execute(
                "UPDATE epochs SET status=?, staged=? WHERE pipeline=? AND number=?",
                (Status.COMMITTING.value, json.dumps(epoch.staged_json()), pipeline, epoch.number),
            )
            kept.stage(db, pipeline, epoch.number, epoch.changes)

    def unstage(self, pipeline: str, epoch: Epoch) -> None:
        """Take the decision back, because what was staged is gone: process the tasks again."""
        with self.transaction() as db:
            db.execute(
                "UPDATE epochs SET status=?, staged='{}' WHERE pipeline=? AND number=?",
                (Status.PLANNED.value, pipeline, epoch.number),
            )
            kept.undo(db, pipeline, epoch.number)

    def record(self, pipeline: str, epoch: Epoch, summary: Mapping[str, Any]) -> None:
        """Record an epoch whose sinks have all committed: position, memory and ledger at once."""
        with self.transaction() as db:
            db.execute(
                "UPDATE epochs SET status=?, summary=?, recorded=? WHERE pipeline=? AND number=?",
                (Status.RECORDED.value, json.dumps(summary), _now(), pipeline, epoch.number),
            )
            db.execute(
                "UPDATE pipelines SET position=?, source=?, updated=? WHERE name=?",
                (json.dumps(epoch.position), epoch.source.partition(":")[0], _now(), pipeline),
            )
            rewind.note(db, pipeline, epoch)
            self._remember(db, pipeline, epoch)
            self._keep_quarantined(db, pipeline, epoch)
            kept.settle(db, pipeline, epoch.number)

    def _remember(self, db: Writes, pipeline: str, epoch: Epoch) -> None:
        kept = epoch.kept()
        db.executemany(
            "INSERT INTO remembered VALUES (?, ?, ?, ?) ON CONFLICT (pipeline, key) "
            "DO UPDATE SET value=excluded.value, number=excluded.number",
            (
                (pipeline, key, json.dumps(value), epoch.number)
                for key, value in kept.items()
                if value is not None
            ),
        )
        db.executemany(
            "DELETE FROM remembered WHERE pipeline=? AND key=?",
            ((pipeline, key) for key, value in kept.items() if value is None),
        )

    def _keep_quarantined(self, db: Writes, pipeline: str, epoch: Epoch) -> None:
        read = [s.key for s in epoch.splits if s.key not in epoch.excluded]
        db.executemany(
            "DELETE FROM quarantined WHERE pipeline=? AND key=?", ((pipeline, key) for key in read)
        )
        db.executemany(
            "INSERT INTO quarantined VALUES (?, ?, ?, ?, ?, ?, ?, ?, 1) ON CONFLICT (pipeline, key) "
            "DO UPDATE SET kind=excluded.kind, code=excluded.code, reason=excluded.reason, "
            "number=excluded.number, tries=quarantined.tries+1",
            (
                (pipeline, e.key, e.uri, e.kind, e.code, e.reason, epoch.number, _now())
                for e in epoch.excluded.values()
            ),
        )

    def finish(self, pipeline: str, epoch: Epoch) -> None:
        """Note that the source knows too, and let go of what old epochs no longer need."""
        with self.transaction() as db:
            db.execute(
                "UPDATE epochs SET status=?, plan='{}', staged=NULL WHERE pipeline=? AND number=?",
                (Status.DONE.value, pipeline, epoch.number),
            )
            oldest = epoch.number - KEPT_EPOCHS
            for table in ("epochs", "excluded", "replaced"):
                db.execute(
                    f"DELETE FROM {table} WHERE pipeline=? AND number<=?",  # noqa: S608
                    (pipeline, oldest),
                )
        rewind.bound(self, pipeline)

    # -- for messages ---------------------------------------------------------------------------

    def describe(self, pipeline: str, epochs: int = 10) -> dict[str, Any]:
        """Return what is known of a pipeline, as JSON, the last epochs first."""
        recent = self.rows(
            "SELECT number, status, planned, recorded, summary FROM epochs "
            "WHERE pipeline=? ORDER BY number DESC LIMIT ?",
            pipeline,
            epochs,
        )
        count = self.rows("SELECT count(*) FROM remembered WHERE pipeline=?", pipeline)
        path = self.rows("SELECT config_path FROM pipelines WHERE name=?", pipeline)
        return {
            "pipeline": pipeline,
            "config": path[0][0] if path else None,
            "position": self.position(pipeline),
            "remembered": count[0][0],
            "open": kept.open_totals(self, pipeline),
            "epochs": [
                {
                    "number": number,
                    "status": status,
                    "planned": planned,
                    "recorded": recorded,
                    "summary": json.loads(summary) if summary else None,
                }
                for number, status, planned, recorded, summary in recent
            ],
            "quarantined": self.quarantined(pipeline),
        }

    def quarantined(self, pipeline: str) -> list[dict[str, Any]]:
        """List the splits that could not be read, with reason, since when, and how many tries."""
        names = ("key", "uri", "kind", "code", "reason", "epoch", "since", "tries")
        rows = self.rows(
            "SELECT key, uri, kind, code, reason, number, since, tries FROM quarantined "
            "WHERE pipeline=? ORDER BY since, key",
            pipeline,
        )
        return [dict(zip(names, row, strict=True)) for row in rows]


class StoredMemory:
    """What committed epochs left behind for the source."""

    def __init__(self, store: Store, pipeline: str) -> None:
        self._store = store
        self._pipeline = pipeline

    def recall(self, keys: Sequence[str]) -> dict[str, Any]:
        """Return the remembered value of each key that has one."""
        found: dict[str, Any] = {}
        for start in range(0, len(keys), RECALL_CHUNK):
            chunk = keys[start : start + RECALL_CHUNK]
            marks = ",".join("?" * len(chunk))
            rows = self._store.rows(
                f"SELECT key, value FROM remembered WHERE pipeline=? AND key IN ({marks})",  # noqa: S608
                self._pipeline,
                *chunk,
            )
            found.update((key, json.loads(value)) for key, value in rows)
        return found


def _now() -> str:
    return dt.datetime.now(dt.UTC).isoformat(timespec="milliseconds")


def _is_another(claimed: Path, config_path: Path) -> bool:
    """Return whether the file that claimed a name still exists, and is not this one by another path."""
    return claimed.exists() and not (config_path.exists() and claimed.samefile(config_path))
