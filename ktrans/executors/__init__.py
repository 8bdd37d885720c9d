"""Built-in executors: one a file, nothing beyond the standard library."""
