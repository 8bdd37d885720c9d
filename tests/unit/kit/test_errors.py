"""The table of errors: which answer means what."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest

from ktrans.api import (
    AccessError,
    ConfigError,
    RetryableError,
    RunError,
    SplitChangedError,
    UnavailableError,
)
from ktrans.kit.errors import HTTP, as_unavailable, retry_after, row


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (401, AccessError),
        (403, AccessError),
        (404, ConfigError),
        (308, ConfigError),
        (412, SplitChangedError),
        (429, RetryableError),
        (503, RetryableError),
        (400, RunError),
    ],
)
def test_a_status_has_an_error(status, kind):
    assert type(HTTP.error("no", status)) is kind


def test_codes_of_a_service_come_before_statuses():
    table = HTTP.extended(
        row(ConfigError, "NoSuchBucket", code="bucket_missing", hint="h", field="bucket")
    )
    made = table.error("no", "NoSuchBucket", 403)
    assert (type(made), made.code, made.hint, made.field) == (
        ConfigError,
        "bucket_missing",
        "h",
        "bucket",
    )
    assert isinstance(table.error("no", "Other", 403), AccessError)


def test_an_exception_is_known_by_any_of_its_classes():
    table = HTTP.extended(row(RetryableError, "OSError", code="connection"))
    made = table.of_exception(ConnectionResetError("x"), "no")
    assert isinstance(made, RetryableError)
    assert table.of_exception(ValueError("x"), "no") is None
    assert isinstance(as_unavailable(made), UnavailableError)
    assert isinstance(as_unavailable(HTTP.error("no", 503)), RetryableError)


@pytest.mark.parametrize(
    ("headers", "secs"),
    [
        ({}, None),
        ({"Retry-After": "7"}, 7),
        ({"retry-after": "x"}, None),
        ({"x-ms-retry-after-ms": "1500"}, 1.5),
        ({"Retry-After": "-3"}, 0),
        ({"Retry-After": "Mon, 01 Jan 2020 00:00:00 +99999999999999"}, None),
    ],
)
def test_retry_after_is_read(headers, secs):
    assert retry_after(headers) == secs


def test_retry_after_may_be_a_date():
    when = datetime.now(UTC) + timedelta(seconds=60)
    found = retry_after({"Retry-After": format_datetime(when, usegmt=True)})
    assert 50 < found <= 60
