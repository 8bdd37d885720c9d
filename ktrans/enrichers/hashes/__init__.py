"""Hashes and numbers that identify rows by several columns."""
