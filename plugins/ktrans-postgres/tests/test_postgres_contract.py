"""PostgreSQL owes the engine what every state store and every sink does."""

from __future__ import annotations

import pytest

from ktrans.api import Context
from ktrans.testing.contracts import SinkCase, SinkContract, StateCase, StateTakeoverContract
from ktrans.testing.contracts.sinks import SCHEMA

pytestmark = pytest.mark.service("postgres")


class PostgresCase(StateCase):
    """A database; holds end with their sessions, which the server may end while a process lives."""

    def __init__(self, database):
        self._database = database

    def state(self):
        return self._database.state()

    def expire(self):
        assert self._database.end_sessions() == 1

    def crash(self, held):
        self._database.end_sessions()
        held.close()


class TestPostgresState(StateTakeoverContract):
    covers = ("postgres",)

    @pytest.fixture
    def case(self, database):
        return PostgresCase(database)


class SinkOfPostgres(SinkCase):
    """A table that the sink creates."""

    def __init__(self, database, folder):
        self._database, self._folder = database, folder

    def sink(self, name="sink", pipeline="flows"):
        return self._database.sink(
            SCHEMA, Context(pipeline, name, self._folder), create_table=True, table="rows"
        )

    def rows(self):
        if self._database.query("SELECT to_regclass('rows')::text") == [(None,)]:
            return []
        return [n for (n,) in self._database.query("SELECT n FROM rows ORDER BY n")]


class TestPostgresSink(SinkContract):
    covers = ("postgres",)

    @pytest.fixture
    def case(self, database, tmp_path):
        return SinkOfPostgres(database, tmp_path)
