"""Framing, cutting, positions and options of the `kafka` source, without a broker."""

import contextlib
import gzip
import json
import threading
import types
from concurrent.futures import ThreadPoolExecutor

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from ktrans_kafka.client import ConnectionErrors
from ktrans_kafka.group_share import GroupShare
from ktrans_kafka.source import KafkaSource
from ktrans_kafka.source_config import KafkaSourceConfig, start_of
from ktrans_kafka.source_payload import Framing
from ktrans_kafka.source_position import Position, Range, cut, extents, parse_from
from pydantic import ValidationError

from ktrans.api import Budget, Limits, Split, UsageError
from ktrans.registry.catalogue import Catalogue
from tests.examples import examples

LINES = Framing(lines=True, strip_schema_id=False, limits=Limits())


def config(**options):
    raw = {"bootstrap_servers": ["kafka:9092"], "topics": ["flows"], **options}
    return Catalogue().config("source", {"type": "kafka", **raw})


# -- framing ------------------------------------------------------------------------------------


def test_each_value_stands_on_a_line_of_its_own():
    assert LINES.join([b"one", b"two\n", b"three"]) == (b"one\ntwo\nthree\n", 0)


def test_tombstones_are_counted_and_left_out():
    assert LINES.join([None, b"one", None]) == (b"one\n", 2)
    assert LINES.join([None]) == (b"", 1)


def test_compressed_values_are_inflated_among_plain_ones():
    zstd = pa.compress(b"three\nfour\n", codec="zstd", asbytes=True)
    data, _ = LINES.join([b"one", gzip.compress(b"two"), zstd])
    assert data == b"one\ntwo\nthree\nfour\n"


def test_a_damaged_compressed_value_stays_for_the_decoder_to_refuse():
    torn = gzip.compress(b"two" * 100)[:-9]
    data, _ = LINES.join([torn, b"one"])
    assert torn in data
    assert data.endswith(b"\none\n")
    assert LINES.begin(data) == b"\n" + data  # or the whole stream would be taken for gzip


def test_a_value_that_inflates_too_far_stays_as_it_is():
    bomb = gzip.compress(b"\0" * (80 << 20))
    tight = Framing(lines=True, strip_schema_id=False, limits=Limits(max_inflate_ratio=2))
    assert tight.join([bomb])[0] == bomb + b"\n"


def test_the_schema_id_is_taken_off_where_there_is_one():
    framing = Framing(lines=True, strip_schema_id=True, limits=Limits())
    assert framing.join([b"\0\0\0\0\x07{}", b"{}"])[0] == b"{}\n{}\n"
    assert LINES.join([b"\0\0\0\0\x07{}"])[0] == b"\0\0\0\0\x07{}\n"


def test_an_object_is_passed_on_as_it_is():
    framing = Framing(lines=False, strip_schema_id=False, limits=Limits())
    value = gzip.compress(b"anything")
    assert framing.begin(framing.join([value])[0]) == value


# -- ranges -------------------------------------------------------------------------------------

spans = st.dictionaries(
    st.tuples(st.sampled_from(["a", "b"]), st.integers(0, 3)),
    st.tuples(st.integers(0, 50), st.integers(0, 80)).map(lambda s: (s[0], s[0] + s[1])),
    max_size=6,
)


@given(spans, st.integers(1, 30), st.integers(1, 40))
@settings(max_examples=examples(50), deadline=None)
def test_ranges_go_on_where_the_last_ones_ended_and_leave_nothing_out(waiting, records, splits):
    left, seen = dict(waiting), set()
    while ranges := cut(left, Budget(splits=splits), records=records, record_bytes=10):
        assert len(ranges) <= splits
        assert all(0 < one.end - one.start <= records for one in ranges)
        for part, (start, end) in extents(ranges).items():
            assert start == left[part][0]
            left[part] = (end, left[part][1])
        offsets = {(one.part, at) for one in ranges for at in range(one.start, one.end)}
        assert not offsets & seen
        seen |= offsets
    assert seen == {
        (part, at) for part, (start, end) in waiting.items() for at in range(start, end)
    }


def test_a_small_epoch_takes_from_every_partition():
    waiting = {("t", number): (0, 1000) for number in range(4)}
    ranges = cut(waiting, Budget(bytes=4000), records=100, record_bytes=10)
    assert {one.partition for one in ranges} == {0, 1, 2, 3}
    assert sum(one.end - one.start for one in ranges) == 400


