"""Built-in sinks: one a file, nothing beyond the standard library."""
