from collections.abc import Iterable
from typing import Any

VERSION: str

class LineReader:
    def __init__(
        self, kinds: Iterable[str], addresses: Iterable[int], nulls: Iterable[str]
    ) -> None: ...
    def read(self, data: bytes, records: int) -> tuple[list[Any], list[int]] | None: ...