def test_a_range_survives_as_a_split_and_names_its_place():
    one = Range("flows", 3, 100, 250)
    split = Split.from_json(json.loads(json.dumps(one.split(10).to_json())))
    assert Range.of(split) == one
    assert split.uri == "kafka://flows/3?offset=100"
    assert split.size == 1500


# -- positions ----------------------------------------------------------------------------------


class Memory(dict):
    def recall(self, keys):
        return {key: self[key] for key in keys if key in self}


def test_splits_that_were_quarantined_are_unread_and_the_others_are_forgotten():
    first, second = (Range("t", 0, at, at + 5).split(10) for at in (0, 5))
    before = Position(pending=(first, second), token="a", next={("t", 0): 10})
    before = Position.of(json.loads(json.dumps(before.to_json())), "earliest")
    memory = Memory({first.key: {"token": "a"}})
    assert before.unread(memory) == [second]
    assert before.remember([second], [second]) == {first.key: None, second.key: {"token": "a"}}


def test_what_another_from_has_read_does_not_count():
    split = Range("t", 0, 0, 5).split(10)
    memory = Memory({split.key: {"token": "before"}})
    assert Position(pending=(split,), token="now").unread(memory) == [split]


def test_from_takes_times_and_offsets():
    assert Position.of(parse_from("2026-01-31T00:00:00Z"), 0).start == 1769817600000
    assert Position.of(parse_from("latest"), 0).start == "latest"
    some = Position.of(parse_from("flows/0=12, my/odd/1=7"), 0)
    assert some.next == {("flows", 0): 12, ("my/odd", 1): 7}


@pytest.mark.parametrize("text", ["banana", "flows=1", "flows/x=1", "flows/0=-1", "=", "31.1.2026"])
def test_from_refuses_what_is_no_place(text):
    with pytest.raises(UsageError):
        parse_from(text)


def test_times_without_a_zone_are_utc():
    assert start_of("2026-01-31T01:00:00") == start_of("2026-01-31T02:00:00+01:00")


# -- options ------------------------------------------------------------------------------------


def test_the_shortest_config_is_enough():
    made = config()
    assert isinstance(made, KafkaSourceConfig)
    assert made.start == "earliest"


@pytest.mark.parametrize(
    "options",
    [
        {"topics": []},
        {"topics": ["^("]},
        {"start": "yesterday"},
        {"librdkafka": {"group.id": "mine"}},
        {"librdkafka": {"isolation.level": "read_uncommitted"}},
    ],
    ids=str,
)
def test_options_that_make_no_sense_are_refused(options):
    with pytest.raises(ValidationError):
        KafkaSourceConfig.model_validate(
            {"bootstrap_servers": ["kafka:9092"], "topics": ["flows"], **options}
        )


def test_a_group_cannot_be_started_from_a_place():
    source = KafkaSource(config(group="shared"))
    with pytest.raises(UsageError, match="`group`"):
        source.position_from("earliest")


# -- groups -------------------------------------------------------------------------------------


class Offline:
    """Clients of a cluster without a group, which count the producers of claims."""

    def __init__(self):
        self.config = config(group="g")
        self.errors = ConnectionErrors()
        self.producers = []
        self._both = threading.Barrier(2)

    def consumer(self, group, own=None):
        del group, own
        with contextlib.suppress(threading.BrokenBarrierError):
            self._both.wait(0.5)  # two threads are here at once, unless one keeps the other out
        return object()

    def committed(self, consumer, parts, secs):
        return {}

    def claim_producer(self, name):
        self.producers.append(name)
        return types.SimpleNamespace(init_transactions=lambda secs: None)


def test_threads_that_open_splits_at_once_share_one_producer_of_claims():
    """Or one producer fences the other, and a process that resumes an epoch stops as `fenced`."""
    clients = Offline()
    share = GroupShare("g", clients, lambda parts, start: {})
    splits = [Range("flows", part, 0, 5).split(1, {"claim": "me:1"}) for part in (0, 1)]
    with ThreadPoolExecutor(2) as threads:
        assert list(threads.map(share.is_mine, splits)) == [False, False]
    assert clients.producers == ["ktrans.claims.me"]
