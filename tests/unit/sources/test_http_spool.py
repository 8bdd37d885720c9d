"""What a killed receiver had acknowledged is there afterwards, once, and nothing else."""

import os
import shutil

from hypothesis import given, settings
from hypothesis import strategies as st

from ktrans.kit.spool.seen_messages import SeenMessages
from ktrans.kit.spool.segments import Spool
from ktrans.sources.receiver.acknowledged import AcknowledgedSegment, finish_acknowledged

GROUPS = [(b"a 1\na 2\n", ["x"]), (b"b 1\n", []), (b"c 1\nc 2\nc 3\n", ["y", "z"])]


def begin(folder):
    spool = Spool(folder / "spool")
    spool.check()
    (spool.folder / "seen").mkdir(exist_ok=True)
    return spool, AcknowledgedSegment(spool, spool.folder / "seen", 4)


def recover(folder):
    """Return the bytes of the segment and the ids that the next run finds."""
    spool = Spool(folder / "spool")
    seen = SeenMessages(spool.folder / "seen", 100)
    finish_acknowledged(spool, spool.folder / "seen", seen)
    segments = spool.segments()
    seen.load(1, [segment.number for segment in segments])
    assert spool.unfinished() == []
    assert list(spool.folder.rglob("*.journal")) == []
    data = b"".join(spool.path(segment).read_bytes() for segment in segments)
    return data, {one for one in "xyz" if one in seen}


def states():
    """Return the bytes and ids after each number of groups."""
    data, ids, out = b"", set(), [(b"", set())]
    for more, named in GROUPS:
        data, ids = data + more, ids | set(named)
        out.append((data, ids))
    return out


@settings(max_examples=60)
@given(
    groups=st.integers(0, 3),
    torn=st.binary(max_size=30),
    cut=st.integers(0, 60),
    noise=st.booleans(),
)
def test_a_kill_at_any_moment(tmp_path_factory, groups, torn, cut, noise):
    """Bytes behind the last group were not acknowledged, and a torn line of the journal does not count."""
    folder = tmp_path_factory.mktemp("kill")
    spool, segment = begin(folder)
    for data, ids in GROUPS[:groups]:
        segment.add([data], ids)
    del segment
    [path] = spool.folder.glob("*.open")
    path.write_bytes(path.read_bytes() + torn)
    [journal] = spool.folder.rglob("*.journal")
    whole = journal.read_bytes()
    kept = whole[: max(len(whole) - cut, 0)] if noise else whole + torn.replace(b"\n", b"?")
    journal.write_bytes(kept)
    assert recover(folder) == states()[kept[: len(whole)].count(b"\n")]
    shutil.rmtree(folder)


def test_a_kill_between_the_ids_and_the_segment(tmp_path):
    spool, segment = begin(tmp_path)
    for data, ids in GROUPS:
        segment.add([data], ids)
    SeenMessages(spool.folder / "seen", 100).write(4, ["x", "y", "z"])
    del segment
    assert recover(tmp_path) == states()[3]


def test_a_sealed_segment_leaves_no_journal(tmp_path):
    spool, segment = begin(tmp_path)
    segment.add([b"a\n"], ["x"])
    seen = SeenMessages(spool.folder / "seen", 100)
    assert segment.seal(seen).size == 2
    assert recover(tmp_path) == (b"a\n", {"x"})


def test_a_disk_that_takes_a_part_of_a_write(tmp_path, monkeypatch):
    """What a write leaves over is written by the next one."""
    _, segment = begin(tmp_path)
    write = os.write
    with monkeypatch.context() as patch:
        patch.setattr(os, "write", lambda file, data: write(file, data[:3]))
        for data, ids in GROUPS:
            segment.add([data], ids)
    del segment
    assert recover(tmp_path) == states()[3]


def test_a_journal_of_another_text_does_not_count(tmp_path):
    """After a power loss a line may have any bytes: its checksum tells."""
    spool, segment = begin(tmp_path)
    for data, ids in GROUPS:
        segment.add([data], ids)
    del segment
    [journal] = spool.folder.rglob("*.journal")
    lines = journal.read_bytes().splitlines(keepends=True)
    journal.write_bytes(lines[0] + lines[1].replace(b"12", b"99") + lines[2])
    assert recover(tmp_path) == states()[1]
