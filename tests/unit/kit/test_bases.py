"""The base classes that plugins are built on, used as a plugin would use them."""

import doctest
import gzip
import importlib
import json
import sqlite3

import pyarrow as pa
import pyarrow.compute as pc
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from ktrans.api import (
    BytesPayload,
    ComponentConfig,
    ConfigError,
    Context,
    EpochId,
    Limits,
    Split,
    StageLostError,
    StateError,
    TaskId,
    TruncatedError,
)
from ktrans.kit import bucket_stage
from ktrans.kit.bucket_stage import BucketStage
from ktrans.kit.buffered_sink import BufferedSink
from ktrans.kit.column_enricher import ColumnEnricher
from ktrans.kit.line_decoder import LineDecoder, Parsed
from ktrans.kit.stage_option import BufferedSinkConfig
from ktrans.testing.contracts import SinkCase, SinkContract
from ktrans.testing.contracts.sinks import EPOCH, FIRST, SCHEMA, SECOND, batches, numbers, run
from ktrans.testing.memory_state import MemoryBucketState, MemoryStateBucket
from tests.examples import examples

WITH_EXAMPLES = [
    *("ktrans.kit.objects.source", "ktrans.kit.objects.sink"),
    *(f"ktrans.testing.{name}" for name in ("arrow", "clock", "http_stub", "rejects")),
    *("ktrans.kit.http.answers", "ktrans.kit.rows.protobuf"),
]


@pytest.mark.parametrize("name", WITH_EXAMPLES)
def test_the_examples_in_the_docs_run(name):
    result = doctest.testmod(importlib.import_module(name))
    assert result.attempted
    assert result.failed == 0


# --- lines ---


class Pairs(LineDecoder):
    """`address bytes`; lines that begin with # are comments."""

    def parse(self, lines):
        parts = pc.extract_regex(lines, r"^(?P<src>\S+) (?P<bytes>\d{1,18})$")
        comments = pc.starts_with(lines, "#")
        return Parsed(
            columns={
                "src_addr": pc.struct_field(parts, "src"),
                "bytes": pc.struct_field(parts, "bytes").cast(pa.int64()),
            },
            bad=pc.and_(parts.is_null(), pc.invert(comments)),
            reasons="not_a_pair",
            skipped=comments,
        )


def decode(data, *, final=True, **limits):
    decoder = Pairs(ComponentConfig(type="pairs"), Context(limits=Limits(**limits)))
    decoder.schema(None)
    payload = BytesPayload(Split("k", "mem://k"), data)
    payload.final_attempt = final
    return [decoder.decode(block) for block in decoder.blocks(payload)]


def summary(parts):
    rows = [row for part in parts for row in part.batch.to_pylist()]
    rejects = [row for part in parts if part.rejects for row in part.rejects.to_pylist()]
    return (
        [(row["source_pos"], row["src_addr"], row["bytes"]) for row in rows],
        [(row["source_pos"], row["reason"], row["raw"]) for row in rejects],
        sum(part.skipped for part in parts),
        sum(part.records for part in parts),
    )


TEXT = b"# a comment\na 1\r\nrubbish\n\nb 2\n\xff 3\nc 4"


def test_lines_become_rows_rejects_and_skipped_ones():
    rows, rejects, skipped, records = summary(decode(TEXT))
    assert rows == [(2, "a", 1), (5, "b", 2), (7, "c", 4)]
    assert rejects == [(3, "not_a_pair", b"rubbish"), (6, "not_utf8", b"\xff 3")]
    assert (skipped, records) == (2, 7)


@settings(max_examples=examples(60), deadline=None)
@given(
    st.lists(st.sampled_from([b"a 1", b"", b"#", b"bad", b"\xff", b"long " + b"9" * 30])),
    st.sampled_from([b"\n", b"\r\n"]),
    st.integers(8, 64),
)
def test_neither_block_size_nor_compression_changes_anything(lines, end, size):
    data = end.join(lines)
    whole = summary(decode(data))
    assert summary(decode(data, block_bytes=size)) == whole
    assert summary(decode(gzip.compress(data))) == whole
    assert whole[3] == len(whole[0]) + len(whole[1]) + whole[2]


