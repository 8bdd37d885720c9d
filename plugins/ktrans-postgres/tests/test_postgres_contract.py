"""PostgreSQL owes the engine what every state store does."""

from __future__ import annotations

import pytest

from ktrans.testing.contracts import StateCase, StateTakeoverContract

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
