"""What sinks of messages share: rows become messages, and every message arrives."""

import json
import threading

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ktrans.api import AccessError, Context, InterruptedRunError, RetryableError
from ktrans.kit.files.format_option import build_format
from ktrans.kit.messages.encode import MessageEncoder, column_text, spans
from ktrans.kit.messages.send import Request, RequestLimits, Sender, SentNotes
from ktrans.registry.catalogue import Catalogue
from tests.examples import examples

ROWS = pa.record_batch(
    {
        "account": pa.array(["a", None, "é" * 30, "b"]).dictionary_encode(),
        "n": pa.array([1, 2, 3, None], pa.int64()),
    }
)


def encoder(format_options=None, max_bytes=1000, rows=1, **options):
    catalogue = Catalogue()
    raw = catalogue.config("format", {"type": "jsonl", **(format_options or {})})
    made = MessageEncoder(
        build_format(raw, Context(registry=catalogue)), max_bytes, rows, **options
    )
    made.bind(ROWS.schema)
    return made


def test_a_row_is_a_message_with_its_texts():
    texts = {"key": column_text(["account", "n"]), "who": column_text("account")}
    kept = encoder(texts=texts).encode(ROWS.slice(0, 2))
    assert kept.batch.to_pylist() == [
        {"data": b'{"account":"a","n":1}', "rows": 1, "key": "a|1", "who": "a"},
        {"data": b'{"n":2}', "rows": 1, "key": "|2", "who": None},
    ]


def test_line_ends_are_kept_if_asked_for():
    kept = encoder(line_ends=True).encode(ROWS.slice(1, 1))
    assert kept.batch["data"].to_pylist() == [b'{"n":2}\n']


def test_rows_that_no_message_can_hold_are_refused_alone():
    for rows in (1, 3):
        kept = encoder(max_bytes=50, rows=rows).encode(ROWS)
        (refused,) = kept.refused
        assert (refused.reason, refused.rows["n"].to_pylist()) == ("message_too_large", [3])
        assert kept.rows == 3
        lines = [line for data in kept.batch["data"].to_pylist() for line in data.splitlines()]
        assert [json.loads(line).get("n") for line in lines] == [1, 2, None]
    texts = {"who": column_text("account")}
    kept = encoder(texts=texts, max_text_bytes=59).encode(ROWS)
    assert [(each.reason, each.rows.num_rows) for each in kept.refused] == [
        ("attribute_too_long", 1)
    ]
    assert kept.rows == 3


@settings(max_examples=examples(40), deadline=None)
@given(st.lists(st.integers(0, 60), max_size=40), st.integers(2, 9), st.integers(90, 400))
def test_rows_together_keep_order_count_and_size(lengths, most, max_bytes):
    batch = pa.record_batch(
        {
            "account": pa.array(["x" * n for n in lengths], pa.string()).dictionary_encode(),
            "n": pa.array(range(len(lengths)), pa.int64()),
        }
    )
    for options in ({}, {"type": "csv"}):
        kept = encoder(options, max_bytes, most).encode(batch)
        data = kept.batch["data"].to_pylist()
        header = 1 if options else 0
        found = [line for each in data for line in each.splitlines()[header:]]
        assert not kept.refused or options
        assert kept.batch["rows"].to_pylist() == [len(each.splitlines()) - header for each in data]
        assert all(len(each) <= max_bytes for each in data)
        assert all(count <= most for count in kept.batch["rows"].to_pylist())
        assert len(found) == kept.rows == len(lengths) - sum(r.rows.num_rows for r in kept.refused)
        if not options:
            assert [json.loads(line)["n"] for line in found] == list(range(len(lengths)))


@settings(max_examples=examples(60), deadline=None)
@given(st.lists(st.integers(0, 30), max_size=50), st.integers(1, 7), st.integers(1, 40))
def test_spans_are_as_long_as_they_may_be(sizes, most, most_bytes):
    found = list(spans(np.array(sizes, np.int64), most, most_bytes))
    assert [at for start, end in found for at in range(start, end)] == list(range(len(sizes)))
    for start, end in found:
        assert end - start <= most
        assert end - start == 1 or sum(sizes[start:end]) <= most_bytes
        if end < len(sizes) and end - start < most:
            assert sum(sizes[start : end + 1]) > most_bytes


@settings(max_examples=examples(50), deadline=None)
@given(st.lists(st.sets(st.integers(0, 60), min_size=1), max_size=5))
def test_notes_are_read_as_they_were_written(tmp_path_factory, groups):
    path = tmp_path_factory.mktemp("notes") / "0.sent"
    for group in groups:
        SentNotes(path).add(np.array(sorted(group)))
    with path.open("ab") as file:
        file.write(b"900 9")  # torn
    assert set(SentNotes(path).read().tolist()) == set().union(*groups)


