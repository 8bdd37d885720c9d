"""The tables of a state store, version by version."""

from __future__ import annotations

from ktrans.api import StateError

STATE_VERSION = 5

_FIRST = """
CREATE TABLE pipelines (
    name TEXT PRIMARY KEY, config_path TEXT NOT NULL, history TEXT NOT NULL,
    source TEXT, position TEXT, updated TEXT NOT NULL
)|;
CREATE TABLE epochs (
    pipeline TEXT NOT NULL, number INTEGER NOT NULL, status TEXT NOT NULL,
    fingerprint TEXT NOT NULL, plan TEXT NOT NULL, staged TEXT, summary TEXT,
    planned TEXT NOT NULL, recorded TEXT, PRIMARY KEY (pipeline, number)
)|;
CREATE TABLE excluded (
    pipeline TEXT NOT NULL, number INTEGER NOT NULL, key TEXT NOT NULL, uri TEXT NOT NULL,
    kind TEXT NOT NULL, code TEXT NOT NULL, reason TEXT NOT NULL,
    PRIMARY KEY (pipeline, number, key)
)|;
CREATE TABLE remembered (
    pipeline TEXT NOT NULL, key TEXT NOT NULL, value TEXT NOT NULL, number INTEGER NOT NULL,
    PRIMARY KEY (pipeline, key)
)|;
CREATE TABLE set_aside (
    pipeline TEXT NOT NULL, key TEXT NOT NULL, uri TEXT NOT NULL, kind TEXT NOT NULL,
    code TEXT NOT NULL, reason TEXT NOT NULL, number INTEGER NOT NULL, since TEXT NOT NULL,
    tries INTEGER NOT NULL, PRIMARY KEY (pipeline, key)
)|
"""
_SECOND = """
CREATE TABLE kept (
    pipeline TEXT NOT NULL, name TEXT NOT NULL, number INTEGER NOT NULL, part INTEGER NOT NULL,
    whole INTEGER NOT NULL, open INTEGER NOT NULL, value BLOB NOT NULL,
    PRIMARY KEY (pipeline, name, number, part)
)
"""
_THIRD = """
ALTER TABLE epochs ADD COLUMN position TEXT;
ALTER TABLE epochs ADD COLUMN source TEXT;
ALTER TABLE epochs ADD COLUMN replaced INTEGER;
CREATE TABLE replaced (
    pipeline TEXT NOT NULL, number INTEGER NOT NULL, key TEXT NOT NULL, value TEXT NOT NULL,
    written INTEGER NOT NULL, PRIMARY KEY (pipeline, number, key)
)|
"""
_FOURTH = """
ALTER TABLE set_aside RENAME TO quarantined;
ALTER TABLE excluded RENAME TO epoch_quarantined;
ALTER TABLE kept RENAME TO snapshots
"""
_FIFTH = "ALTER TABLE epochs ADD COLUMN begun INTEGER"

TABLES = (
    *("pipelines", "epochs", "epoch_quarantined", "remembered", "quarantined", "snapshots"),
    "replaced",
)
"""All tables. See `pipeline_column`."""


def pipeline_column(table: str) -> str:
    """Return the column that names the pipeline."""
    return "name" if table == TABLES[0] else "pipeline"


def versions(*, blob: str = "BLOB", end: str = " WITHOUT ROWID") -> list[list[str]]:
    """Return the statements that turn each version into the next; the first create version 1.

    Args:
        blob: the type of columns of bytes: BYTEA for PostgreSQL.
        end: the end of the definition of a table whose rows are small.
    """
    return [
        [statement.strip().replace("BLOB", blob).replace("|", end) for statement in text.split(";")]
        for text in (_FIRST, _SECOND, _THIRD, _FOURTH, _FIFTH)
    ]


def too_new(where: str, version: int) -> StateError:
    """Return the error for a store that was written by a newer ktrans."""
    return StateError(
        f"{where} was written by a newer ktrans (state version {version}, this one knows "
        f"{STATE_VERSION})",
        hint="upgrade ktrans, or point `state` to another place",
        code="state_too_new",
    )
