"""A small, safe expression language with SQL's look, compiled to Arrow compute calls."""
