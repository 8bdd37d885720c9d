"""Source and sink over Cloud Storage, against fake-gcs-server."""

import gzip
import json
import random
import signal
import time
from collections import Counter
from contextlib import closing
from datetime import UTC, datetime, timedelta

import pyarrow as pa
import pytest
from ktrans_gcp.gcs_sink import GcsSink
from ktrans_gcp.gcs_source import GcsSource, GcsSourceConfig

from ktrans.api import (
    AccessError,
    Budget,
    ConfigError,
    Context,
    RejectError,
    RetryableError,
    RunError,
    SplitChangedError,
    StageLostError,
    UnavailableError,
)
from ktrans.kit.objects.store import NewObject
from ktrans.registry.catalogue import Catalogue
from ktrans.testing.contracts import SinkCase, SinkContract, SourceCase, SourceContract
from ktrans.testing.contracts.sinks import EPOCH, FIRST, SCHEMA, numbers, run
from ktrans.testing.contracts.sources import PlainMemory, read

pytestmark = pytest.mark.service("gcs")


def build_source(gcs, **options):
    return GcsSource(GcsSourceConfig(**gcs.options(**options)), Context("p", "source"))


def build_sink(gcs, name="sink", pipeline="flows", **options):
    catalogue = Catalogue()
    raw = gcs.options(path="out/{account}/", format={"type": "jsonl"})
    config = catalogue.config("sink", {**raw, **options})
    made = GcsSink(config, Context(pipeline, name, registry=catalogue))
    made.bind(SCHEMA)
    return made


def media(method, path, query):
    return method == "GET" and "/download/" in path


def listing(method, path, query):
    return method == "GET" and path.endswith("/o")


def rewriting(method, path, query):
    return "/rewriteTo/" in path


class GcsSourceCase(SourceCase):
    def __init__(self, gcs, options):
        self.gcs, self.options, self.built = gcs, options, []
        for number in range(6):
            data = b"".join(b"line %d of %d\n" % (line, number) for line in range(100))
            gcs.put(f"logs/flow/2026/11/0{number % 3 + 2}/{number}.json", data)

    def build(self):
        self.built.append(build_source(self.gcs, **self.options))
        return self.built[-1]


class TestSource(SourceContract):
    covers = ("gcs",)

    @pytest.fixture(params=[{}, {"layout": "plain"}], ids=["auto", "plain"])
    def case(self, request, gcs):
        made = GcsSourceCase(gcs, request.param)
        yield made
        for source in made.built:
            source.close()


class GcsSinkCase(SinkCase):
    def __init__(self, gcs, options):
        self.gcs, self.options, self.built = gcs, options, []

    def sink(self, name="sink", pipeline="flows"):
        self.built.append(build_sink(self.gcs, name, pipeline, **self.options))
        return self.built[-1]

    def rows(self):
        lines = b"".join(self.gcs.data().values()).splitlines()
        return sorted(json.loads(line)["n"] for line in lines)

    def leftovers(self):
        return self.gcs.staged()


SINKS = [{}, {"target_file_size": 1500, "buffer_size": 1 << 16}, {"if_absent": True}]


class TestSink(SinkContract):
    covers = ("gcs",)

    @pytest.fixture(params=SINKS, ids=["plain", "many", "if-absent"])
    def case(self, request, gcs):
        made = GcsSinkCase(gcs, request.param)
        yield made
        for sink in made.built:
            sink.close()


# -- listing and reading --------------------------------------------------------------------------


def test_listings_come_in_pages_and_begin_behind_a_key(gcs):
    names = [f"k/{number:04}" for number in range(30)] + ["k/z", "k/é", "k/\uffee", "k/😀"]
    for name in names:
        gcs.put(name, b"x")
    gcs.put("other", b"x")
    gcs.put(".ktrans-staging/k/0001~ab", b"x")
    with build_source(gcs) as source:
        import ktrans_gcp.gcs_store as module

        page, module._PAGE = module._PAGE, 10
        try:
            found = [info.key for info in source.store.list("k/")]
            assert found == sorted(names, key=str.encode)
            before = len(gcs.proxy.requests)
            assert [i.key for i in source.store.list("k/", "k/0007")] == found[8:]
            assert len(gcs.proxy.requests) - before >= 3
            assert "k/" not in {info.key for info in source.store.list("")}
            assert not any(i.key.startswith(".ktrans") for i in source.store.list(""))
        finally:
            module._PAGE = page
        level = list(source.store.level(""))
        assert "k/" in level
        assert ".ktrans-staging/" not in level
        info = source.store.stat("other")
        assert (info.size, info.modified.tzinfo is not None) == (1, True)
        assert source.store.stat("nothing") is None


