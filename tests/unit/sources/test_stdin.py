"""The stdin source: what a killed run leaves behind, slow streams, compressed streams."""

from __future__ import annotations

import contextlib
import gzip
import os
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ktrans.api import AccessError, Budget, Context, SplitChangedError
from ktrans.kit.spool.segments import Segment, Spool
from ktrans.sources.stdin import StdinSource, StdinSourceConfig
from ktrans.testing.contracts.sources import PlainMemory
from tests.examples import examples


def recorded(plan):
    memory = PlainMemory()
    memory.record(plan)
    return memory


class Nothing:
    def recall(self, keys):
        return {}


def source(folder, data: bytes | None = b"", *, ephemeral=False, **options) -> StdinSource:
    """Build a source over a stream of these bytes; None keeps the stream open and silent."""
    read, write = os.pipe()

    def feed():
        view = memoryview(data or b"")
        while view:
            view = view[os.write(write, view) :]
        if data is not None:
            os.close(write)

    threading.Thread(target=feed, daemon=True).start()
    config = StdinSourceConfig(**options)
    return StdinSource(
        config, Context(pipeline="p/1", base_dir=folder, ephemeral=ephemeral), fd=read
    )


def contents(src: StdinSource, plan) -> list[tuple[str, int, bytes]]:
    out = []
    for split in plan.splits:
        with src.open(split) as payload, payload.open() as stream:
            out.append((split.uri, payload.first_line, stream.read()))
    return out


def spooled(folder) -> list[str]:
    return sorted(path.name for path in folder.rglob("*") if path.is_file())


def test_segments_end_at_line_ends_and_know_their_lines(tmp_path):
    src = source(tmp_path, b"aa\nbb\ncc\ndd\nee", segment_size=5)
    plan = src.plan(None, Nothing(), Budget())
    uri = "stdin://p%2F1/1"
    assert contents(src, plan) == [
        (uri, 1, b"aa\nbb\n"),
        (uri, 3, b"cc\ndd\n"),
        (uri, 5, b"ee"),
    ]
    payload = src.open(plan.splits[2])
    assert payload.offset == 12
    assert payload.head(100) == b"aa\nbb\n"


def test_a_killed_run_reads_the_same_segments_again_and_then_the_new_stream(tmp_path):
    first = source(tmp_path, b"1\n2\n3\n4\n", segment_size=4)
    plan = first.plan(None, Nothing(), Budget(splits=1))
    first.plan(plan.position, Nothing(), Budget())  # spooled further, but never recorded
    second = source(tmp_path, b"5\n6\n", segment_size=4)
    assert contents(second, plan) == [("stdin://p%2F1/1", 1, b"1\n2\n")]
    memory = recorded(plan)
    after = second.plan(plan.position, memory, Budget())
    assert contents(second, after) == [
        ("stdin://p%2F1/1", 3, b"3\n4\n"),
        ("stdin://p%2F1/3", 1, b"5\n6\n"),
    ]
    second.commit(after)
    memory.record(after)
    assert second.plan(after.position, memory, Budget()) is None
    assert spooled(tmp_path) == []


def test_a_segment_that_was_quarantined_stays_and_is_planned_again(tmp_path):
    src = source(tmp_path, b"1\n2\n3\n4\n", segment_size=4)
    plan = src.plan(None, Nothing(), Budget())
    assert len(plan.splits) == 2
    memory = recorded(plan)
    del memory[plan.splits[0].key]  # as the engine leaves out what could not be read
    src.commit(plan)
    skip = frozenset({plan.splits[0].key})
    assert src.plan(plan.position, memory, Budget(skip=skip)) is None
    again = src.plan(plan.position, memory, Budget())
    assert contents(src, again) == [("stdin://p%2F1/1", 1, b"1\n2\n")]
    assert again.position["next"] == plan.position["next"]


