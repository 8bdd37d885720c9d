"""Rows gathered by partition: all of them, in order, whatever goes to the disk and when."""

import errno
import mmap
import os
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ktrans.api import RetryableError
from ktrans.kit.files.gather import Block, Gather

TEXT = pa.dictionary(pa.int8(), pa.string())
SCHEMA = pa.schema(
    [
        ("n", pa.int64()),
        ("text", TEXT),
        ("plain", pa.string()),
        ("none", pa.dictionary(pa.int32(), pa.string())),
        ("map", pa.map_(pa.string(), pa.string())),
    ]
)

texts = st.one_of(st.none(), st.sampled_from(["a", "b", "", "ü"]))
row = st.tuples(
    st.integers(0, 5), texts, texts, st.lists(st.tuples(st.just("k"), st.just("v")), max_size=2)
)
steps = st.lists(
    st.one_of(
        st.lists(row, min_size=1, max_size=12),  # a block
        st.sets(st.integers(0, 5)),  # partitions to take, the rest goes to the disk
    ),
    max_size=12,
)


def block(rows):
    keys = sorted({row[0] for row in rows})
    columns = [
        pa.array(range(len(rows)), pa.int64()),
        pa.array([row[1] for row in rows], pa.string()).dictionary_encode().cast(TEXT),
        pa.array([row[2] for row in rows], pa.string()),
        pa.nulls(len(rows), SCHEMA.field("none").type),
        pa.array([row[3] for row in rows], SCHEMA.field("map").type),
    ]
    batch = pa.RecordBatch.from_arrays(columns, schema=SCHEMA)
    numbers = np.array([keys.index(row[0]) for row in rows], np.int32)
    return Block.of([(str(key),) for key in keys], numbers, batch), batch


def by_key(pieces, into):
    for (key,), rows in pieces:
        rows.validate(full=True)
        assert rows.schema == SCHEMA
        used = set(rows["text"].to_pylist()) - {None}
        assert set(rows["text"].dictionary.to_pylist()) == used, "a value of another partition"
        into.setdefault(key, []).extend(rows.to_pylist())


@given(steps)
def test_each_partition_gets_its_rows_in_their_order(tmp_path_factory, script):
    folder = tmp_path_factory.mktemp("spilled")
    gather, expected, found = Gather(lambda: folder), {}, {}
    for step in script:
        if isinstance(step, list):
            made, batch = block(step)
            gather.add(made)
            for (key, *_), values in zip(step, batch.to_pylist(), strict=True):
                expected.setdefault(str(key), []).append(values)
        else:
            there = {key for (key,), _ in gather.in_memory()}
            if there:
                by_key(gather.take([(key,) for key in map(str, step) if key in there]), found)
                assert gather.held_bytes == 0
    waiting = {key for key in expected if gather.has((key,))}
    assert waiting == {key for key in expected if len(expected[key]) > len(found.get(key, []))}
    by_key(gather.take_all(), found)
    assert found == expected
    assert list(folder.iterdir()) == []


def test_a_column_may_change_between_text_and_dictionary_and_in_its_place(tmp_path):
    gather = Gather(lambda: tmp_path)
    coded = pa.array(["x", "y"]).dictionary_encode()
    gather.add(
        Block.of([("k",)], np.zeros(2, np.int32), pa.record_batch({"a": coded, "b": [1, 2]}))
    )
    plain = pa.record_batch({"b": [3], "a": ["y"]})
    gather.add(Block.of([("k",)], np.zeros(1, np.int32), plain))
    [(_, rows)] = gather.take_all()
    assert rows.to_pydict() == {"a": ["x", "y", "y"], "b": [1, 2, 3]}


def test_a_full_disk_is_told_with_the_folder(tmp_path, monkeypatch):
    gather = Gather(lambda: tmp_path)
    gather.add(block([(1, "a", "b", [])])[0])

    def full(*_args, **_options):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr("ktrans.kit.files.spill_file.mmap.mmap", full)
    with pytest.raises(RetryableError, match=str(tmp_path)) as caught:
        list(gather.take([]))
    assert caught.value.code == "disk_full"
    gather.drop()


def test_rows_are_dropped_although_the_disk_is_full(tmp_path, monkeypatch):
    disk = "ktrans.kit.files.spill_file.tempfile.TemporaryFile"
    monkeypatch.setattr(disk, lambda **_options: Path("/dev/full").open("w+b"))  # noqa: SIM115
    gather = Gather(lambda: tmp_path)
    gather.add(block([(1, "a", "b", [])])[0])
    before = open_files()
    with pytest.raises(RetryableError) as caught:
        list(gather.take([]))
    assert caught.value.code == "disk_full"
    gather.drop()
    assert open_files() == before


def test_runs_on_the_disk_take_few_open_files(tmp_path):
    gather = Gather(lambda: tmp_path)
    before = open_files()
    for at in range(300):
        gather.add(block([(at % 3, "a", str(at), [])])[0])
        list(gather.take([]))
    assert open_files() <= before + 2
    found = {key: [row["plain"] for row in rows] for key, rows in joined(gather).items()}
    assert found == {str(key): [str(at) for at in range(key, 300, 3)] for key in range(3)}
    assert open_files() == before


def test_runs_beyond_what_is_mapped_at_a_time(tmp_path, monkeypatch):
    monkeypatch.setattr("ktrans.kit.files.spill_file._MAP_BYTES", mmap.ALLOCATIONGRANULARITY)
    gather = Gather(lambda: tmp_path)
    for at in range(200):
        gather.add(block([(0, "a", f"{at:0500}", [])])[0])
        list(gather.take([]))
    assert [int(row["plain"]) for row in joined(gather)["0"]] == list(range(200))


def open_files():
    return sum(1 for _ in Path("/dev/fd").iterdir())


def joined(gather):
    found = {}
    by_key(gather.take_all(), found)
    return found