def test_a_log_sinks_layout_is_listed_by_day_and_late_shards_are_found(gcs):
    """The folders that Cloud Logging makes, and an addendum that comes after the first look."""
    log = "compute.googleapis.com/vpc_flows"
    today = datetime.now(UTC).date()
    for age in range(28):
        day = today - timedelta(days=age)
        gcs.put(f"{log}/{day:%Y/%m/%d}/10:00:00_10:59:59_S0.json", b"{}\n")
    memory = PlainMemory()
    with build_source(gcs, prefix=f"{log}/") as source:
        plan = source.plan(None, memory, Budget())
        assert len(plan.splits) == 28
        memory.record(plan)
    late = f"{log}/{today:%Y/%m/%d}/10:00:00_10:59:59_A0:1772280000.json"
    gcs.put(late, b"{}\n")
    before = len(gcs.proxy.requests)
    with build_source(gcs, prefix=f"{log}/") as source:
        again = source.plan(json.loads(json.dumps(plan.position)), memory, Budget())
        assert [split.data["key"] for split in again.splits] == [late]
    days = {q["prefix"][0] for _, _, q in gcs.proxy.requests[before:] if "delimiter" not in q}
    assert f"{log}/{today:%Y/%m/%d}/" in days
    assert len(days) <= 4


def test_what_was_replaced_or_removed_since_the_plan_is_told_apart(gcs):
    first = gcs.put("a", b"one")
    with build_source(gcs) as source:
        with closing(source.store.open("a", str(first.generation), 0, 3)) as body:
            assert body.read(10) == b"one"
        gcs.put("a", b"two")
        with pytest.raises(SplitChangedError) as caught:
            source.store.open("a", str(first.generation), 0, 3)
        assert caught.value.code == "split_changed"
        gcs.get("a").delete()
        with pytest.raises(SplitChangedError) as caught:
            source.store.open("a", str(first.generation), 0, 3)
        assert caught.value.code == "split_vanished"


def test_stored_bytes_come_as_they_are_whatever_their_encoding(gcs):
    """Cloud Storage would inflate such objects unasked, and then their size would not be true."""
    packed = gzip.compress(b"line\n" * 100)
    gcs.put("a.json", packed, content_encoding="gzip")
    with build_source(gcs) as source:
        plan = source.plan(None, PlainMemory(), Budget())
        assert read(source, plan.splits[0]) == packed


def test_reading_goes_on_where_a_connection_broke(gcs):
    data = bytes(range(256)) * 4000
    gcs.put("big", data)
    gcs.proxy.once(media, gcs.Fault(cut=100_000), times=3)
    with build_source(gcs, part_size=1 << 19) as source:
        plan = source.plan(None, PlainMemory(), Budget())
        assert read(source, plan.splits[0]) == data
    ranges = [request for request in gcs.proxy.requests if media(*request)]
    assert len(ranges) >= 5


@pytest.mark.parametrize("status", [429, 503])
def test_a_busy_store_is_asked_again(gcs, status):
    gcs.put("a", b"line\n")
    left = gcs.proxy.once(media, gcs.Fault(status, headers=[("Retry-After", "0")]), times=2)
    more = gcs.proxy.once(listing, gcs.Fault(status), times=2)
    with build_source(gcs) as source:
        plan = source.plan(None, PlainMemory(), Budget())
        assert read(source, plan.splits[0]) == b"line\n"
    assert not left
    assert not more


def test_the_wait_that_was_asked_for_is_passed_on(gcs):
    info = gcs.put("a", b"line\n")
    gcs.proxy.once(media, gcs.Fault(429, headers=[("Retry-After", "17")]))
    with build_source(gcs) as source, pytest.raises(RetryableError) as caught:
        source.store.open("a", str(info.generation), 0, 5)
    assert caught.value.retry_after_secs == 17


def test_no_permission_for_one_object(gcs):
    info = gcs.put("a", b"line\n")
    gcs.proxy.once(media, gcs.Fault(403))
    with build_source(gcs) as source, pytest.raises(AccessError) as caught:
        source.store.open("a", str(info.generation), 0, 5)
    assert "objectViewer" in caught.value.hint


def test_a_host_that_is_gone_meanwhile_may_come_back(gcs):
    with (
        build_source(gcs, endpoint="http://127.0.0.1:9") as source,
        pytest.raises(RetryableError),
    ):
        source.store.open("a", "1", 0, 5)


_ENCRYPTED = json.dumps(
    {"error": {"errors": [{"reason": "resourceIsEncryptedWithCustomerEncryptionKey"}]}}
).encode()


def test_an_object_with_a_key_of_others_can_never_be_read(gcs):
    info = gcs.put("a", b"line\n")
    gcs.proxy.once(media, gcs.Fault(400, body=_ENCRYPTED))
    with build_source(gcs) as source, pytest.raises(RejectError):
        source.store.open("a", str(info.generation), 0, 5)