def test_what_a_killed_process_was_reading_is_not_lost(tmp_path):
    code = (
        "import sys; from pathlib import Path\n"
        "from ktrans.api import Budget, Context\n"
        "from ktrans.sources.stdin import StdinSource, StdinSourceConfig\n"
        "s = StdinSource(StdinSourceConfig(segment_age=60), Context(pipeline='p', base_dir=Path(sys.argv[1])))\n"
        "from ktrans.testing.contracts.sources import PlainMemory\n"
        "s.plan(None, PlainMemory(), Budget())\n"
    )
    child = subprocess.Popen([sys.executable, "-c", code, str(tmp_path)], stdin=subprocess.PIPE)
    child.stdin.write(b"1\n2\nnot whole")
    child.stdin.flush()
    deadline = time.monotonic() + 180
    while sum(p.stat().st_size for p in tmp_path.rglob("*.open")) < 13:
        assert time.monotonic() < deadline
        time.sleep(0.02)
    child.kill()
    child.wait()
    child.stdin.close()
    read, write = os.pipe()
    os.close(write)
    src = StdinSource(StdinSourceConfig(), Context(pipeline="p", base_dir=tmp_path), fd=read)
    assert [data for _, _, data in contents(src, src.plan(None, Nothing(), Budget()))] == [
        b"1\n2\nnot whole"
    ]


