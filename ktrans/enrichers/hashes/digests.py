"""Digests as text in base64 or hex, many at once."""

from __future__ import annotations

import string
from collections.abc import Sequence

import numpy as np
import pyarrow as pa

VERSION = b"1:"
_BITS = 160


def write_digests(digests: np.ndarray, encoding: str) -> np.ndarray:
    """Write 160-bit digests as text behind the version.

    Args:
        digests: uint32, 5 words by n.
        encoding: "base64" (RFC 4648, section 4, with its padding) or "hex".

    Returns:
        uint16, n rows of two characters each.
    """
    bits, table = (12, _BASE64) if encoding == "base64" else (8, _HEX)
    pairs = -(-_BITS // bits)
    codes = np.empty((pairs, digests.shape[1]), np.uint16)
    mask = (1 << bits) - 1
    for i in range(pairs):
        word, start = divmod(i * bits, 32)
        over = start + bits - 32  # so many bits lie in the next word
        if over <= 0:
            codes[i] = (digests[word] >> np.uint32(-over)) & mask
        else:
            code = digests[word] << np.uint32(over)
            if word + 1 < len(digests):
                code |= digests[word + 1] >> np.uint32(32 - over)
            codes[i] = code & mask
    out = np.empty((digests.shape[1], 1 + pairs), np.uint16)
    out[:, 0] = np.frombuffer(VERSION, np.uint16)
    out[:, 1:] = table[codes].T
    if encoding == "base64":  # of the last group there are but 16 bits: one symbol is padding
        out.view(np.uint8)[:, -1] = ord("=")
    return out


def as_texts(pieces: Sequence[np.ndarray]) -> pa.Array:
    """Make a string array of texts of one length, given as rows of characters."""
    rows = np.concatenate(pieces)
    count, width = rows.shape[0], rows.shape[1] * rows.itemsize
    offsets = np.arange(count + 1, dtype=np.int32) * np.int32(width)
    buffers = [None, pa.py_buffer(offsets), pa.py_buffer(rows)]
    return pa.Array.from_buffers(pa.string(), count, buffers)


def _symbol_pairs(symbols: str) -> np.ndarray:
    """Return for each pair of symbols, in order, their two bytes as a uint16."""
    one = np.frombuffer(symbols.encode(), np.uint8)
    pairs = np.stack([np.repeat(one, len(one)), np.tile(one, len(one))], axis=1)
    return np.ascontiguousarray(pairs).view(np.uint16).ravel()


_BASE64 = _symbol_pairs(string.ascii_uppercase + string.ascii_lowercase + string.digits + "+/")
_HEX = _symbol_pairs(string.digits + "abcdef")
