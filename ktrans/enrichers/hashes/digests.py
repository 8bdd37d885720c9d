"""Digests as text in base64, many at once."""

from __future__ import annotations

import binascii

import numpy as np
import pyarrow as pa

VERSION = b"1:"


def as_texts(digests: np.ndarray) -> pa.Array:
    """Write the version and 160-bit digests in base64 (RFC 4648, section 4) with its padding.

    Args:
        digests: uint32, 5 words by n.
    """
    count = digests.shape[1]
    whole = np.zeros((count, 21), np.uint8)  # three bytes are four characters
    whole[:, :20] = digests.T.astype(">u4", order="C").view(np.uint8)
    characters = np.frombuffer(binascii.b2a_base64(whole.tobytes(), newline=False), np.uint8)
    texts = np.empty((count, len(VERSION) + 28), np.uint8)
    texts[:, : len(VERSION)] = np.frombuffer(VERSION, np.uint8)
    texts[:, len(VERSION) :] = characters.reshape(count, 28)
    texts[:, -1] = ord("=")
    offsets = np.arange(count + 1, dtype=np.int32) * np.int32(texts.shape[1])
    buffers = [None, pa.py_buffer(offsets), pa.py_buffer(texts)]
    return pa.Array.from_buffers(pa.string(), count, buffers)
