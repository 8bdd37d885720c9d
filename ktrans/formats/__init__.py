"""Built-in formats: one a file, nothing beyond pyarrow."""
