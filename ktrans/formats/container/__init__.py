"""Formats of whole batches: what Arrow and Parquet files share."""
