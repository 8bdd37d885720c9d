"""What PostgreSQL and libpq complain of, as errors of ktrans.

The classes of errors are those of the PostgreSQL documentation, appendix A, "Error Codes". A
connection that is refused comes without a code, for libpq gives only the text.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ktrans.api import AccessError, KtransError, RetryableError, StateError, UnavailableError

if TYPE_CHECKING:
    import psycopg

_DISK_FULL, _READ_ONLY = "53100", "25006"
_NO_RIGHTS, _NO_TABLE, _NO_SCHEMA = "42501", "42P01", "3F000"
_REFUSED = (
    "authentication failed",
    "no password supplied",
    "pg_hba.conf",
    "certificate verify failed",
    "not permitted to log in",
    "permission denied",
)
_UNKNOWN = ("does not exist",)
_LOST = ("08", "57P", "58")
"""Connection exceptions, an operator's intervention, and errors of the server's system."""
_AGAIN = ("40", "53", "55P03")
"""Conflicts between transactions, too little of something, a lock that was not to be had."""


def is_lost(error: psycopg.Error) -> bool:
    """Say whether the connection is gone, so that a new one may help."""
    import psycopg

    state = error.sqlstate
    if state is not None:
        return state.startswith(_LOST)
    return isinstance(error, (psycopg.OperationalError, psycopg.InterfaceError))


def refused(error: psycopg.Error, place: str) -> KtransError:
    """Return the error for a connection that did not come about."""
    text = _first(error)
    if any(part in text for part in _REFUSED):
        return AccessError(
            f"{place} does not let this user in: {text}",
            hint="check user, password and sslmode, and that pg_hba.conf admits this host",
        )
    if any(part in text for part in _UNKNOWN):
        return StateError(
            f"{place}: {text}",
            code="state_missing",
            hint="make the database and the user first: CREATE ROLE ... LOGIN; CREATE DATABASE ...",
        )
    return UnavailableError(
        f"{place} cannot be reached: {text}",
        code="state_unreachable",
        hint="is the server running, and host and port right? The next run resumes",
    )


def failed(error: psycopg.Error, place: str) -> KtransError:
    """Return the error for a statement that failed on a connection that stands."""
    state, text = error.sqlstate or "", _first(error)
    if state == _DISK_FULL:
        return RetryableError(
            f"no space left for {place}: {text}",
            code="disk_full",
            hint="make room on the database server, then run again: it resumes",
        )
    if state == _READ_ONLY:
        return UnavailableError(
            f"{place} is read-only: {text}",
            code="state_unreachable",
            hint="is this a standby? With several hosts, add target_session_attrs=read-write",
        )
    if state == _NO_RIGHTS:
        return AccessError(
            f"{place}: {text}",
            hint="grant the user USAGE on the schema and SELECT, INSERT, UPDATE, DELETE on its "
            "tables; at first use also CREATE on the database",
        )
    if state.startswith(_AGAIN):
        return RetryableError(f"{place}: {text}", code="state_busy", hint="run again: it resumes")
    if is_lost(error):
        return refused(error, place)
    return StateError(
        f"cannot use {place} as a state store: {text}",
        code="state_unusable",
        hint="do its tables belong to something else? Name another schema by `schema_name`",
    )


def _first(error: psycopg.Error) -> str:
    """Return the first line of what it says; libpq adds the attempts at each address below it."""
    said = error.diag.message_primary or str(error) or type(error).__name__
    return said.strip().splitlines()[0]
