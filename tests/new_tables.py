"""Two pipelines that come to a database at once and create its table, each for rows of its own."""

import pyarrow as pa


def create_at_once(database, context, other, send, monkeypatch):
    """Send a row by a sink of each context; the second creates the table while the first is about to.

    The first row has the columns `n` and `a`, the second `n` and `b`.

    Args:
        database: makes sinks of the database.
        context: of the first pipeline.
        other: of the second.
        send: sends a batch by a sink, and returns the rejects.
    """

    def rows(name):
        return pa.record_batch({"n": [1], name: ["x"]})

    options = {"create_table": True, "add_columns": True}
    one = database.sink(rows("a").schema, context, **options)
    two = database.sink(rows("b").schema, other, **options)
    look, looked = one.describe, []

    def describe():
        found = look()
        looked.append(found)
        if len(looked) == 2:  # before the rows, when the table is still not there
            assert found is None
            send(two, rows("b"))
        return found

    monkeypatch.setattr(one, "describe", describe)
    assert send(one, rows("a")) == []
