"""What the answers to remote writes mean.

Prometheus refuses a whole request for one sample, with status 400, and for some reasons with 500, though they are
permanent. Mimir, Cortex and Thanos keep the other samples of the request. Thanos refuses with status 409
what is out of order, out of bounds or there with another value.

Sources: Prometheus 2.42, storage/remote/write_handler.go and storage/interface.go; Grafana Mimir, "Grafana
Mimir runbooks", errors catalog (`err-mimir-...`).
"""

from __future__ import annotations

import re

from ktrans.api import KtransError, RunError
from ktrans.kit.errors import ErrorTable, row
from ktrans.kit.http.answers import STATUSES, Answer, Fault, Refusal, error_of_api

_OF_TIME = re.compile(
    r"out of bounds|too old|too far in (?:the )?(?:past|future)|too-old|far-in-future",
    re.IGNORECASE,
)
"""A sample is refused because of its time alone, so all of its request are."""

_OF_ORDER = re.compile(
    r"out.of.order|duplicate sample|duplicate.timestamp|sample-duplicate", re.IGNORECASE
)
_OF_SAMPLE = re.compile(
    r"invalid sample|label name|label value|label set|invalid label|metric name|max-label|max-series"
    r"|per-(?:user|metric)|series limit|limit.*series|invalid metric|err-mimir|utf-?8",
    re.IGNORECASE,
)
_CONFLICT = 409
_REFUSING = {400, _CONFLICT, 422, 500}

ERRORS = STATUSES.extended(
    row(
        RunError,
        404,
        code="not_found",
        hint="check the path; Prometheus needs --web.enable-remote-write-receiver",
    ),
    otherwise=row(RunError, code="refused", hint="check that `url` takes remote writes"),
)
"""By HTTP status; answers that refuse samples are told by their text."""


def error_of_write(
    answer: Answer, where: str, rows: int, table: ErrorTable = ERRORS
) -> KtransError | Refusal | None:
    """Return the error or the refusal that an answer means; None for success.

    Args:
        answer: to a remote write.
        where: the address, for messages.
        rows: how many the request had.
        table: what the statuses mean.
    """
    error = error_of_api(answer, where, table)
    if error is None:
        return None
    if answer.status in _REFUSING:
        if _OF_TIME.search(answer.text):
            return Refusal(Fault("sample_too_old", answer.message), dropped=rows)
        if answer.status == _CONFLICT or _OF_ORDER.search(answer.text):
            return Refusal(Fault("sample_out_of_order", answer.message))
        if _OF_SAMPLE.search(answer.text):
            return Refusal(Fault("sample_refused", answer.message))
    if isinstance(error, Refusal) and not error.too_large:
        return table.error(error.fault.detail, answer.status)
    return error
