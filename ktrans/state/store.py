"""What a run remembers: positions, epochs and splits of pipelines, as SQL over any `Database`.

Every change is one transaction, durable when the call returns. One store may serve many pipelines;
the `StateStore` that holds the database decides who may write a pipeline.
"""

from __future__ import annotations

import json
import secrets
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgspec

from ktrans.api import StateError
from ktrans.api.state import StateStore, Transaction
from ktrans.kit.state.tables import TABLES, pipeline_column
from ktrans.state import snapshots
from ktrans.state.epoch_store import EpochStore, now_text
from ktrans.state.epochs import Status, chunks

_UNCLAIMED = ""
"""The file of a pipeline that was reset: none, until it runs again."""


@contextmanager
def hold_store(state: StateStore[Any], pipeline: str, run: str = "") -> Iterator[Store]:
    """Hold a pipeline for one run (see `StateStore.hold`)."""
    with state.hold(pipeline, run) as database:
        yield Store(database)


@contextmanager
def view_store(state: StateStore[Any], pipeline: str) -> Iterator[Store]:
    """Open a copy of what is kept of a pipeline (see `StateStore.look`)."""
    with state.look(pipeline) as database:
        yield Store(database)


class Store(EpochStore):
    """Remembers positions, epochs and splits of pipelines."""

    def confirm(self) -> None:
        """Check that this process may still write.

        Raises:
            FencedError: another run has taken over.
        """
        self.database.confirm()

    def claim(self, pipeline: str, config_path: Path) -> None:
        """Reserve the pipeline's name for its file.

        Raises:
            StateError: another file that still exists uses this name in this store.
        """
        # Links stay: a mounted ConfigMap is a link to a folder whose name changes with its content.
        mine = str(config_path.absolute())
        rows = self.rows("SELECT config_path FROM pipelines WHERE name=?", pipeline)
        if (
            rows
            and rows[0][0] not in {mine, _UNCLAIMED}
            and _is_another(Path(rows[0][0]), config_path)
        ):
            raise StateError(
                f"the state store {self.database.where} already serves a pipeline named {pipeline!r}, "
                f"from {rows[0][0]}",
                hint="give one of the two another name, or another place for its state",
                code="name_taken",
            )
        if rows and rows[0][0] == mine:
            return
        with self.transaction() as db:
            self._begin_history(db, pipeline, mine)

    @staticmethod
    def _begin_history(db: Transaction, pipeline: str, config_path: str) -> None:
        """Add a pipeline with a new history; of one that is there only the file changes."""
        db.execute(
            "INSERT INTO pipelines VALUES (?, ?, ?, NULL, NULL, ?) ON CONFLICT (name) "
            "DO UPDATE SET config_path=excluded.config_path",
            (pipeline, config_path, secrets.token_hex(3), now_text()),
        )

    def history(self, pipeline: str) -> str:
        """Return the id of the pipeline's history in this store, if it has one.

        A reset begins another one.
        """
        rows = self.rows("SELECT history FROM pipelines WHERE name=?", pipeline)
        return str(rows[0][0]) if rows else ""

    def position(self, pipeline: str, source: str | None = None) -> Any:
        """Return the source's position after the last recorded epoch, or None.

        A position of another type of source than the one that asks is not returned.
        """
        rows = self.rows("SELECT position, source FROM pipelines WHERE name=?", pipeline)
        if not rows or not rows[0][0] or (source is not None and rows[0][1] != source):
            return None
        return json.loads(rows[0][0])

    def memory(self, pipeline: str) -> StoredMemory:
        """Return what the source asked to remember."""
        return StoredMemory(self, pipeline)

    def pipelines(self) -> list[str]:
        """Return the name of the pipelines that this store serves."""
        rows = self.rows("SELECT name, config_path FROM pipelines ORDER BY name")
        return [name for name, path in rows if path != _UNCLAIMED]

    def reset(self, pipeline: str) -> None:
        """Forget everything about a pipeline: the next run reads everything again.

        It begins another history here, so that the next run knows that this was intended.
        """
        with self.transaction() as db:
            for table in TABLES:
                column = pipeline_column(table)
                db.execute(f"DELETE FROM {table} WHERE {column}=?", (pipeline,))  # noqa: S608
            self._begin_history(db, pipeline, _UNCLAIMED)

    def forget(self, pipeline: str, keys: Sequence[str]) -> None:
        """Forget splits, so that the source plans them again."""
        with self.transaction() as db:
            for table in ("remembered", "quarantined", "replaced"):
                db.executemany(
                    f"DELETE FROM {table} WHERE pipeline=? AND key=?",  # noqa: S608
                    ((pipeline, key) for key in keys),
                )

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
            "open": snapshots.open_totals(self, pipeline),
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

    def unjudged(self, pipeline: str) -> dict[str, int] | None:
        """Return what the rules of `expect` have found since they were judged; None if that is settled."""
        last = self._last_summary(pipeline)
        found: dict[str, int] | None = last and last[1].get("unjudged")
        return found

    def set_judged(self, pipeline: str) -> None:
        """Record that the rules of `expect` were judged over all epochs that are recorded."""
        if (last := self._last_summary(pipeline)) is None:
            return
        number, summary = last
        with self.transaction() as db:
            db.execute(
                "UPDATE epochs SET summary=? WHERE pipeline=? AND number=?",
                (json.dumps({**summary, "unjudged": None}), pipeline, number),
            )

    def _last_summary(self, pipeline: str) -> tuple[int, dict[str, Any]] | None:
        """Return the number and the summary of the last epoch that is done."""
        rows = self.rows(
            "SELECT number, summary FROM epochs WHERE pipeline=? AND status=? "
            "ORDER BY number DESC LIMIT 1",
            pipeline,
            Status.DONE.value,
        )
        return next(((number, json.loads(text or "{}")) for number, text in rows), None)

    def quarantined(self, pipeline: str) -> list[dict[str, Any]]:
        """List the splits that could not be read, with reason, since when, and how many tries."""
        names = ("key", "uri", "kind", "code", "reason", "epoch", "since", "tries")
        rows = self.rows(
            "SELECT key, uri, kind, code, reason, number, since, tries FROM quarantined "
            "WHERE pipeline=? ORDER BY since, key",
            pipeline,
        )
        return [dict(zip(names, row, strict=True)) for row in rows]


class StoredMemory(msgspec.Struct, frozen=True):
    """What committed epochs remembered for the source."""

    store: Store
    pipeline: str

    def recall(self, keys: Sequence[str]) -> dict[str, Any]:
        """Return the remembered value of each key that has one."""
        found: dict[str, Any] = {}
        for marks, chunk in chunks(keys):
            rows = self.store.rows(
                f"SELECT key, value FROM remembered WHERE pipeline=? AND key IN ({marks})",  # noqa: S608
                self.pipeline,
                *chunk,
            )
            values = json.loads(f"[{','.join(value for _, value in rows)}]")  # at once: faster
            found.update(zip((key for key, _ in rows), values, strict=True))
        return found


def _is_another(claimed: Path, config_path: Path) -> bool:
    """Return whether the file that reserved a name still exists, and is another file than this one."""
    return claimed.exists() and not (config_path.exists() and claimed.samefile(config_path))
