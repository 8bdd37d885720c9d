"""How requests name a stream."""

from __future__ import annotations


def named(stream: str) -> dict[str, str]:
    """Return the part of a request that names a stream, by its name or its ARN."""
    return {"StreamARN": stream} if stream.startswith("arn:") else {"StreamName": stream}
