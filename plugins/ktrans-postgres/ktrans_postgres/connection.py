"""Connections to the database."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ktrans.api import ConfigError

if TYPE_CHECKING:
    import psycopg

    from ktrans_postgres.config import PostgresStateConfig

_ALIVE = {
    "keepalives_idle": 30,
    "keepalives_interval": 10,
    "keepalives_count": 3,
    "tcp_user_timeout": 60_000,
}
"""How soon this side notices that the server is gone, unless the url has its own values; parameters
of libpq ("Parameter Key Words")."""

_SESSION = {
    "tcp_keepalives_idle": "30",
    "tcp_keepalives_interval": "10",
    "tcp_keepalives_count": "3",
    "tcp_user_timeout": "60000",
}
"""The same for the server, which ends the session of a machine that is gone."""

NOTICED_SECS = 60
"""How long that takes: the idle time, and all probes."""


_LOST = ("08", "57P", "58")
"""Connection exceptions, an operator's intervention, and errors of the server's system."""


def is_lost(error: psycopg.Error) -> bool:
    """Return whether the connection is lost, so that a new one may help."""
    import psycopg

    state = error.sqlstate
    if state is not None:
        return state.startswith(_LOST)
    return isinstance(error, (psycopg.OperationalError, psycopg.InterfaceError))


class Place:
    """The database of a config.

    Args:
        config: the options.
    """

    def __init__(self, config: PostgresStateConfig) -> None:
        self._config = config
        self.schema = config.schema_name

    def parameters(self) -> dict[str, Any]:
        """Return the parameters of libpq, secrets included.

        Raises:
            ConfigError: the url is not valid.
        """
        import psycopg
        from psycopg.conninfo import conninfo_to_dict

        url = self._config.url
        try:
            given = conninfo_to_dict(url.get_secret_value()) if url else {}
        except psycopg.Error as error:
            raise ConfigError(
                "the url of the state store cannot be read",
                field="url",
                code="state_url",
                hint="postgresql://USER:PASSWORD@HOST:PORT/DATABASE; percent-encode special "
                "characters of the password",
            ) from error
        return {**_ALIVE, **self._config.parameters(), **given}

    @property
    def where(self) -> str:
        """The place for messages, without secrets."""
        try:
            parameters = self.parameters()
        except ConfigError:
            return "the PostgreSQL database"
        host, port = (
            parameters.get("host") or parameters.get("hostaddr") or "",
            parameters.get("port"),
        )
        name = f"{host}:{port}" if port else str(host)
        return f"postgresql://{name}/{parameters.get('dbname') or ''} (schema {self.schema})"

    def accepts_connections(self) -> bool:
        """Return whether the server accepts connections, also if it refuses this user."""
        from psycopg.conninfo import make_conninfo
        from psycopg.pq import PGconn, Ping

        # Without the C library psycopg returns a Ping, with it a number.
        answer = PGconn.ping(make_conninfo(**self.parameters()).encode())
        return Ping(answer) is Ping.OK

    def connect(self, name: str) -> psycopg.Connection[tuple[Any, ...]]:
        """Connect; statements commit by themselves unless between BEGIN and COMMIT.

        Args:
            name: the session's name in `pg_stat_activity`.

        Raises:
            psycopg.Error: it cannot be reached.
        """
        import psycopg
        from psycopg import sql

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
