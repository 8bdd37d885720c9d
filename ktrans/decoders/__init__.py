"""Built-in decoders: one log format a file, nothing beyond pyarrow."""
