"""Totals of rows: what the rollup enricher computes and keeps."""
