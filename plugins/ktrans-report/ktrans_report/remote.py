"""Lets DuckDB read from object stores through pyarrow's file systems, without its own extensions.

DuckDB would fetch an extension over the network; this needs none.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

from fsspec import AbstractFileSystem  # type: ignore[import-untyped]

from ktrans_report.places import PACKED, File


class Numbered(AbstractFileSystem):  # type: ignore[misc]  # fsspec carries no types
    """Files by number: `lake://7.parquet`, so that no character of a key means anything."""

    protocol: ClassVar[str] = "lake"
    cachable: ClassVar[bool] = False

    def __init__(self, files: Sequence[File]) -> None:
        super().__init__()
        self._files: dict[str, File] = {}
        for number, file in enumerate(files):
            packed = next((suffix for suffix in PACKED if file.path.endswith(suffix)), "")
            self._files[f"{number}.{file.format}{packed}"] = file
        self.names = [f"lake://{name}" for name in self._files]

    @classmethod
    def _strip_protocol(cls, path: str) -> str:
        return path.removeprefix("lake://")

    def glob(self, path: str, **_: Any) -> list[str]:
        """Return the path: each name is one file."""
        return [self._strip_protocol(path)]

    def exists(self, path: str, **_: Any) -> bool:
        """Return whether the file was listed."""
        return self._strip_protocol(path) in self._files

    def info(self, path: str, **_: Any) -> dict[str, Any]:
        """Return name and size."""
        file = self._files[self._strip_protocol(path)]
        size = file.size or file.filesystem.get_file_info(file.path).size
        return {"name": path, "size": size, "type": "file"}

    def modified(self, path: str) -> Any:
        """Return the time of the object, by which DuckDB validates its cache."""
        file = self._files[self._strip_protocol(path)]
        return file.filesystem.get_file_info(file.path).mtime

    def _open(self, path: str, mode: str = "rb", **_: Any) -> Any:
        del mode
        file = self._files[self._strip_protocol(path)]
        if file.filesystem is None:
            return open(file.path, "rb")  # noqa: PTH123 - DuckDB closes it
        return file.filesystem.open_input_file(file.path)
