"""Readers: parse blocks into columns, a fast and a careful one for each frame."""
