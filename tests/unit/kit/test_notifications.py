"""Messages of queues: what was seen of them, and the reject that one becomes."""

import json

import pytest

from ktrans.api import RejectError
from ktrans.engine.failures import ReadError, quarantine_for
from ktrans.engine.rejects.replay import _not_replayable
from ktrans.engine.rejects.stored_form import split_reject, to_stored
from ktrans.kit.notifications import (
    KEPT_BYTES,
    Announced,
    SkippedEvent,
    SkippedEvents,
    UnknownMessageError,
    message_bytes,
    message_split,
    parse_json,
    refuse_message,
    seen,
)


@pytest.mark.parametrize(
    ("value", "words"),
    [
        ({"a": 1, "b": 2}, "a JSON object with the keys `a`, `b`"),
        ({}, "an empty object"),
        ({f"k{n}": n for n in range(99)}, "`k11`, ..."),
        ({"k" * 99: 1}, f"`{'k' * 40}...`"),
        ([1, 2], "a JSON array of 2 items"),
        (None, "the JSON value None"),
        ("x" * 999, "..."),
        (b"\xff", "\\xff"),
        (" ", "empty"),
    ],
)
def test_a_value_is_described_by_its_type_and_keys(value, words):
    assert seen(value).endswith(words)


@pytest.mark.parametrize("text", ["", "hello", "[" * 9000, "\ud800", b"\xff", None, 3])
def test_what_is_no_json_is_not_understood(text):
    with pytest.raises(UnknownMessageError):
        parse_json(text)


def test_a_byte_order_mark_is_no_part_of_json():
    assert parse_json('\ufeff{"a": 1}') == {"a": 1}


def test_a_message_says_something():
    told = Announced.of(["a", SkippedEvent("deleted")])
    assert (told.objects, told.skipped) == (("a",), ("deleted",))
    with pytest.raises(UnknownMessageError):
        Announced.of([])


def test_notes_have_the_names_of_events_and_no_counts():
    skipped = SkippedEvents()
    assert skipped.notes() == []
    skipped.add(["b", "a", "b"])
    assert skipped.notes() == ["skipped, because they announce nothing to read: a, b"]


@pytest.mark.parametrize(
    ("body", "raw", "complete"),
    [
        ("hello", b"hello", True),
        (b"\xff\0", b"\xff\0", True),
        ("\ud800", b"\xed\xa0\x80", True),
        (b"x" * (KEPT_BYTES + 1), b"x" * KEPT_BYTES, False),
    ],
)
def test_the_reject_of_a_message_has_its_bytes_and_is_never_decoded(body, raw, complete):
    split = message_split("k", "acme://q/7", body, "it is odd", more=1)
    json.dumps(split.to_json())
    assert message_bytes(split) == (raw, complete)
    with pytest.raises(RejectError) as error:
        refuse_message(split)
    quarantine = quarantine_for(ReadError(split, error.value))
    assert quarantine.kind == "rejected"
    reject = split_reject(quarantine, split, "auto", "1")
    (row,) = reject.to_pylist()
    assert (row["source_uri"], row["reason"]) == ("acme://q/7", "not_a_notification")
    assert (row["raw"], row["raw_complete"]) == (raw, complete)
    assert "it is odd" in row["detail"]
    assert _not_replayable(to_stored(reject)).to_pylist() == [True]
