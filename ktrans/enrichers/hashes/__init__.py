"""Hashes of columns."""
