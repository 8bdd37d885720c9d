"""Where a source begins: a word, or a time."""

from __future__ import annotations

from datetime import UTC, datetime

from ktrans.api import UsageError


def start_of(text: str, words: tuple[str, ...]) -> str | int:
    """Return one of the words, or a time as milliseconds since 1970; without a zone it is UTC.

    Raises:
        ValueError: it is neither.
    """
    if text in words:
        return text
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        known = " nor ".join(words)
        raise ValueError(
            f"{text!r} is neither {known} nor a time such as 2026-01-31T12:00:00Z"
        ) from None
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    return int(moment.timestamp() * 1000)


def start_given(text: str, words: tuple[str, ...], source: str) -> str | int:
    """Return what `--from` says, as `start_of` does.

    Raises:
        UsageError: it says neither a word nor a time.
    """
    try:
        return start_of(text, words)
    except ValueError as error:
        raise UsageError(
            f"{source} cannot start from {text!r}",
            hint=f"use {', '.join(words)}, or a time such as 2026-01-31T12:00:00Z",
        ) from error
