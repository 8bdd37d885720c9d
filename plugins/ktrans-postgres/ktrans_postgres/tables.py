"""The schema of the tables: created at first use, and migrated by the first run of a newer ktrans."""

from __future__ import annotations

import hashlib

from psycopg import sql

from ktrans.kit.state.tables import STATE_VERSION, too_new, versions
from ktrans_postgres.connection import Connection

_OWN = (
    "CREATE TABLE version (version INTEGER NOT NULL)",
    "INSERT INTO version VALUES (0)",
    """CREATE TABLE holds (
        pipeline TEXT PRIMARY KEY, term BIGINT NOT NULL, serial BIGINT NOT NULL,
        holder TEXT NOT NULL
    )""",
)
"""Tables of this store beside those of all stores. `term` counts the holders of a pipeline, `serial`
the transactions of one of them."""


def lock_key(schema: str, pipeline: str = "") -> int:
    """Return the key of an advisory lock: of a pipeline, or of the schema itself."""
    name = f"ktrans\0{schema}\0{pipeline}".encode()
    digest = hashlib.blake2b(name, digest_size=8).digest()
    return int.from_bytes(digest, "big", signed=True)


def version_of(connection: Connection) -> int | None:
    """Return the version of the tables; None if there are none."""
    found = connection.execute("SELECT to_regclass('version')::text").fetchone()
    if found is None or found[0] is None:
        return None
    row = connection.execute("SELECT version FROM version").fetchone()
    return int(row[0]) if row else None


def ensure(connection: Connection, schema: str, where: str) -> None:
    """Create or migrate the tables; several processes may try at once.

    Raises:
        StateError: they come from a newer ktrans.
        psycopg.Error: it is not allowed to, or the connection is lost.
    """
    if _is_current(connection, where):
        return
    # Not within the transaction, which would not see the schema that another one has created.
    connection.execute("SELECT pg_advisory_lock(%s)", (lock_key(schema),))
    try:
        if not _is_current(connection, where):
            with connection.transaction():
                _make(connection, schema)
    finally:
        if not connection.closed:
            connection.execute("SELECT pg_advisory_unlock(%s)", (lock_key(schema),))


def _make(connection: Connection, schema: str) -> None:
    have = version_of(connection)
    if have is None:
        exists = "SELECT 1 FROM pg_namespace WHERE nspname = %s"
        if connection.execute(exists, (schema,)).fetchone() is None:
            connection.execute(sql.SQL("CREATE SCHEMA {}").format(sql.Identifier(schema)))
        for statement in _OWN:
            connection.execute(statement.encode())
    for statements in versions(blob="BYTEA", end="")[have or 0 :]:
        for statement in statements:
            connection.execute(statement.replace("INTEGER", "BIGINT").encode())
    connection.execute("UPDATE version SET version = %s", (STATE_VERSION,))


def _is_current(connection: Connection, where: str) -> bool:
    have = version_of(connection)
    if have is not None and have > STATE_VERSION:
        raise too_new(where, have)
    return have == STATE_VERSION
