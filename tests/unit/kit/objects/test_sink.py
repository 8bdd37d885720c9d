"""The object sink: what it uploads, how little it holds, and what a failure leaves behind."""

import gzip
import json
import threading
import time

import pyarrow as pa
import pytest

from ktrans.api import ConfigError, RetryableError, RunError, StageLostError
from ktrans.kit.objects.store import NewObject
from ktrans.testing.contracts.sinks import (
    EPOCH,
    FIRST,
    SCHEMA,
    SECOND,
    batches,
    numbers,
    revived,
    run,
)

KINDS = ["begin", "write", "stage", "publish", "discard", "leftovers"]


class Crash(BaseException):
    """What is raised where a process would die."""


def rows(site):
    lines = b"".join(site.bucket.data().values()).splitlines()
    return sorted(json.loads(line)["n"] for line in lines)


def bound(site, **options):
    sink = site.sink(**options)
    sink.bind(SCHEMA)
    return sink


def epoch(site, **options):
    """Do an epoch as the engine does, with another try for whatever may pass."""
    for _ in range(20):
        sink = bound(site, **options)
        try:
            sink.prepare(EPOCH)
            writers = [sink.writer(task) for task in (FIRST, SECOND)]
            receipts = []
            try:
                for task, writer in zip((FIRST, SECOND), writers, strict=True):
                    for batch in batches(task):
                        writer.write(writer.encode(batch))
                    receipts.append(writer.finish())
            except RetryableError:
                for writer in writers:
                    writer.abort()
                raise
        except RetryableError:
            continue
        finally:
            sink.close()
        break
    for _ in range(20):
        with bound(site, **options) as sink:
            try:
                sink.commit(EPOCH, [revived(receipt) for receipt in receipts])
            except RetryableError:
                continue
        return
    raise AssertionError("never done")


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("at", [1, 2, 5])
def test_an_error_that_passes_costs_another_attempt_and_nothing_else(site, kind, at):
    seen = 0
    lock = threading.Lock()

    def fail(this, _key):
        nonlocal seen
        with lock:
            seen += this == kind
            return RetryableError("busy") if this == kind and seen == at else None

    site.bucket.fail = fail
    site.bucket.part_bytes = 200
    epoch(site)
    assert rows(site) == numbers(FIRST, SECOND)
    assert not site.bucket.staged


@pytest.mark.parametrize("at", range(1, 40, 3))
def test_a_process_that_dies_anywhere_leaves_nothing_half_visible(site, at):
    """Nothing more reaches the bucket from the moment of death; then the next run takes over."""
    site.bucket.part_bytes = 500
    count = 0
    lock = threading.Lock()

    def fail(_kind, _key):
        nonlocal count
        with lock:
            count += 1
            return Crash() if count >= at else None

    site.bucket.fail = fail
    receipts, committing = [], False
    dying = bound(site)
    try:
        dying.prepare(EPOCH)
        receipts = [run(dying, FIRST), run(dying, SECOND)]
        committing = True
        dying.commit(EPOCH, receipts)
    except Crash:
        pass
    if not committing:
        assert rows(site) == []
    site.bucket.fail = lambda _kind, _key: None
    with bound(site) as again:
        if not committing:
            again.prepare(EPOCH)
            receipts = [run(again, FIRST), run(again, SECOND)]
        again.commit(EPOCH, [revived(receipt) for receipt in receipts])
    dying.close()
    assert rows(site) == numbers(FIRST, SECOND)
    assert not site.bucket.staged


def test_objects_are_named_by_task_and_carry_their_type_and_mark(site):
    with bound(site, compression="gzip") as sink:
        sink.commit(EPOCH, [run(sink, FIRST)])
    names = ["out/a0/", "out/a1/", "out/a2/"]
    assert list(site.bucket.data()) == [
        f"{name}flows.sink.00000001-0000-00000.jsonl.gz" for name in names
    ]
    stored = site.bucket.objects[f"{names[0]}flows.sink.00000001-0000-00000.jsonl.gz"]
    assert gzip.decompress(stored.data).count(b"\n") == 42
    assert stored.metadata["content_type"] == "application/gzip"
    assert stored.metadata["ktrans_mark"].startswith("flows.sink.00000001-0000 ")


