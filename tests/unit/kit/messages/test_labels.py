"""Names and headers that a message takes from its row."""

import json
import re

import pyarrow as pa
import pytest

from ktrans.api import ComponentConfig, Context, RetryableError
from ktrans.kit.files.format_option import build_format
from ktrans.kit.files.path_template import Slot
from ktrans.kit.messages.encode import MessageEncoder, unpack
from ktrans.kit.messages.labels import columns_of, header_text, name_text, parse_name
from ktrans.kit.retry import Retry, with_progress
from ktrans.registry.catalogue import Catalogue
from ktrans.testing.hostile import TEXTS

SCHEMA = pa.schema([("who", pa.dictionary(pa.int32(), pa.string())), ("n", pa.int64())])
LEGAL = re.compile(r"[a-z.-]+")
ILLEGAL = r"[^a-z0-9]"


def rows(*whos):
    who = pa.array(whos, pa.string()).dictionary_encode()
    return pa.record_batch([who, pa.array(range(len(whos)), pa.int64())], schema=SCHEMA)


def encoder(**options):
    made = build_format(ComponentConfig(type="jsonl"), Context(registry=Catalogue()))
    messages = MessageEncoder(made, 1000, **options)
    messages.bind(SCHEMA)
    return messages


def test_a_message_has_its_row_and_what_it_takes_from_it():
    parts = parse_name("flows.{who}.{n}", LEGAL, "a to z")
    assert columns_of(parts) == ["who", "n"]
    texts = {"subject": name_text(parts, ILLEGAL), "h:who": header_text("who", r"\n")}
    kept = encoder(texts=texts).encode(rows("a", None, "B c", "", "d\n"))
    found = [(json.loads(data).get("who"), texts) for data, texts in unpack(kept.batch)]
    assert found == [
        ("a", {"subject": "flows.a.0", "h:who": "a"}),
        (None, {"subject": "flows.unknown.1"}),
        ("B c", {"subject": "flows.__c.2", "h:who": "B c"}),
        ("", {"subject": "flows.unknown.3", "h:who": ""}),
        ("d\n", {"subject": "flows.d_.4", "h:who": "d_"}),
    ]


def test_messages_without_texts_are_their_data():
    kept = encoder().encode(rows("a", "b"))
    assert [texts for _, texts in unpack(kept.batch)] == [{}, {}]


def test_no_value_gets_into_a_name_as_it_is_if_it_is_not_legal():
    array = name_text(("f.", Slot("who")), ILLEGAL)(rows(*TEXTS))
    assert all(re.fullmatch(r"f\.[a-z0-9_]+", text) for text in array.to_pylist())


def test_each_text_has_its_own_limit():
    texts = {"a": header_text("who", r"\n"), "b": header_text("n", r"\n")}
    messages = encoder(texts=texts, max_text_bytes=9, text_limits={"a": 3})
    kept = messages.encode(rows("abc", "abcd", "x" * 2000))
    assert kept.rows == 1
    assert {(r.reason, *r.rows["n"].to_pylist()) for r in kept.refused} == {
        ("attribute_too_long", 1),
        ("message_too_large", 2),
    }


@pytest.mark.parametrize(
    ("text", "why"),
    [
        *(("A{who}", "a to z"), ("a{", "braces"), ("a{}", "a slot"), ("a{who:x}", "a slot")),
        *(("{who}", "fixed text"), ("", "fixed text")),
    ],
)
def test_names_that_are_none(text, why):
    with pytest.raises(ValueError, match=why):
        parse_name(text, LEGAL, "a to z")


def test_what_makes_progress_is_tried_again_without_end_and_what_does_not_is_given_up():
    done, calls = [], []

    def work():
        calls.append(1)
        if len(done) < 5:
            done.append(1)
        elif len(calls) < 7:
            return "done"
        raise RetryableError("busy")

    once = Retry(1)
    assert with_progress(work, lambda: len(done), once) == "done"
    with pytest.raises(RetryableError):
        with_progress(work, lambda: len(done), once)
    del done[:]
    with pytest.raises(RetryableError):
        with_progress(work, lambda: len(done), once, stopping=lambda: True)
    assert len(done) == 1
