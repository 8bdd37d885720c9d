"""Where a source begins: a word, or a time."""

from __future__ import annotations

from datetime import UTC, datetime


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
