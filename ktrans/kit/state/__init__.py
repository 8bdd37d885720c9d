"""What state stores share: the tables, a SQLite database, and a database kept in a bucket.

A plugin that brings a state store subclasses `ktrans.api.state.StateStore` and registers a
`Spec(kind="state", ...)`.

| the store | built from |
|---|---|
| speaks SQL | a `Database` of its own, with the tables of `tables.versions` |
| keeps objects with conditional writes | `bucket.BucketState` over a `ktrans.kit.objects.store.ConditionalStore` |

`look` copies into a `sqlite_database.SqliteDatabase` in memory.
`ktrans.testing.contracts.StateContract` tests what the engine relies on.
"""
