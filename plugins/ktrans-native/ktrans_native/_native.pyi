from collections.abc import Sequence
from typing import Any

VERSION: str

class JsonReader:
    def __init__(
        self, members: Sequence[tuple[Sequence[str], Sequence[str]]], others: bool
    ) -> None: ...
    def read(
        self, data: bytes, records: int
    ) -> list[tuple[tuple[str, ...], tuple[str, tuple[Any, ...], bool]]] | None: ...
