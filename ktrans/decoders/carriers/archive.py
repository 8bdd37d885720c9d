"""Zip archives: each member is a log of its own."""

from __future__ import annotations

import lzma
import zipfile
import zlib
from collections.abc import Iterator
from typing import BinaryIO, cast

from ktrans.api import Payload, RejectError, Split, TruncatedError

UNREADABLE = (
    zipfile.BadZipFile,
    zlib.error,
    lzma.LZMAError,
    NotImplementedError,
    RuntimeError,
    EOFError,
    OSError,
)


class Member(Payload):
    """A member of an archive."""

    def __init__(self, archive: zipfile.ZipFile, info: zipfile.ZipInfo, uri: str) -> None:
        super().__init__(Split(uri, uri, info.file_size))
        self._archive = archive
        self.info = info

    def open(self) -> BinaryIO:
        """Open the member's bytes.

        Raises:
            zipfile.BadZipFile: the directory is wrong about its place or name, among others.
        """
        try:
            return cast("BinaryIO", self._archive.open(self.info))
        except ValueError as error:
            raise zipfile.BadZipFile(str(error)) from error


def members(payload: Payload) -> Iterator[Member]:
    """Yield the files in an archive.

    Raises:
        TruncatedError: the archive has no directory yet.
        RejectError: it cannot be read.
    """
    try:
        archive = zipfile.ZipFile(payload.random_access())
    except (*UNREADABLE, ValueError) as error:  # names that are not UTF-8 are ValueErrors
        if not payload.final_attempt:
            raise TruncatedError(f"{payload.uri}: {error}") from error
        raise RejectError(f"{payload.uri}: zip: {error}", code="corrupt_stream") from error
    with archive:
        for info in archive.infolist():
            if not info.filename.endswith("/"):
                yield Member(archive, info, payload.uri)
