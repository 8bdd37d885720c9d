"""ClickHouse owes the engine what every sink does."""

from __future__ import annotations

import pytest

from ktrans.api import Context
from ktrans.testing.contracts import SinkCase, SinkContract
from ktrans.testing.contracts.sinks import SCHEMA

pytestmark = pytest.mark.service("clickhouse")


class SinkOfClickhouse(SinkCase):
    """A table that the sink creates."""

    def __init__(self, database, folder):
        self._database, self._folder = database, folder

    def sink(self, name="sink", pipeline="flows"):
        context = Context(pipeline, name, self._folder)
        return self._database.sink(SCHEMA, context, create_table=True, table="rows")

    def rows(self):
        there = "SELECT toInt32(count()) FROM system.tables WHERE name = 'rows' AND database = '{}'"
        if self._database.query(there.format(self._database.name)) == [(0,)]:
            return []
        return [int(n) for (n,) in self._database.query("SELECT n FROM rows ORDER BY n")]


class TestClickhouseSink(SinkContract):
    covers = ("clickhouse",)

    @pytest.fixture
    def case(self, database, tmp_path):
        return SinkOfClickhouse(database, tmp_path)
