"""The toolbox of plugin authors; ktrans's own components are built with it too.

docs/writing-a-plugin.md lists the base classes, and `ktrans new-plugin` writes a plugin that uses
them.

| module | contents |
|---|---|
| `columns` | checks of columns, distinct values, adding and replacing columns |
| `flow`, `flow_rules` | the flow schema and its types; rules about servers, scopes and capture points |
| `rows` | rows as text by columns: JSON, bulk requests, InfluxDB line protocol; Protocol Buffers |
| `text` | decompression, lines, carriers of log lines |
| `stage_option`, `row_stage`, `bucket_stage` | where sinks keep rows until the commit: a folder or a bucket |
| `messages` | sinks of messages: encoding, requests, retrying the failed part |
| `files` | path templates, partitions, staging and publishing of files |
| `objects` | one object store under sources, sinks and state |
| `state` | the tables of state stores, leases, state in a bucket |
| `errors`, `retry` | one table of errors (status to error and hint), one way to retry |
| `series` | counts the series that a run writes, against a limit |
| `units` | sizes and durations with units in options |
| `http` | sinks that send over HTTP: client, authentication, retries, refused rows |
| `cli` | options and output of verbs that plugins add |
| `inventory` | what a cloud says of addresses: snapshots, folders of dated ones, lookups |
| `log_events` | the log events that several plugins share |
| `spool` | segments on disk for input that comes only once |

Plugins that need more implement the classes of `ktrans.api` themselves.
"""
