"""What the answers to requests mean.

>>> answer = Answer(503, {"retry-after": "7"}, b'{"message": "busy"}')
>>> error = error_of(answer, "http://localhost/rows")
>>> error.message, error.retry_after_secs
('http://localhost/rows answers 503: busy', 7.0)
>>> error_of(Answer(200, {}, b""), "http://localhost/rows") is None
True
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

import msgspec

from ktrans.api import AccessError, ConfigError, KtransError, RetryableError, RunError
from ktrans.kit.errors import ErrorTable, retry_after, row
from ktrans.kit.text.json_errors import UNREADABLE_JSON

J = TypeVar("J")

MESSAGE_CHARS = 400
"""Maximum length of a server's message that is kept."""

_MESSAGE_KEYS = (
    "message",
    "error",
    "errors",
    "reason",
    "text",
    "detail",
    "title",
    "error_description",
)
_SUCCESS = range(200, 300)
MOVED = {301, 302, 303, 307, 308}
"""Statuses of what is at another address."""
FOR_GOOD = {301, 308}
"""Statuses of what has moved, whatever the method of a request."""

STATUSES = ErrorTable(
    (
        row(
            AccessError,
            *(401, 403, 407),
            hint="check the credentials, and that they may write there",
        ),
        row(
            ConfigError,
            *(*MOVED, 404, 405, 410, 421),
            code="not_found",
            field="url",
            hint="check the address",
        ),
        row(RetryableError, 408, 409, 423, 425, 429, *range(500, 600), code="busy"),
    ),
    otherwise=row(RunError, code="refused"),
)
"""By HTTP status. What is not in it refuses the rows of the request."""


@dataclass(frozen=True, slots=True)
class Answer:
    """The answer to a request.

    Attributes:
        status: the HTTP status.
        headers: by lower-case name.
        body: decompressed.
    """

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def text(self) -> str:
        """The body as text."""
        return self.body.decode("utf-8", "replace")

    @property
    def json(self) -> Any:
        """The body as JSON; None if it is none."""
        try:
            return msgspec.json.decode(self.body)
        except UNREADABLE_JSON:
            return None

    def read(self, form: type[J]) -> J | None:
        """Return the body as JSON of a form; None if it is anything else."""
        try:
            return msgspec.json.decode(self.body, type=form)
        except UNREADABLE_JSON:
            return None

    @property
    def message(self) -> str:
        """The server's message, from the usual members of JSON if there are any."""
        return shortened(_message(self.json) or self.text)


@dataclass(frozen=True, slots=True)
class Fault:
    """Why a row is refused: a stable code, and the server's message."""

    reason: str
    detail: str


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of the rows of a request; those that are not named were accepted.

    Attributes:
        refused: rows that are never accepted, by their number in the request.
        again: the numbers of rows to send again.
        error: why these were not accepted yet.
    """

    refused: Mapping[int, Fault] = field(default_factory=dict)
    again: Sequence[int] = ()
    error: RetryableError | None = None


ACCEPTED = Outcome()


@dataclass(eq=False)
class Refusal(Exception):
    """The server refuses a request for good because of its rows, and does not say which.

    Attributes:
        fault: why.
        too_large: whether the request was too large, so that its halves may be accepted.
        dropped: the number of rows that the server refused while it accepted the others; None if it
            refused all, or does not say.
    """

    fault: Fault
    too_large: bool = False
    dropped: int | None = None


def error_of(
    answer: Answer, where: str, table: ErrorTable = STATUSES
) -> KtransError | Refusal | None:
    """Return the error or the refusal that an answer means by its status; None for success.

    Args:
        answer: the answer.
        where: the address, for messages.
        table: what the statuses mean.
    """
    if answer.status in _SUCCESS:
        return None
    message = f"{where} answers {answer.status}" + (f": {answer.message}" if answer.body else "")
    if answer.status in MOVED and (place := answer.headers.get("location")):
        message += f" (moved to {shortened(place.partition('?')[0])})"
    if answer.status == 413:  # noqa: PLR2004  # HTTP
        return Refusal(Fault("record_too_large", message), too_large=True)
    if table.find(answer.status) is None:
        return Refusal(Fault("row_refused", message))
    return table.error(message, answer.status, retry_after_secs=retry_after(answer.headers))


def error_of_api(
    answer: Answer, where: str, table: ErrorTable = STATUSES
) -> KtransError | Refusal | None:
    """Return what `error_of` does, and an error for success with a web page.

    Portals, proxies and other programs at an address answer so, and store nothing.
    """
    error = error_of(answer, where, table)
    if error is None and is_page(answer.headers):
        return no_page(where)
    return error


def is_page(headers: Mapping[str, str]) -> bool:
    """Return whether an answer is a web page, by its headers with lower-case names."""
    return headers.get("content-type", "").lower().startswith("text/html")


def no_page(where: str) -> RunError:
    """Return the error for a web page where an API should be."""
    return RunError(
        f"{where} answers with a web page, so it has not taken the rows",
        code="refused",
        hint="check the address, and what is between here and the server",
    )


def as_error(found: KtransError | Refusal | None) -> KtransError:
    """Return an error for an answer to a request without rows, which no row is the cause of."""
    if isinstance(found, KtransError):
        return found
    message = found.fault.detail if found is not None else "the server's answer is not understood"
    return RunError(message, code="refused", hint="check the address and the options")


def shortened(text: str) -> str:
    """Return a message on one line, of limited length."""
    text = " ".join(text.split())
    return text if len(text) <= MESSAGE_CHARS else f"{text[:MESSAGE_CHARS]}…"


def _message(value: Any) -> str:
    if isinstance(value, str):
        return value
    if isinstance(value, list):
        return "; ".join(filter(None, map(_message, value[:3])))
    if isinstance(value, dict):
        return next((text for key in _MESSAGE_KEYS if (text := _message(value.get(key)))), "")
    return ""