def test_an_answer_that_is_not_the_range_is_not_taken(gcs):
    info = gcs.put("a", b"line\n")
    gcs.proxy.once(media, gcs.Fault(200, body=b"all of it, and more"))
    with build_source(gcs) as source, pytest.raises(RetryableError, match="range"):
        source.store.open("a", str(info.generation), 1, 4)


# -- writing --------------------------------------------------------------------------------------


def test_large_objects_go_in_parts_and_keep_their_bytes(gcs):
    part = 256 << 10
    sink = build_sink(gcs, part_size=part)
    new = NewObject("out/big", "mark-1", content_type="text/x-big")
    parts = [bytes([number]) * part for number in range(3)] + [b"rest"]
    upload = sink.target.begin(new)
    for one in parts:
        upload.write(one)
    token = json.loads(json.dumps(upload.stage()))
    assert gcs.data() == {}
    sink.target.publish(new, token)
    assert gcs.data() == {"out/big": b"".join(parts)}
    blob = gcs.get("out/big")
    assert blob.content_type == "text/x-big"
    assert gcs.staged() == []
    sink.close()


def test_an_upload_that_is_given_up_leaves_nothing(gcs):
    sink = build_sink(gcs, part_size=256 << 10)
    for parts in (1, 3):
        upload = sink.target.begin(NewObject("out/x", "m"))
        for _ in range(parts):
            upload.write(b"x" * (256 << 10))
        upload.abort()
        upload.abort()
    assert gcs.staged() == []
    assert gcs.data() == {}
    sink.close()


@pytest.mark.parametrize("status", [429, 503])
def test_faults_on_the_way_to_the_commit_are_waited_out(gcs, status):
    sink = build_sink(gcs)
    sink.prepare(EPOCH)
    left = gcs.proxy.once(lambda m, p, q: "/upload/" in p, gcs.Fault(status), times=2)
    receipts = [run(sink, FIRST)]
    assert not left
    left = gcs.proxy.once(rewriting, gcs.Fault(status), times=2)
    sink.commit(EPOCH, receipts)
    assert not left
    lines = b"".join(gcs.data().values()).splitlines()
    assert sorted(json.loads(line)["n"] for line in lines) == numbers(FIRST)
    sink.close()


def test_an_answer_that_got_lost_amid_the_commit_changes_nothing(gcs):
    """The rewrite happened, but nobody heard: the next try finds the object as its own."""
    sink = build_sink(gcs, if_absent=True)
    sink.prepare(EPOCH)
    receipts = [run(sink, FIRST)]
    gcs.proxy.once(rewriting, gcs.Fault(cut=0))
    sink.commit(EPOCH, receipts)
    lines = b"".join(gcs.data().values()).splitlines()
    assert sorted(json.loads(line)["n"] for line in lines) == numbers(FIRST)
    assert gcs.staged() == []
    sink.close()


def test_an_object_of_somebody_else_is_replaced_or_stops_the_run(gcs):
    gcs.put("out/x", b"theirs")
    for if_absent in (True, False):
        sink = build_sink(gcs, if_absent=if_absent)
        new = NewObject("out/x", "mine", if_absent=if_absent)
        upload = sink.target.begin(new)
        upload.write(b"ours")
        token = upload.stage()
        if if_absent:
            with pytest.raises(RunError) as caught:
                sink.target.publish(new, token)
            assert caught.value.code == "object_exists"
            assert gcs.data() == {"out/x": b"theirs"}
            sink.target.discard(new.key, token)
        else:
            sink.target.publish(new, token)
            assert gcs.data() == {"out/x": b"ours"}
        sink.close()
    assert gcs.staged() == []


def test_an_object_of_an_earlier_attempt_is_no_strangers(gcs):
    sink = build_sink(gcs, if_absent=True)
    for attempt in ("first", "second"):
        new = NewObject("out/x", f"flows.sink.00000001-0000 {attempt}", if_absent=True)
        upload = sink.target.begin(new)
        upload.write(attempt.encode())
        sink.target.publish(new, upload.stage())
        assert gcs.data() == {"out/x": attempt.encode()}
    assert gcs.staged() == []
    sink.close()


def test_a_staged_object_that_is_gone_is_told(gcs):
    sink = build_sink(gcs)
    sink.prepare(EPOCH)
    receipts = [run(sink, FIRST)]
    for name in gcs.staged():
        gcs.get(name).delete()
    with pytest.raises(StageLostError):
        sink.commit(EPOCH, receipts)
    sink.close()


