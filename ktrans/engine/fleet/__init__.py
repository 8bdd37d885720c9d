"""Several pipelines in one process: side by side, isolated, and loaded again when asked."""
