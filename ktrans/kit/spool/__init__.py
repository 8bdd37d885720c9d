"""Spools streams that cannot be read twice: durable segments, kept until they are committed."""
