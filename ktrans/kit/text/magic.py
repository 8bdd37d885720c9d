"""The first bytes of containers, and whether content only makes sense as a whole."""

from __future__ import annotations

AVRO_MAGIC = b"Obj\x01"
PARQUET_MAGIC = b"PAR1"
ZIP_MAGIC = b"PK\x03\x04"

_WHOLE = (
    AVRO_MAGIC,
    PARQUET_MAGIC,
    ZIP_MAGIC,
    b"\x1f\x8b",  # gzip, RFC 1952
    b"\x28\xb5\x2f\xfd",  # zstd, RFC 8878
    b"BZh",  # bzip2
    b"\xfd7zXZ\x00",  # xz
    b"\x04\x22\x4d\x18",  # lz4 frame
    b"ARROW1",  # Arrow file
)


def is_whole(head: bytes) -> bool:
    """Return whether content is compressed or a container, so that it cannot be cut at lines."""
    return head.startswith(_WHOLE)
