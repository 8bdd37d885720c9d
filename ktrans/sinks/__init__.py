"""Built-in sinks: one a file; those of HTTP APIs are built on `ktrans.kit.http`."""
