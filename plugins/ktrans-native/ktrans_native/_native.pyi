from collections.abc import Callable, Iterable, Sequence
from typing import Any, TypeAlias

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
    | tuple[np.ndarray, Texts, Texts, Bits | None, Around]
)

class PanicException(BaseException): ...

class LineReader:
    def __init__(
        self, kinds: Iterable[str], addresses: Iterable[int], nulls: Iterable[str]
    ) -> None: ...
    def read(self, data: bytes, records: int) -> tuple[list[Any], list[int]] | None: ...

class JsonReader:
    def __init__(
        self, members: Sequence[tuple[Sequence[str], Sequence[str]]], others: bool
    ) -> None: ...
    def read(
        self, data: bytes, records: int
    ) -> list[tuple[tuple[str, ...], tuple[str, tuple[Any, ...], bool]]] | None: ...

def join(
    parts: Sequence[Part], rows: int, room: Callable[[int], np.ndarray]
) -> tuple[np.ndarray, np.ndarray]: ...
