"""TCP flags as text: by their names, or by one letter each.

Source: RFC 9293, RFC 8311; the letters of tcpdump, nfdump (`...AP.SF`) and pf (`SA`).
"""

from __future__ import annotations

import re

TCP_FLAGS = {"FIN": 1, "SYN": 2, "RST": 4, "PSH": 8, "ACK": 16, "URG": 32, "ECE": 64, "CWR": 128}
"""The bit of each flag."""

_LETTERS = {"F": 1, "S": 2, "R": 4, "P": 8, "A": 16, "U": 32, "E": 64, "C": 128, "W": 128}
_NAMES = {**TCP_FLAGS, "PUSH": 8, "RESET": 4, "NONE": 0}
_BETWEEN = re.compile(r"[\s,;|/+&]+")
_BY_LETTER = re.compile(r"[FSRPAUECW._-]+")
_HEX = re.compile(r"0[xX][0-9a-fA-F]{1,4}")


def read_tcp_flags(text: str) -> int | None:
    """Return the mask of flags that are written as a text; None if it is something else."""
    text = text.strip()
    if _HEX.fullmatch(text):
        return int(text, 16)
    mask = 0
    for word in _BETWEEN.split(text.upper()):
        if word in _NAMES:
            mask |= _NAMES[word]
        elif _BY_LETTER.fullmatch(word):
            for letter in word:
                mask |= _LETTERS.get(letter, 0)
        else:
            return None
    return mask
