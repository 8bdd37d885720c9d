"""What the answers of services mean: one table from HTTP statuses and codes to errors of ktrans.

`HTTP` has the statuses. A plugin adds the codes of its service, and the names of the exceptions of
its SDK, which come before the statuses:

>>> from ktrans.api import AccessError, RetryableError
>>> ACME = HTTP.extended(
...     row(AccessError, 401, "TokenExpired", hint="log in again"),
...     row(RetryableError, "Throttled", code="busy"),
... )
>>> ACME.error("cannot read acme://flows", "TokenExpired", 403)
AccessError('cannot read acme://flows')
>>> ACME.error("cannot read acme://flows", None, 503, retry_after_secs=5).retry_after_secs
5
>>> ACME.error("cannot read acme://flows", "NoIdea", 418).code
'refused'
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

from ktrans.api import (
    AccessError,
    ConfigError,
    KtransError,
    RetryableError,
    RunError,
    SplitChangedError,
    UnavailableError,
)

Key = int | str
"""An HTTP status, a code of the service, or the name of an exception's class."""

UNREACHABLE_CODES = frozenset({"unreachable", "connection"})
"""Codes of errors of a service that did not answer at all."""


@dataclass(frozen=True, slots=True)
class ErrorRow:
    """What some keys mean.

    Attributes:
        kind: the class of the error.
        keys: what it stands for.
        code: the error's code; None for that of its class.
        hint: what to do about it.
        field: the option at fault, of a ConfigError.
    """

    kind: type[KtransError]
    keys: frozenset[Key] = frozenset()
    code: str | None = None
    hint: str | None = None
    field: str | None = None

    def error(self, message: str, retry_after_secs: float | None = None) -> KtransError:
        """Make the error."""
        if issubclass(self.kind, ConfigError):
            return self.kind(message, field=self.field, code=self.code, hint=self.hint)
        if issubclass(self.kind, RetryableError):
            return self.kind(
                message, retry_after_secs=retry_after_secs, code=self.code, hint=self.hint
            )
        return self.kind(message, code=self.code, hint=self.hint)


def row(
    kind: type[KtransError],
    *keys: Key,
    code: str | None = None,
    hint: str | None = None,
    field: str | None = None,
) -> ErrorRow:
    """Make a row of an error table."""
    return ErrorRow(kind, frozenset(keys), code, hint, field)


@dataclass(frozen=True, slots=True)
class ErrorTable:
    """Rows by key; the first row that has a key counts."""

    rows: tuple[ErrorRow, ...]
    otherwise: ErrorRow = ErrorRow(RunError, code="refused")

    def extended(self, *rows: ErrorRow, otherwise: ErrorRow | None = None) -> ErrorTable:
        """Return a table in which other rows come first."""
        return replace(self, rows=(*rows, *self.rows), otherwise=otherwise or self.otherwise)

    def find(self, *keys: Key | None) -> ErrorRow | None:
        """Return the row of the first key that has one."""
        for key in keys:
            for one in self.rows:
                if key in one.keys:
                    return one
        return None

    def error(
        self, message: str, *keys: Key | None, retry_after_secs: float | None = None
    ) -> KtransError:
        """Make the error for an answer.

        Args:
            message: what failed.
            keys: of the answer, the most specific first; None for one that it lacks.
            retry_after_secs: how long the service asks to wait.
        """
        return (self.find(*keys) or self.otherwise).error(message, retry_after_secs)

    def of_exception(self, error: BaseException, message: str) -> KtransError | None:
        """Make the error for an exception, by the names of its classes; None if there is no row."""
        found = self.find(*(kind.__name__ for kind in type(error).__mro__))
        return None if found is None else found.error(message)


HTTP = ErrorTable(
    (
        row(AccessError, 401, 403),
        row(
            ConfigError,
            301,
            302,
            307,
            308,
            404,
            410,
            code="not_found",
            hint="check the address and the name",
        ),
        row(SplitChangedError, 412, 416),
        row(RetryableError, 408, 409, 425, 429, 500, 502, 503, 504, code="busy"),
    )
)
"""HTTP statuses (RFC 9110, section 15; RFC 6585)."""


def as_unavailable(error: KtransError) -> KtransError:
    """Return an UnavailableError if a service did not answer, as `validate --connect` wants it.

    In a run the same error may pass.
    """
    if error.code not in UNREACHABLE_CODES:
        return error
    return UnavailableError(error.message, code=error.code, hint=error.hint)


def retry_after(headers: Mapping[str, str]) -> float | None:
    """Return the seconds that a Retry-After header asks to wait (RFC 9110, section 10.2.3).

    Azure's headers in milliseconds are known too. A date counts from now. None without a header
    that can be read.
    """
    found = {name.lower(): value for name, value in headers.items()}
    for name, unit in (("retry-after-ms", 1e-3), ("x-ms-retry-after-ms", 1e-3), ("retry-after", 1)):
        text = found.get(name)
        if text is None:
            continue
        try:
            return max(float(text) * unit, 0.0)
        except ValueError:
            pass
        try:
            when = parsedate_to_datetime(text)
        except (ValueError, OverflowError):
            continue
        when = when if when.tzinfo else when.replace(tzinfo=UTC)
        return max((when - datetime.now(UTC)).total_seconds(), 0.0)
    return None