def test_a_line_that_is_too_long_is_a_reject_and_those_around_it_arrive():
    data = b"a 1\n" + b"x" * 5000 + b"\nb 2\n"
    rows, rejects, _, records = summary(decode(data, max_line_bytes=100, block_bytes=64))
    assert rows == [(1, "a", 1), (3, "b", 2)]
    assert [(pos, reason) for pos, reason, _ in rejects] == [(2, "line_too_long")]
    assert records == 3


def test_a_torn_object_is_tried_again_and_at_last_taken_as_far_as_it_goes():
    torn = gzip.compress(b"".join(b"host%d %d\n" % (i, i * i) for i in range(5000)))[:-400]
    with pytest.raises(TruncatedError):
        decode(torn, final=False)
    rows, rejects, _, records = summary(decode(torn))
    assert len(rows) > 1000
    assert [reason for _, reason, _ in rejects] == ["truncated"]
    assert records == len(rows) + 1


# --- columns ---


class Doubled(ColumnEnricher):
    def reads(self):
        return ["n"]

    def columns(self):
        return {"double": pa.int64(), "word": pa.string()}

    def compute(self, batch):
        return {"double": pc.multiply(batch["n"], 2), "word": batch["n"].cast(pa.string())}


def test_columns_are_added_or_replaced_and_text_becomes_a_dictionary():
    batch = pa.record_batch({"n": pa.array([1, None], pa.int64()), "word": ["old", "old"]})
    enricher = Doubled(ComponentConfig(type="doubled"))
    schema = enricher.bind(batch.schema)
    after = enricher.apply(batch)
    assert after.schema.equals(schema)
    assert after.to_pylist() == [
        {"n": 1, "word": "1", "double": 2},
        {"n": None, "word": None, "double": None},
    ]
    assert pa.types.is_dictionary(schema.field("word").type)


def test_a_column_that_is_not_there_is_named_before_any_row():
    with pytest.raises(ConfigError, match="'n'"):
        Doubled(ComponentConfig(type="doubled")).bind(pa.schema([("m", pa.int64())]))


# --- buffered ---


class SqliteConfig(BufferedSinkConfig):
    """Options of the sink."""


class Sqlite(BufferedSink):
    """Rows and mark in one transaction: each row exactly once."""

    def deliver(self, delivery):
        with sqlite3.connect(self.context.base_dir / "db") as database:
            database.execute("create table if not exists flows (account, n)")
            database.execute("create table if not exists marks (mark primary key)")
            found = database.execute("select 1 from marks where mark = ?", (delivery.mark,))
            if found.fetchone():
                return
            for batch in delivery.batches():
                rows = [tuple(row.values()) for row in batch.to_pylist()]
                database.executemany("insert into flows values (?, ?)", rows)
            database.execute("insert into marks values (?)", (delivery.mark,))
        database.close()


class SqliteCase(SinkCase):
    def __init__(self, folder):
        self.folder = folder

    def sink(self, name="sink", pipeline="flows"):
        sink = Sqlite(ComponentConfig(type="sqlite"), Context(pipeline, name, self.folder))
        sink.bind(SCHEMA)
        return sink

    def rows(self):
        if not (self.folder / "db").exists():
            return []
        database = sqlite3.connect(self.folder / "db")
        rows = [n for (n,) in database.execute("select n from flows order by n")]
        database.close()
        return rows

    def leftovers(self):
        staged = (self.folder / ".ktrans").rglob("*.arrow*")
        return sorted(path.name for path in staged)


class TestBufferedSink(SinkContract):
    @pytest.fixture
    def case(self, tmp_path):
        return SqliteCase(tmp_path)

    def test_what_another_attempt_left_is_not_taken_for_what_was_decided(self, case):
        """A process that stood still goes on, or came to another machine, while one took over."""
        sleeper, other = case.sink(), case.sink()
        sleeper.prepare(EPOCH)
        other.prepare(EPOCH)
        receipt = run(other, FIRST)
        again = sleeper.writer(FIRST)
        again.write(again.encode(batches(FIRST)[0]))
        again.finish()
        other.commit(EPOCH, [receipt])
        assert case.rows() == numbers(FIRST)


