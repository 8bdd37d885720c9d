"""Decoding of JSON, CSV and Parquet logs by a table of columns."""
