"""SHA-1 of many short messages at once: one array operation does a step for all of them.

FIPS 180-4, Secure Hash Standard, section 6.1, for messages that fit one block with their padding.
A loop over hashlib would cost three times as much and hold the interpreter all the while.
"""

from __future__ import annotations

import numpy as np

_START = (0x67452301, 0xEFCDAB89, 0x98BADCFE, 0x10325476, 0xC3D2E1F0)
_ADD = tuple(np.uint32(k) for k in (0x5A827999, 0x6ED9EBA1, 0x8F1BBCDC, 0xCA62C1D6))
BLOCK_WORDS = 16


def sha1(w: np.ndarray) -> np.ndarray:
    """Hash messages of one block each; best some thousands at a time, which fit a core's cache.

    Args:
        w: uint32, 16 rows (the block's words, padding and length included) by n messages; used up.

    Returns:
        uint32, 5 rows (the digest's words) by n.
    """
    state = np.empty((5, w.shape[1]), np.uint32)
    state[:] = np.array(_START, np.uint32)[:, None]
    a, b, c, d, e = (row.copy() for row in state)
    turn, mixed = np.empty_like(a), np.empty_like(a)
    for step in range(80):
        word = w[step % BLOCK_WORDS]
        if step >= BLOCK_WORDS:
            for back in (3, 8, 14):
                word ^= w[(step - back) % BLOCK_WORDS]
            _rotate(word, 1, turn)
        e += word
        e += _ADD[step // 20]
        e += _choose(step // 20, b, c, d, mixed, turn)
        np.left_shift(a, 5, out=mixed)
        np.right_shift(a, 27, out=turn)
        mixed |= turn
        e += mixed
        _rotate(b, 30, turn)
        a, b, c, d, e = e, a, b, c, d
    state += np.stack((a, b, c, d, e))
    return state


def _rotate(array: np.ndarray, bits: int, spare: np.ndarray) -> None:
    """Rotate left, in place."""
    np.right_shift(array, 32 - bits, out=spare)
    np.left_shift(array, bits, out=array)
    array |= spare


def _choose(
    stage: int, b: np.ndarray, c: np.ndarray, d: np.ndarray, out: np.ndarray, spare: np.ndarray
) -> np.ndarray:
    """Compute the logical function of one of the four stages: choice, parity, majority, parity."""
    np.bitwise_xor(c, d, out=out)
    if stage == 0:
        out &= b
        out ^= d
    elif stage == 2:  # noqa: PLR2004 - the third of four
        out &= b
        np.bitwise_and(c, d, out=spare)
        out |= spare
    else:
        out ^= b
    return out