def test_the_receipt_names_what_was_written(site):
    with bound(site, path="out/") as sink:
        receipt = run(sink, FIRST)
        sink.commit(EPOCH, [receipt])
    (data,) = site.bucket.data().values()
    assert receipt.outputs == ("mem://bucket/out/flows.sink.00000001-0000-00000.jsonl",)
    assert receipt.bytes == len(data)


def test_somebody_elses_object_is_replaced_unless_that_is_refused(site):
    with bound(site, path="out/", if_absent=True) as sink:
        receipt = run(sink, FIRST)
        site.bucket.put(receipt.data["files"][0]["key"], b"theirs")
        with pytest.raises(RunError) as refused:
            sink.commit(EPOCH, [receipt])
    assert refused.value.code == "object_exists"
    with bound(site, path="out/") as sink:
        sink.commit(EPOCH, [receipt])
    assert rows(site) == numbers(FIRST)


def test_a_stage_that_somebody_removed_is_lost(site):
    with bound(site) as sink:
        receipt = run(sink, FIRST)
        site.bucket.staged.popitem()
        with pytest.raises(StageLostError):
            sink.commit(EPOCH, [receipt])
        sink.prepare(EPOCH)
        sink.commit(EPOCH, [run(sink, FIRST)])
    assert rows(site) == numbers(FIRST)


def test_what_an_earlier_attempt_published_is_no_strangers_object(site):
    """Half of a commit happened, the rest of the stage was lost, and the epoch is done again."""
    with bound(site, if_absent=True) as sink:
        receipt = run(sink, FIRST)
        (lost, *_) = list(site.bucket.staged)
        del site.bucket.staged[lost]
        with pytest.raises(StageLostError):
            sink.commit(EPOCH, [receipt])
        assert 0 < len(rows(site)) < 120
        sink.prepare(EPOCH)
        again = revived(run(sink, FIRST))
        sink.commit(EPOCH, [again])
        sink.commit(EPOCH, [again])
    assert rows(site) == numbers(FIRST)
    assert not site.bucket.staged


def test_a_stranger_is_told_from_another_epoch_and_another_task_of_ours(site):
    new = NewObject("k", "p.sink.ab12-00000001-0000 f00d", if_absent=True)
    assert new.ours("p.sink.ab12-00000001-0000 beef")
    for mark in (None, "", "p.sink.ab12-00000001-0001 f00d", "p.sink.cd34-00000001-0000 f00d"):
        assert not new.ours(mark)


@pytest.mark.slow
def test_what_is_held_in_memory_and_under_way_is_bounded(site):
    """A hundred folders, parts that take their time, and room for a few of them."""
    site.bucket.part_bytes = 50_000
    under_way, most = 0, 0
    lock = threading.Lock()

    def slow(kind, _key):
        nonlocal under_way, most
        if kind == "write":
            with lock:
                under_way += 1
                most = max(most, under_way)
            time.sleep(0.002)
            with lock:
                under_way -= 1

    site.bucket.fail = slow
    held, held_by_uploads = [], []
    with bound(site, buffer_size=2_000_000, parallel_uploads=4) as sink:
        writer = sink.writer(FIRST)
        for number in range(40):
            batch = pa.record_batch(
                {
                    "account": pa.array([f"a{i % 100:03}" for i in range(5000)]),
                    "n": pa.array(range(number * 5000, number * 5000 + 5000)),
                }
            )
            writer.write(writer.encode(batch))
            held.append(writer._gather.held_bytes + writer._files.buffered_bytes)
            held_by_uploads.append(sum(len(f._buffer) for f in writer._area._files))
        receipt = writer.finish()
        sink.commit(EPOCH, [receipt])
    assert receipt.rows == 200_000
    assert 0 < max(held) <= 2_000_000
    assert max(held_by_uploads) <= 400_000
    assert len(receipt.outputs) == 100
    assert 1 < most <= 4
    assert rows(site) == list(range(200_000))


@pytest.mark.parametrize("path", ["/out/", "out//x/", "../out/", "./out/", "{account}/", "out"])
def test_paths_that_are_no_keys_are_refused(site, path):
    with pytest.raises((ValueError, ConfigError)):
        site.sink(path=path)


def test_check_and_close_need_no_upload(site):
    sink = site.sink()
    sink.check()
    sink.close()
    sink.close()
    assert set(site.bucket.requests) == {"check"}
