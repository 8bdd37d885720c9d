from collections.abc import Callable, Sequence
from typing import TypeAlias

import numpy as np

VERSION: str

Bits: TypeAlias = tuple[np.ndarray, int]
Texts: TypeAlias = tuple[np.ndarray, np.ndarray, Bits | None]
Around: TypeAlias = tuple[bytes, bytes, bytes]
Part: TypeAlias = (
    bytes
    | tuple[np.ndarray, Texts, Around]
    | tuple[Texts, Around]
    | tuple[np.ndarray, Bits | None, bool | None, Around]
)

def join(
    parts: Sequence[Part], rows: int, room: Callable[[int], np.ndarray]
) -> tuple[np.ndarray, np.ndarray]: ...
