"""Requests as the protocols see them, and how their bodies are inflated."""

from __future__ import annotations

import hmac
import io
from collections.abc import Mapping, Sequence
from urllib.parse import parse_qs, unquote

import msgspec

from ktrans.api import Limits, RejectError
from ktrans.kit.text.inflate import Inflater, codec_of

BAD_REQUEST = 400
UNAUTHORIZED = 401
NOT_FOUND = 404
METHOD_NOT_ALLOWED = 405
REQUEST_TIMEOUT = 408
TOO_LARGE = 413
UNSUPPORTED = 415
HEAD_TOO_LARGE = 431
INTERNAL_ERROR = 500
UNAVAILABLE = 503

ENCODINGS = ("", "identity", "gzip", "x-gzip", "zstd")


class RefusedError(Exception):
    """A request that is not stored.

    Attributes:
        status: of the answer.
        message: what is wrong, for the client.
    """

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.message = message


class Request(msgspec.Struct, frozen=True):
    """The head of a request.

    Attributes:
        method: in capitals.
        path: of its target, decoded.
        query: the first value of each parameter.
        headers: by names in lower case; the first of each name.
    """

    method: str
    path: str
    query: Mapping[str, str]
    headers: Mapping[str, str]

    @classmethod
    def of(cls, method: bytes, target: bytes, headers: Sequence[tuple[bytes, bytes]]) -> Request:
        """Return a request of the parts that a parser has found."""
        path, _, query = target.decode("latin-1").partition("?")
        found: dict[str, str] = {}
        for name, value in headers:
            found.setdefault(name.decode("latin-1").lower(), _text(value))
        fields = parse_qs(query, max_num_fields=64) if query else {}
        parameters = {name: values[0] for name, values in fields.items()}
        return cls(method.decode("latin-1"), unquote(path), parameters, found)

    def header(self, name: str) -> str:
        """Return a header by its name in lower case; empty if there is none."""
        return self.headers.get(name, "")

    @property
    def bearer(self) -> str:
        """The token of the header Authorization."""
        scheme, _, token = self.header("authorization").partition(" ")
        return token.strip() if scheme.lower() == "bearer" else ""


def _text(value: bytes) -> str:
    """Return the value of a header: clients send UTF-8, and HTTP allows any bytes."""
    try:
        return value.decode("utf-8")
    except UnicodeDecodeError:
        return value.decode("latin-1")


def has_token(given: Sequence[str], allowed: Sequence[str]) -> bool:
    """Return whether one of the given tokens is allowed, in a time that does not depend on them."""
    right = False
    for one in given:
        for token in allowed:
            right |= hmac.compare_digest(one.encode("utf-8"), token.encode("utf-8"))
    return right


def check_encoding(request: Request) -> None:
    """Raise RefusedError if the body is encoded in a way that is not read."""
    encoding = request.header("content-encoding").strip().lower()
    if encoding not in ENCODINGS:
        raise RefusedError(UNSUPPORTED, "the content encoding must be gzip, zstd or identity")


def inflate(data: bytes | bytearray, most: int, limits: Limits) -> bytes:
    """Return a body or a record without compression.

    Compression is told by the first bytes: proxies inflate bodies and leave the header, or the
    other way round.

    Args:
        data: the bytes.
        most: how many bytes are allowed.
        limits: on how far a few bytes may inflate.

    Raises:
        RefusedError: it is damaged, or too large.
    """
    if codec_of(bytes(data[:4])) not in ("gzip", "zstd"):
        if len(data) > most:
            raise _too_large(most)
        return bytes(data)
    inflater = Inflater(lambda: io.BytesIO(data), limits, "the body")
    pieces: list[bytes] = []
    size = 0
    try:
        for piece in inflater.chunks():
            size += len(piece)
            if size > most:
                raise _too_large(most)
            pieces.append(piece)
    except RejectError as error:
        raise RefusedError(TOO_LARGE, error.message) from error
    if inflater.problem is not None:
        raise RefusedError(BAD_REQUEST, f"the body cannot be inflated: {inflater.problem.message}")
    return b"".join(pieces)


def _too_large(most: int) -> RefusedError:
    return RefusedError(TOO_LARGE, f"the body inflates to more than {most} bytes")