class BucketCase(SqliteCase):
    """Rows wait in a bucket, in small parts; each instance has a connection and a folder of its own."""

    def __init__(self, folder, bucket):
        super().__init__(folder)
        self.bucket = bucket
        self.machines = 0

    def sink(self, name="sink", pipeline="flows"):
        self.machines += 1
        config = SqliteConfig(type="sqlite", stage="s3://bucket/staged/")
        sink = Sqlite(config, Context(pipeline, name, self.folder))
        local = self.folder / f".ktrans/{self.machines}"
        state = MemoryBucketState(self.bucket)
        sink.__dict__["stage"] = BucketStage(state, f"staged/{pipeline}.{name}/", local)
        sink.bind(SCHEMA)
        return sink

    def leftovers(self):
        keys = [key for key in self.bucket.objects if ".arrow" in key]
        return [*keys, *super().leftovers()]


class TestBufferedSinkInBucket(SinkContract):
    @pytest.fixture
    def case(self, tmp_path, monkeypatch):
        monkeypatch.setattr(bucket_stage, "PART_BYTES", 500)
        return BucketCase(tmp_path, MemoryStateBucket())

    def test_rows_wait_in_parts(self, case):
        sink = case.sink()
        receipt = run(sink, FIRST)
        assert receipt.data["parts"] > 3
        assert len(case.leftovers()) == receipt.data["parts"]
        assert {len(one.data) for one in case.bucket.objects.values()} >= {500}

    def test_a_part_that_is_gone_is_noticed_before_anything_is_delivered(self, case):
        sink = case.sink()
        receipts = [run(sink, FIRST), run(sink, SECOND)]
        case.bucket.delete(f"staged/flows.sink/{receipts[1].data['file']}.00001")
        with pytest.raises(StageLostError):
            sink.commit(EPOCH, receipts)
        assert case.rows() == []

    def test_an_answer_that_gets_lost_costs_nothing(self, case):
        """The SDK repeats the request, and meets the object that it has made."""
        sink = case.sink()
        create = case.bucket.create
        case.bucket.create = lambda *given: (create(*given), create(*given))[1]
        sink.commit(EPOCH, [run(sink, FIRST), run(sink, SECOND)])
        assert case.rows() == numbers(FIRST, SECOND)


@pytest.mark.parametrize("stage", ["http://host/x", "ftp://a/b"])
def test_a_stage_that_is_no_bucket_is_refused(stage):
    with pytest.raises(ValidationError, match="it is a folder, or s3://bucket"):
        SqliteConfig(type="sqlite", stage=stage)


def test_a_bucket_frees_a_sink_from_its_machine(tmp_path):
    local, elsewhere = (
        Sqlite(SqliteConfig(type="sqlite", stage=stage), Context("flows", "db", tmp_path))
        for stage in ("waiting", "s3://bucket/staged/")
    )
    assert (local.stages, local.folder) == ("shared_path", tmp_path / "waiting/flows.db")
    assert "`stage` names no bucket" in local.bound_because
    assert (elsewhere.stages, elsewhere.bound_because) == ("anywhere", "")


def test_rows_that_were_delivered_before_a_crash_are_not_delivered_again(tmp_path):
    case = SqliteCase(tmp_path)

    class Dies(Sqlite):
        def deliver(self, delivery):
            super().deliver(delivery)
            raise KeyboardInterrupt

    sink = Dies(ComponentConfig(type="sqlite"), Context("flows", "sink", tmp_path))
    sink.bind(SCHEMA)
    sink.prepare(EPOCH)
    receipt = run(sink, FIRST)
    with pytest.raises(KeyboardInterrupt):
        sink.commit(EPOCH, [receipt])
    case.sink().commit(EPOCH, [receipt])
    assert case.rows() == numbers(FIRST)
    json.dumps(receipt.to_json())


def test_an_epoch_that_was_delivered_is_not_taken_for_a_new_one(tmp_path):
    """The state was restored from a backup: its next epochs have numbers that were used before."""
    case = SqliteCase(tmp_path)
    sink = case.sink()
    for number in (1, 2, 3):
        epoch = EpochId("flows", number)
        sink.prepare(epoch)
        sink.commit(epoch, [run(sink, TaskId(epoch, 0))])
    rows = case.rows()
    for number in (2, 3):
        with pytest.raises(StateError, match="has epoch 3 already") as caught:
            case.sink().prepare(EpochId("flows", number))
        assert caught.value.code == "table_ahead"
        case.sink().prepare(EpochId("flows", number, decided=True))
        case.sink().prepare(EpochId("flows", number, "another"))
    case.sink().prepare(EpochId("flows", 4))
    assert case.rows() == rows
