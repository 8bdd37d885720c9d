"""Whether content only makes sense as a whole, by its first bytes."""

from __future__ import annotations

_WHOLE = (
    b"\x1f\x8b",  # gzip, RFC 1952
    b"\x28\xb5\x2f\xfd",  # zstd, RFC 8878
    b"PAR1",  # Apache Parquet
    b"BZh",  # bzip2
    b"\xfd7zXZ\x00",  # xz
    b"\x04\x22\x4d\x18",  # lz4 frame
    b"Obj\x01",  # Avro container
    b"ARROW1",  # Arrow file
    b"PK\x03\x04",  # zip
)


def is_whole(head: bytes) -> bool:
    """Return whether content is compressed or a container, so that it cannot be cut at lines."""
    return head.startswith(_WHOLE)
