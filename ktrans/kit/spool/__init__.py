"""Keeping what cannot be read twice: durable segments of a stream, until they are committed."""