def test_class_and_key_of_the_objects_are_asked_for(gcs):
    key = "projects/p/locations/eu/keyRings/flows/cryptoKeys/lake"
    sink = build_sink(gcs, storage_class="NEARLINE", kms_key=key, user_project="payer")
    sink.prepare(EPOCH)
    sink.commit(EPOCH, [run(sink, FIRST)])
    uploads = [query for _, path, query in gcs.proxy.requests if "/upload/" in path]
    rewrites = [query for _, path, query in gcs.proxy.requests if "/rewriteTo/" in path]
    assert uploads
    assert all(query["kmsKeyName"] == [key] for query in uploads)
    assert all(query["destinationKmsKeyName"] == [key] for query in rewrites)
    assert [r for r in gcs.proxy.requests if r[2].get("userProject") != ["payer"]] == []
    sink.close()


def test_an_empty_batch_is_no_object(gcs):
    sink = build_sink(gcs)
    writer = sink.writer(FIRST)
    writer.write(writer.encode(pa.RecordBatch.from_pylist([], schema=SCHEMA)))
    assert writer.finish().rows == 0
    assert gcs.staged() == []
    sink.close()


# -- validate --connect ---------------------------------------------------------------------------


class TestCheck:
    def test_all_is_well_and_nothing_is_left(self, gcs):
        with build_source(gcs) as source, build_sink(gcs) as sink:
            source.check()
            sink.check()
        assert gcs.data() == {}
        assert gcs.staged() == []

    def test_there_is_no_bucket(self, gcs):
        with (
            build_source(gcs, bucket="no-such-bucket") as source,
            build_sink(gcs, bucket="no-such-bucket") as sink,
        ):
            for component in (source, sink):
                with pytest.raises(ConfigError) as caught:
                    component.check()
                assert "no-such-bucket" in caught.value.message
                assert "create the bucket" in caught.value.hint

    def test_there_is_no_permission(self, gcs):
        gcs.proxy.faults.append(lambda method, path, query: gcs.Fault(403))
        with build_source(gcs) as source, build_sink(gcs) as sink:
            for component, role in ((source, "objectViewer"), (sink, "objectUser")):
                with pytest.raises(AccessError) as caught:
                    component.check()
                assert role in caught.value.hint

    def test_nobody_answers(self, gcs):
        with (
            build_source(gcs, endpoint="http://127.0.0.1:9") as source,
            pytest.raises(UnavailableError),
        ):
            source.check()

    def test_credentials_that_are_none(self, gcs, tmp_path):
        secret = tmp_path / "key.json"
        secret.write_text('{"type": "service_account", "private_key": "hush-hush"}')
        options = {"bucket": gcs.name, "credentials_file": str(secret)}
        source = GcsSource(GcsSourceConfig(**options), Context("p", "source"))
        with source, pytest.raises(ConfigError) as caught:
            source.check()
        assert "hush" not in caught.value.message
        assert caught.value.field == "credentials_file"


# -- whole runs -----------------------------------------------------------------------------------


@pytest.mark.slow
def test_twenty_kills_lose_nothing_and_repeat_nothing(gcs, site, entry):
    """SIGKILL after so many requests, wherever that is; new objects come whenever a run is done."""
    today = datetime.now(UTC)
    count = 0

    def more(objects):
        nonlocal count
        for _ in range(objects):
            lines = [entry(count + at) for at in range(40)]
            count += 40
            key = f"logs/{today:%Y/%m/%d}/{count:06}_S0.json"
            gcs.put(key, gzip.compress("\n".join(lines).encode()))

    more(30)
    site.write_config(
        gcs.options(prefix="logs/"),
        [
            gcs.options(
                id="lake",
                path="out/date={start_time:%Y-%m-%d}/",
                format={"type": "jsonl"},
                if_absent=True,
            )
        ],
        epoch_splits=6,
        task_size=4000,
    )
    rng = random.Random(11)
    kills = 0
    while kills < 20:
        before, wanted = len(gcs.proxy.requests), rng.randrange(1, 40)
        process = site.start()
        while process.poll() is None and len(gcs.proxy.requests) - before < wanted:
            time.sleep(0.002)
        if process.poll() is None:
            process.send_signal(signal.SIGKILL)
            kills += 1
        _, said = process.communicate()
        if process.returncode >= 0:
            assert process.returncode == 0, said.decode()
            more(15)
    # What a killed process had sent may arrive after the next one has tidied up; the one after that
    # finds it.
    gcs.proxy.settle()
    more(1)
    assert site.run() == 0, site.stderr
    rows = Counter()
    for data in gcs.data("out/").values():
        rows.update(json.loads(line)["bytes"] for line in data.splitlines())
    assert set(rows) == set(range(count))
    assert max(rows.values()) == 1
    assert gcs.staged() == []
