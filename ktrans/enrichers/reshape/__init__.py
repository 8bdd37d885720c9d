"""Base of the enrichers that turn flow rows into records of another schema."""
