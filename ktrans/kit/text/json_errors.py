"""What a JSON parser raises for bytes that anyone may have written."""

from __future__ import annotations

import msgspec

UNREADABLE_JSON: tuple[type[Exception], ...] = (msgspec.DecodeError, UnicodeError, RecursionError)
"""What msgspec raises for JSON that it cannot read: a text may be no JSON, hold bytes that are not UTF-8,
or be nested too deeply. Whoever decodes foreign bytes catches all of these."""
