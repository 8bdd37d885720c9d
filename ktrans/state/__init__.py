"""What a run must remember, and the stores that keep it.

    StateStore (base)      the component that `state:` in a pipeline file builds: kind "state"
      hold(pipeline)         exclusive: a Store that writes, for the length of a run
      look(pipeline)         a Store on a copy in memory: show, plan, dry runs
    Store (store)          positions, epochs, what splits left behind: SQL, the same for all stores
    Database (database)    what that SQL runs on: `transaction()`, `rows()`, `confirm()`, `close()`
      SqliteDatabase         a file, or memory (sqlite)
      LogDatabase            memory, and a log of its transactions in a bucket (log_database)

A plugin that brings a store subclasses StateStore and registers a `Spec(kind="state", ...)`. If it
speaks SQL it gives a Database of its own, takes the tables from `tables.versions`, and hands out
`Store(database)`. If it keeps objects with conditional writes it subclasses `bucket.BucketState`
and gives a `bucket.StateBucket`. `ktrans.testing.contracts.StateContract` says what is owed.

The rule that all rests on: once another run has taken over a pipeline, every further transaction of
the earlier holder raises FencedError and changes nothing.
"""
