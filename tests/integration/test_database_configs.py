"""The shipped pipelines into databases, run as they are shipped, on servers of our own."""

import pytest

from tests.integration.test_configs import project, run

__all__ = ["project"]  # a fixture

pytestmark = pytest.mark.slow


def test_clickhouse(project, clickhouse_server):
    database = clickhouse_server.database()
    environ = {
        "CLICKHOUSE_URL": clickhouse_server.url,
        "CLICKHOUSE_DATABASE": database,
        "CLICKHOUSE_USER": "keyed",
        "CLICKHOUSE_PASSWORD": clickhouse_server.password,
    }
    written = run(project, "clickhouse", **environ)["ledger"]["stages"][-2]["out"]["rows"]
    query = "SELECT toInt32(count()), toInt32(uniqExact(source_uri, source_pos)) FROM flows"
    assert clickhouse_server.query(database, query) == [(written, written)]
    assert written > 100
    assert run(project, "clickhouse", **environ)["outcome"] == "nothing_to_do"


def test_postgres(project, postgres_server):
    database = postgres_server.database()
    environ = {"DATABASE_URL": postgres_server.url(database)}
    written = run(project, "postgres", **environ)["ledger"]["stages"][-2]["out"]["rows"]
    query = "SELECT count(*), count(DISTINCT (source_uri, source_pos)) FROM flows"
    assert postgres_server.query(database, query) == [(written, written)]
    assert written > 100
    assert run(project, "postgres", **environ)["outcome"] == "nothing_to_do"