@pytest.mark.parametrize("torn", [b"10", b"10 ", b"10 2", b"10 20", b"\0\0\0"])
def test_notes_that_go_on_behind_a_torn_line_can_be_read(tmp_path, torn):
    path = tmp_path / "0.sent"
    path.write_bytes(b"0 3\n" + torn)
    notes = SentNotes(path)
    notes.add(np.arange(30, 33))
    notes.add(np.arange(40, 42))
    assert set(notes.read().tolist()) - {30, 31, 32} == {0, 1, 2, 40, 41}


class Queue:
    """Takes messages, but for those that `fault` names an error for."""

    def __init__(self, fault=lambda ids: {}):
        self.fault, self.requests, self.lock = fault, [], threading.Lock()

    def post(self, request: Request):
        failed = self.fault(request.ids)
        with self.lock:
            taken = [data for at, data in enumerate(request.batch["data"].to_pylist())]
            self.requests.append(
                [(request.ids[at], taken[at]) for at in range(len(taken)) if at not in failed]
            )
        return failed

    @property
    def got(self):
        return [each for request in self.requests for each in request]


def messages(count):
    data = pa.array([b"%04d" % n for n in range(count)], pa.large_binary())
    return pa.record_batch({"data": data, "rows": pa.array([1] * count, pa.int32())})


def sender(queue, tmp_path, messages=10, size=10_000, context=None, secs=60.0, at_once=3):
    limits = RequestLimits(messages, size, 6, at_once)
    context = context or Context()
    return Sender(queue.post, limits, "o", SentNotes(tmp_path / "0.sent"), context, secs)


def test_every_message_is_sent_once_with_its_id(tmp_path):
    queue = Queue()
    made = sender(queue, tmp_path, size=70)
    made.send(messages(25))
    made.send(messages(5))
    made.close()
    assert sorted(name for name, _ in queue.got) == sorted(f"o-{n}" for n in range(30))
    assert dict(queue.got)["o-27"] == b"0002"
    assert max(map(len, queue.requests)) == 7


def test_only_what_failed_is_sent_again(tmp_path):
    seen = {}

    def fault(ids):
        for each in ids:
            seen[each] = seen.get(each, 0) + 1
        busy = RetryableError("busy")
        return {at: busy for at, one in enumerate(ids) if one.endswith("3") and seen[one] < 3}

    queue = Queue(fault)
    made = sender(queue, tmp_path)
    made.send(messages(40))
    made.close()
    assert len(queue.got) == len(dict(queue.got)) == 40
    assert {one: n for one, n in seen.items() if n > 1} == dict.fromkeys(
        ["o-3", "o-13", "o-23", "o-33"], 3
    )
    assert SentNotes(tmp_path / "0.sent").read().tolist() != []
    assert sorted(SentNotes(tmp_path / "0.sent").read().tolist()) == list(range(40))


def test_what_was_sent_is_left_out_by_the_next_attempt(tmp_path):
    denied = {9: AccessError("no"), 3: RetryableError("busy")}
    queue = Queue(lambda ids: denied if "o-10" in ids else {})
    made = sender(queue, tmp_path, at_once=1)
    with pytest.raises(AccessError):
        made.send(messages(20))
    made.close()
    again = Queue()
    made = sender(again, tmp_path)
    made.send(messages(20))
    made.close()
    assert sorted(name for name, _ in again.got) == ["o-13", "o-19"]
    assert len(dict(queue.got + again.got)) == len(queue.got + again.got) == 20


def test_lanes_keep_their_order(tmp_path):
    queue = Queue()
    made = sender(queue, tmp_path, messages=3, at_once=4)
    made.send(messages(40), np.arange(40) % 4)
    made.close()
    numbers = [int(data) for _, data in queue.got]
    assert sorted(numbers) == list(range(40))
    for lane in range(4):
        mine = [n for n in numbers if n % 4 == lane]
        assert mine == sorted(mine)
    assert all(len({int(data) % 4 for _, data in each}) == 1 for each in queue.requests)


def test_a_run_that_is_stopped_does_not_wait(tmp_path):
    queue = Queue(lambda ids: {0: RetryableError("busy", retry_after_secs=30)})
    made = sender(queue, tmp_path, context=Context(abandoned=lambda: True))
    with pytest.raises(InterruptedRunError):
        made.send(messages(1))
    made.close()
