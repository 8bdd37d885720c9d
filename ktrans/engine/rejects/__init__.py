"""Rejects of a run: written, read back, replayed."""
