"""Built-in sources: one a file, nothing beyond the standard library."""
