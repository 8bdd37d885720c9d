"""Connections to the database, and its errors as errors of ktrans.

The codes are SQLSTATEs: PostgreSQL documentation, appendix A, "Error Codes". A connection that fails
has no code, so the server is asked whether it accepts connections (`PQping`).
"""

from __future__ import annotations

from typing import Any

import psycopg
from psycopg import sql
from psycopg.conninfo import conninfo_to_dict, make_conninfo
from psycopg.pq import PGconn, Ping

from ktrans.api import (
    AccessError,
    ConfigError,
    KtransError,
    RetryableError,
    RunError,
    StateError,
    UnavailableError,
)
from ktrans.kit.errors import ErrorTable, row
from ktrans_postgres.config import PostgresOptions

Connection = psycopg.Connection[tuple[Any, ...]]

_ALIVE = {
    "keepalives_idle": 30,
    "keepalives_interval": 10,
    "keepalives_count": 3,
    "tcp_user_timeout": 60_000,
}
"""How soon this side notices that the server is gone, unless the url has its own values; parameters
of libpq ("Parameter Key Words")."""

_SESSION = {
    name if name.startswith("tcp_") else f"tcp_{name}": str(value) for name, value in _ALIVE.items()
}
"""The same for the server, which ends the session of a machine that is gone."""

NOTICED_SECS = 60
"""How long that takes: the idle time, and all probes."""


LOST = ("08", "57P", "58")
"""Connection exceptions, an operator's intervention, and errors of the server's system."""


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
            code="postgres_unreachable",
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
            code="postgres_busy",
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

_SINK = _STATEMENTS.extended(
    row(
        AccessError,
        "42501",
        hint="grant the user INSERT on the table, SELECT, INSERT and DELETE on ktrans_marks, and "
        "TEMPORARY on the database; CREATE on the schema if tables are to be created",
    ),
    row(
        ConfigError,
        *("42P01", "42703", "3F000", "42804"),
        code="not_found",
        field="table",
        hint="does the table still have the columns of the rows? `ktrans validate --connect` tells",
    ),
    otherwise=row(
        RunError,
        code="refused",
        hint="the server refuses rows that fit the columns' types: look at the table's constraints and "
        "triggers, and leave such rows out with `where:`",
    ),
)


def sink_failed(message: str, state: str) -> KtransError:
    """Return the error for a statement of the sink that failed with a SQLSTATE."""
    return _SINK.error(message, state, state[:2])


def is_lost(error: BaseException) -> bool:
    """Return whether the connection is lost, so that a new one may help."""
    if not isinstance(error, psycopg.Error):
        return False
    state = error.sqlstate
    if state is not None:
        return state.startswith(LOST)
    return isinstance(error, (psycopg.OperationalError, psycopg.InterfaceError))


class Place:
    """The database of a config."""

    def __init__(self, config: PostgresOptions, schema: str) -> None:
        self._config = config
        self.schema = schema

    def parameters(self) -> dict[str, Any]:
        """Return the parameters of libpq, secrets included."""
        url, password = self._config.url, self._config.password
        own: dict[str, Any] = {"connect_timeout": self._config.connect_timeout}
        if password is not None:
            own["password"] = password.get_secret_value()
        try:
            given = conninfo_to_dict(url.get_secret_value()) if url else {}
        except psycopg.Error as error:
            raise ConfigError(
                "the url of the database cannot be read",
                field="url",
                code="postgres_url",
                hint="postgresql://USER:PASSWORD@HOST:PORT/DATABASE; percent-encode special "
                "characters of the password",
            ) from error
        return {**_ALIVE, **own, **given}

    @property
    def where(self) -> str:
        """The place for messages, without secrets."""
        try:
            parameters = self.parameters()
        except ConfigError:
            return "the PostgreSQL database"
        host = parameters.get("host") or parameters.get("hostaddr") or ""
        port = str(parameters.get("port") or "").strip(",")  # one for each host, perhaps empty
        name = f"{host}:{port}" if port else str(host)
        return f"postgresql://{name}/{parameters.get('dbname') or ''} (schema {self.schema})"

    def accepts_connections(self) -> bool:
        """Return whether the server accepts connections, also if it refuses this user."""
        # Without the C library psycopg returns a Ping, with it a number.
        answer = PGconn.ping(make_conninfo(**self.parameters()).encode())
        return Ping(answer) is Ping.OK

    def connect(self, name: str) -> Connection:
        """Connect; statements commit by themselves unless between BEGIN and COMMIT.

        The name is that of the session in `pg_stat_activity`.
        """
        parameters = {**self.parameters(), "application_name": name}
        connection = psycopg.connect(autocommit=True, **parameters)
        # Tables grow by orders of magnitude during a connection: keep no plan of an empty one.
        connection.prepare_threshold = None
        try:
            path = sql.SQL("SET search_path TO {}").format(sql.Identifier(self.schema))
            connection.execute(path)
            connection.execute("SET client_encoding TO 'UTF8'")
            connection.execute(  # recorded epochs must survive a crash of the server
                "SELECT set_config('synchronous_commit', 'on', false) "
                "WHERE current_setting('synchronous_commit') = 'off'"
            )
            for setting, value in _SESSION.items():
                try:
                    connection.execute("SELECT set_config(%s, %s, false)", (setting, value))
                except psycopg.Error as error:
                    if is_lost(error):
                        raise
                    # the server's system has no such setting
        except BaseException:
            connection.close()
            raise
        return connection


def not_connected(error: psycopg.Error, place: Place) -> KtransError:
    """Return the error for a connection that failed."""
    text = first_line(error)
    if place.accepts_connections():
        return AccessError(
            f"{place.where} refuses this user or database: {text}",
            hint="check user, password and sslmode, and that pg_hba.conf admits this host; the "
            "database and the user must exist: CREATE ROLE ... LOGIN; CREATE DATABASE ...",
        )
    return UnavailableError(
        f"{place.where} cannot be reached: {text}",
        code="postgres_unreachable",
        hint="is the server running, and are host, port and certificates right? The next run "
        "resumes",
    )


def statement_failed(error: psycopg.Error, place: Place) -> KtransError:
    """Return the error for a statement that failed."""
    state = error.sqlstate or ""
    if is_lost(error) and _STATEMENTS.find(state) is None:
        return not_connected(error, place)
    return _STATEMENTS.error(f"{place.where}: {first_line(error)}", state, state[:2])


def first_line(error: psycopg.Error) -> str:
    """Return the first line of the text; libpq adds the attempts at each address below it."""
    said = error.diag.message_primary or str(error) or type(error).__name__
    return said.strip().splitlines()[0]
