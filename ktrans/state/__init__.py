"""What a run must remember, in SQLite."""
