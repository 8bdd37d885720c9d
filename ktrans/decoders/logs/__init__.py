"""Logs: one file for each log format."""
