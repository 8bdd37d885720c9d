"""Built-in enrichers: one a file, nothing beyond pyarrow."""
