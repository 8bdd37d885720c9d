"""Real processes that write to ClickHouse's engine and are killed: each row is there once."""

import pytest

from tests.killed_tables import KilledTable

pytestmark = [pytest.mark.service("clickhouse"), pytest.mark.slow]


def test_twenty_kills_and_each_row_is_in_the_table_once(database, clickhouse_server, tmp_path):
    sink = {
        "type": "clickhouse",
        "url": clickhouse_server.url,
        "database": database.name,
        "user": "keyed",
        "password": "${env:PASSWORD}",
        "create_table": True,
    }
    site = KilledTable(tmp_path, sink, PASSWORD=clickhouse_server.password)
    site.kill(20)
    assert clickhouse_server.password not in site.finish()
    (found,) = database.query(
        "SELECT toInt32(count()), toInt32(uniqExact(source_uri, source_pos)),"
        " toFloat64(sum(bytes)) FROM flows"
    )
    assert found == (site.rows, site.rows, site.bytes)
