"""Hashes of columns, 64 bits at a time, the same in every process and on every platform.

Fast and well mixed, but not secret: with the seed, collisions can be made. The mixing step is
the finaliser of SplitMix64 (Steele, Lea and Flood, "Fast splittable pseudorandom number
generators", 2014).
"""

from __future__ import annotations

import hashlib

import numpy as np
import pyarrow as pa

from ktrans.kit.columns import distinct, is_text

_STEP = np.uint64(0x9E3779B97F4A7C15)
_MIX1 = np.uint64(0xBF58476D1CE4E5B9)
_MIX2 = np.uint64(0x94D049BB133111EB)
_NULL = np.uint64(0x6C62272E07BB0142)
_LONG = 64
"""Texts beyond this many bytes (object names) are few and hashed one by one."""


def mix(values: np.ndarray) -> np.ndarray:
    """Spread every bit of a uint64 over all of them; one to one."""
    values = values ^ (values >> np.uint64(30))
    values = values * _MIX1
    values ^= values >> np.uint64(27)
    values *= _MIX2
    values ^= values >> np.uint64(31)
    return values


def combine(left: np.ndarray, right: np.ndarray) -> np.ndarray:
    """Hash a pair of hashes; the order matters."""
    return mix(left * _STEP + right)


def hash_column(array: pa.Array, seed: int) -> np.ndarray:
    """Hash every row of a column of texts, numbers, times or booleans.

    Args:
        array: the column; its type does not change the hash of a text or an integer.
        seed: 64 bits; another seed gives independent hashes.

    Returns:
        uint64, one a row. Null has a hash of its own.
    """
    start = np.uint64(seed)
    nothing = mix(np.array([start ^ _NULL]))
    if pa.types.is_null(array.type):
        return np.repeat(nothing, len(array))
    if pa.types.is_decimal(array.type):
        array = array.cast(pa.string())
    if is_text(array.type):
        values, indices = distinct(array)
        return np.asarray(np.concatenate([_hash_texts(values, seed), nothing])[indices])
    gone = array.is_null().to_numpy(zero_copy_only=False) if array.null_count else None
    if pa.types.is_temporal(array.type):
        array = array.view(pa.int64()) if array.type.bit_width == 64 else array.cast(pa.int64())  # noqa: PLR2004
    if gone is not None:
        array = array.fill_null(pa.scalar(0, array.type))
    plain = np.asarray(array.to_numpy(zero_copy_only=False))
    if plain.dtype.kind == "f":  # by their bits, of which zero has two forms
        numbers = (plain.astype(np.float64) + 0.0).view(np.uint64)
    else:
        numbers = plain.astype(np.int64).view(np.uint64)
    hashes = mix(mix(numbers + start) + _STEP)
    if gone is not None:
        hashes[gone] = nothing
    return hashes


def _hash_texts(texts: pa.Array, seed: int) -> np.ndarray:
    """Hash distinct texts, all short ones at once: as rows of 8-byte words, padded with zeros."""
    count = len(texts)
    start = np.uint64(seed)
    offsets = np.frombuffer(texts.buffers()[1] or bytes(4), np.int32)
    offsets = offsets[texts.offset : texts.offset + count + 1].astype(np.int64)
    data = np.frombuffer(texts.buffers()[2] or b"\0", np.uint8)
    lengths = np.diff(offsets) if count else np.zeros(0, np.int64)
    long = lengths > _LONG
    width = (int(lengths[~long].max(initial=0)) + 7) // 8 * 8
    place = np.arange(width)
    bytes_ = np.take(data, offsets[:count, None] + place, mode="clip")
    bytes_ *= place < lengths[:, None]
    words = np.ascontiguousarray(bytes_).view("<u8").astype(np.uint64, copy=False)
    hashes = mix(lengths.astype(np.uint64) * _STEP + start)
    for i in range(width // 8):
        # Padding must not count: it depends on the longest text in this batch.
        hashes = np.where(lengths > 8 * i, combine(hashes, words[:, i]), hashes)
    key = int(start).to_bytes(8)
    for i in np.flatnonzero(long).tolist():
        text = data[offsets[i] : offsets[i + 1]].tobytes()
        hashes[i] = int.from_bytes(hashlib.blake2b(text, key=key, digest_size=8).digest())
    if texts.null_count:
        hashes[texts.is_null().to_numpy(zero_copy_only=False)] = mix(np.array([start ^ _NULL]))
    return hashes
