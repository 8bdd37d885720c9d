"""Real processes that write to a real PostgreSQL and are killed: each row is there once."""

import pytest

from tests.killed_tables import KilledTable

pytestmark = [pytest.mark.service("postgres"), pytest.mark.slow]


def test_twenty_kills_and_each_row_is_in_the_table_once(database, tmp_path):
    sink = {"type": "postgres", "url": "${env:DATABASE}", "create_table": True}
    site = KilledTable(tmp_path, sink, DATABASE=database.url)
    site.kill(20)
    site.finish()
    (found,) = database.query(
        "SELECT count(*), count(DISTINCT (source_uri, source_pos)), sum(bytes)::bigint FROM flows"
    )
    assert found == (site.rows, site.rows, site.bytes)
    assert database.query("SELECT count(DISTINCT epoch) FROM ktrans_marks") == [(1,)]
