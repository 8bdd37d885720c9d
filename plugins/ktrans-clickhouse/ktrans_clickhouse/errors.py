"""What the answers of ClickHouse mean: its error codes (system.errors), or HTTP statuses."""

from __future__ import annotations

import re
from typing import Any

from ktrans.api import AccessError, ConfigError, KtransError, RetryableError, RunError
from ktrans.kit.errors import HTTP, ErrorTable, row

_SHOWN = 500

ERRORS = ErrorTable(
    (
        row(
            AccessError,
            *(192, 193, 194, 516),
            hint="check `user` and `password`",
        ),
        row(
            AccessError,
            *(164, 497),
            hint="grant the user INSERT and SELECT on the table, and CREATE TABLE and ALTER ADD COLUMN if "
            "tables and columns are to be created",
        ),
        row(
            ConfigError,
            *(16, 60, 81),
            code="not_found",
            field="table",
            hint="check `database` and `table`, and the columns of the table",
        ),
        # Cut bodies, timeouts, too many queries, lost connections between servers, memory, read-only
        # replicas, disks, parts, Keeper, quorum, overload.
        row(
            RetryableError,
            *(3, 33, 159, 160, 202, 209, 210, 225, 236, 241, 242, 243, 252, 279, 285, 286),
            *(319, 373, 439, 473, 722, 745, 999),
            code="busy",
        ),
    ),
    otherwise=row(
        RunError,
        code="refused",
        hint="if the server refuses rows that fit the columns' types: look at the table's constraints and "
        "views, and leave such rows out with `where:`",
    ),
)


def converted(error: Any, where: str) -> KtransError:
    """Return the error of ktrans for one of the driver."""
    said = f"{where}: {_short(str(error))}"
    if error.code is not None:
        return ERRORS.error(said, error.code)
    status = re.search(r"HTTP status (\d+)", said)
    if status is not None:  # of a proxy before the server
        return HTTP.error(said, int(status[1]))
    if (
        type(error).__name__ != "OperationalError"
    ):  # of the driver itself, such as a setting that is fixed
        return ERRORS.error(said)
    return RetryableError(
        f"{where}: no answer: {_short(str(error.__cause__ or error))}",
        code="connection",
        hint="check `url`, and that the server is up",
    )


def _short(text: str) -> str:
    text = re.sub(r"Received ClickHouse exception, code: \d+, server response: ", "", text)
    text = re.sub(r"url: /\?\S+", "url", re.sub(r" \(for url [^)]*\)$", "", text))
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}..."