@settings(
    max_examples=examples(50),
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(
    lines=st.lists(st.integers(0, 30).map(lambda n: b"x" * n), max_size=30),
    size=st.integers(1, 100),
    dies_at=st.integers(0, 60),
)
def test_whatever_was_read_is_in_the_spool_when_a_process_dies(
    tmp_path_factory, monkeypatch, lines, size, dies_at
):
    """It dies between any two system calls that change the spool, or before any reading."""
    folder, calls, given_out, writers = tmp_path_factory.mktemp("s"), 0, bytearray(), []
    data = b"\n".join([b"head", *lines])

    class Died(BaseException):
        pass

    def dying(name, call):
        def instead(*args, **options):
            nonlocal calls
            calls += 1
            if calls > dies_at:
                raise Died
            result = call(*args, **options)
            if name == "read":
                given_out.extend(result)
            if name == "begin":
                writers.append(result)
            return result

        return instead

    src = source(folder, data, segment_size=size)
    with monkeypatch.context() as patched:
        patched.setattr("ktrans.sources.files.stream_reader._SMALL", 7)
        patched.setattr("ktrans.sources.files.stream_reader._PIECE", 7)
        for place, name in (("os", "read"), ("os", "fsync"), ("pathlib.Path", "replace")):
            owner = os if place == "os" else Path
            patched.setattr(owner, name, dying(name, getattr(owner, name)))
        begin = Spool.begin
        patched.setattr(Spool, "begin", dying("begin", begin))
        plan = None
        with contextlib.suppress(Died):
            plan = src.plan(None, Nothing(), Budget(splits=1000))
    for writer in writers:  # the kernel does so
        writer._close()
    left = source(folder, b"")
    after = left.plan(None, Nothing(), Budget(splits=1000))
    found = b"" if after is None else b"".join(part for _, _, part in contents(left, after))
    assert found == bytes(given_out)
    assert plan is None or found == data


def test_a_process_that_died_between_two_segments_left_nothing_twice(tmp_path):
    spool = Spool(tmp_path)
    for ahead, expected in ((b"", [b"1\n2\n3"]), (b"3", [b"1\n2\n", b"3"])):
        first = spool.begin(Segment(1, 1, 0, 1))
        first.write(b"1\n2\n")
        first.ahead(b"3")
        second = spool.begin(Segment(2, 1, 4, 3))
        second.ahead(ahead)
        spool.adopt()
        assert [spool.path(one).read_bytes() for one in spool.segments()] == expected
        spool.clear()


def test_a_slow_stream_is_handed_on_after_a_while(tmp_path):
    read, write = os.pipe()
    config = StdinSourceConfig(segment_age=0.05)
    src = StdinSource(config, Context(pipeline="p", base_dir=tmp_path), fd=read)
    os.write(write, b"1\n2\nhalf")
    plan = src.plan(None, Nothing(), Budget())
    assert [d for _, _, d in contents(src, plan)] == [b"1\n2\n"]
    os.write(write, b" of it\n")
    os.close(write)
    plan = src.plan(plan.position, recorded(plan), Budget())
    assert contents(src, plan) == [("stdin://p/1", 3, b"half of it\n")]


def test_a_compressed_stream_is_one_segment(tmp_path):
    data = gzip.compress(os.urandom(100_000))
    src = source(tmp_path, data, segment_size=100)
    assert [d for _, _, d in contents(src, src.plan(None, Nothing(), Budget()))] == [data]


@pytest.mark.parametrize("data", [b"", b"\n", b"x", b"x" * 3_000_000])
def test_streams_of_unusual_shape(tmp_path, data):
    src = source(tmp_path, data, segment_size=1000)
    plan = src.plan(None, Nothing(), Budget())
    assert b"".join(d for _, _, d in contents(src, plan)) == data if data else plan is None


@settings(
    max_examples=examples(30),
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(
    lines=st.lists(st.binary(max_size=30).map(lambda b: b.replace(b"\n", b"")), max_size=40),
    size=st.integers(1, 200),
    ended=st.booleans(),
)
def test_nothing_is_lost_and_lines_are_counted(tmp_path_factory, lines, size, ended):
    data = b"\n".join([b"head", *lines]) + (b"\n" if ended else b"")
    src = source(tmp_path_factory.mktemp("s"), data, segment_size=size)
    parts = contents(src, src.plan(None, Nothing(), Budget()))
    assert b"".join(part for _, _, part in parts) == data
    line = 1
    for _, first, part in parts[:-1]:
        assert first == line
        assert part.endswith(b"\n")
        line += part.count(b"\n")


def test_a_segment_that_was_removed_is_said_to_be_gone(tmp_path):
    src = source(tmp_path, b"1\n")
    plan = src.plan(None, Nothing(), Budget())
    for path in tmp_path.rglob("*.seg"):
        path.unlink()
    with pytest.raises(SplitChangedError, match="gone"):
        src.open(plan.splits[0])


def test_a_spool_folder_that_cannot_be_made_is_named(tmp_path):
    (tmp_path / "file").touch()
    src = source(tmp_path, spool_dir="file/spool")
    with pytest.raises(AccessError, match="file/spool"):
        src.check()


def test_a_look_leaves_the_spool_of_a_run_alone(tmp_path):
    spool = tmp_path / ".ktrans/spool/p%2F1"
    spool.mkdir(parents=True)
    (spool / "00000001-00000001-0-1.open").write_bytes(b"a live run writes this\n")
    before = spooled(tmp_path)
    src = source(tmp_path, b"aa\nbb\n", ephemeral=True)
    plan = src.plan(None, Nothing(), Budget())
    assert [data for _, _, data in contents(src, plan)] == [b"aa\nbb\n"]
    folder = src._spool.folder
    assert spooled(tmp_path) == before
    src.close()
    assert not folder.exists()


def test_a_segment_that_was_rejected_whole_is_kept_until_it_is_forgotten(tmp_path):
    src = source(tmp_path, b"1\n2\n3\n4\n", segment_size=4)
    plan = src.plan(None, Nothing(), Budget())
    memory = recorded(plan)
    memory[plan.splits[0].key] = {"rejected": True}  # as the engine marks it
    assert src.plan(plan.position, memory, Budget()) is None
    assert src.plan(plan.position, memory, Budget()) is None
    del memory[plan.splits[0].key]  # as `rejects replay` does
    again = src.plan(plan.position, memory, Budget())
    assert contents(src, again) == [("stdin://p%2F1/1", 1, b"1\n2\n")]


def test_what_was_read_ahead_is_kept_when_a_run_ends(tmp_path):
    first = source(tmp_path, b"1\n2\n3\n4\n", segment_size=2)
    plan = first.plan(None, Nothing(), Budget(splits=1))
    first.commit(plan)
    first.close()
    second = source(tmp_path, b"")
    after = second.plan(plan.position, recorded(plan), Budget())
    assert b"".join(data for _, _, data in contents(second, after)) == b"2\n3\n4\n"
