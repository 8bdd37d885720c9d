"""Errors of PostgreSQL as errors of ktrans.

The codes are SQLSTATEs: PostgreSQL documentation, appendix A, "Error Codes". A connection that fails
has no code, so the server is asked whether it accepts connections (`PQping`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ktrans.api import AccessError, KtransError, RetryableError, StateError, UnavailableError
from ktrans.kit.errors import ErrorTable, row
from ktrans_postgres.connection import Place, is_lost

if TYPE_CHECKING:
    import psycopg

_STATEMENTS = ErrorTable(
    (
        row(
            RetryableError,
            "53100",
            code="disk_full",
            hint="make room on the database server, then run again: it resumes",
        ),
        row(
            UnavailableError,
            "25006",
            code="state_unreachable",
            hint="is this a read-only standby? With several hosts, add "
            "target_session_attrs=read-write",
        ),
        row(
            AccessError,
            "42501",
            hint="grant the user USAGE on the schema and SELECT, INSERT, UPDATE, DELETE on its "
            "tables; at first use also CREATE on the database",
        ),
        # Conflicts of transactions, insufficient resources, a lock that is not available.
        row(
            RetryableError,
            *("40", "53", "55P03"),
            code="state_busy",
            hint="run again: it resumes",
        ),
    ),
    otherwise=row(
        StateError,
        code="state_unusable",
        hint="do its tables belong to something else? Set another schema in `schema_name`",
    ),
)
"""By SQLSTATE, or by its class (the first two characters)."""


def not_connected(error: psycopg.Error, place: Place) -> KtransError:
    """Return the error for a connection that failed."""
    text = _first_line(error)
    if place.accepts_connections():
        return AccessError(
            f"{place.where} refuses this user or database: {text}",
            hint="check user, password and sslmode, and that pg_hba.conf admits this host; the "
            "database and the user must exist: CREATE ROLE ... LOGIN; CREATE DATABASE ...",
        )
    return UnavailableError(
        f"{place.where} cannot be reached: {text}",
        code="state_unreachable",
        hint="is the server running, and are host, port and certificates right? The next run "
        "resumes",
    )


def statement_failed(error: psycopg.Error, place: Place) -> KtransError:
    """Return the error for a statement that failed."""
    state = error.sqlstate or ""
    if is_lost(error) and _STATEMENTS.find(state) is None:
        return not_connected(error, place)
    return _STATEMENTS.error(f"{place.where}: {_first_line(error)}", state, state[:2])


def _first_line(error: psycopg.Error) -> str:
    """Return the first line of the text; libpq adds the attempts at each address below it."""
    said = error.diag.message_primary or str(error) or type(error).__name__
    return said.strip().splitlines()[0]
