"""The file source: new, grown, replaced and missing files, and what it says of them."""

from __future__ import annotations

import gzip
import json
import os
import tempfile
import time
from datetime import datetime
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ktrans.api import (
    AccessError,
    Budget,
    ConfigError,
    Context,
    RejectError,
    SplitChangedError,
    UsageError,
)
from ktrans.sources.file import FileSource, FileSourceConfig
from ktrans.state.sqlite import SqliteState, SqliteStateConfig
from tests.examples import examples


class Files:
    """A folder, a source over it, and what was read so far."""

    def __init__(self, folder: Path, **options):
        self.folder = folder
        self.memory: dict = {}
        options.setdefault("paths", ["."])
        options.setdefault("tail_wait", 0)
        self.source = FileSource(FileSourceConfig(**options), Context(base_dir=folder))

    def recall(self, keys):
        return {key: self.memory[key] for key in keys if key in self.memory}

    def plan(self, position=None, budget=None):
        return self.source.plan(position, self, budget or Budget())

    def read(self, position=None):
        """Plan, read and commit one epoch: (name, first line, bytes) of each split."""
        plan = self.plan(position)
        if plan is None:
            return []
        out = []
        for split in plan.splits:
            with self.source.open(split) as payload, payload.open() as stream:
                out.append((split.key.rpartition("/")[2], payload.first_line, stream.read()))
                payload.verify()
        self.memory.update(json.loads(json.dumps(dict(plan.remember))))
        return out

    def names(self, position=None):
        return [name for name, _, _ in self.read(position)]


def write(folder: Path, *names: str, data: bytes = b"x\n") -> None:
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)


def age(path: Path, secs: float) -> None:
    then = time.time() - secs
    os.utime(path, (then, then))


def test_folders_files_and_globs(tmp_path):
    write(tmp_path, "a.log", "sub/b.log", "sub/deep/c.log", "sub/deep/d.txt", "other/e.log")
    assert Files(tmp_path).names() == ["a.log", "e.log", "b.log", "c.log", "d.txt"]
    assert Files(tmp_path, recursive=False).names() == ["a.log"]
    assert Files(tmp_path, paths="a.log").names() == ["a.log"]
    assert Files(tmp_path, paths=["*/*.log"]).names() == ["e.log", "b.log"]
    assert Files(tmp_path, paths=["**/*.log"]).names() == ["a.log", "e.log", "b.log", "c.log"]
    assert Files(tmp_path, paths=["sub/**/c.log"]).names() == ["c.log"]
    assert Files(tmp_path, paths=["su[ab]/", "sub/b.log"]).names() == ["b.log", "c.log", "d.txt"]
    assert Files(tmp_path, paths=[str(tmp_path / "s*")]).names() == []


def test_exclude_by_name_and_by_path(tmp_path):
    write(tmp_path, "a.log", "a.md5", "old/b.log", "sub/old/c.log", "sub/d.log")
    assert Files(tmp_path, exclude=["*.md5", "old"]).names() == ["a.log", "d.log"]
    assert Files(tmp_path, exclude=["sub/old"]).names() == ["a.log", "a.md5", "b.log", "d.log"]
    assert Files(tmp_path, exclude=["**/old/*.log", "./*.md5"]).names() == ["a.log", "d.log"]


def test_hidden_and_unfinished_files_wait_until_they_have_their_name(tmp_path):
    write(tmp_path, ".hidden", ".git/a.log", "a.tmp", "b.part", "c.inprogress", "d.log")
    assert Files(tmp_path).names() == ["d.log"]
    assert Files(tmp_path, paths=["a.tmp", ".git/*"]).names() == ["a.log", "a.tmp"]


def test_order_by_time(tmp_path):
    write(tmp_path, "a", "b", "c")
    for secs, name in enumerate("cab"):
        age(tmp_path / name, 100 - secs)
    assert Files(tmp_path, order="time").names() == ["c", "a", "b"]


def test_links_are_followed_but_not_in_circles_and_not_twice(tmp_path):
    write(tmp_path, "in/a.log", "outside/b.log")
    (tmp_path / "in/loop").symlink_to(tmp_path / "in")
    (tmp_path / "in/self").symlink_to("self")
    (tmp_path / "in/nowhere").symlink_to("gone")
    (tmp_path / "in/current.log").symlink_to("a.log")
    (tmp_path / "in/more").symlink_to(tmp_path / "outside")
    assert Files(tmp_path, paths=["in"]).names() == ["a.log", "b.log"]
    assert Files(tmp_path, paths=["in/**/*.log"]).names() == ["a.log", "b.log"]


def test_of_several_links_to_one_file_the_first_is_read_and_a_note_names_the_others(tmp_path):
    write(tmp_path, "outside/a.log")
    (tmp_path / "in").mkdir()
    for name in ("x.log", "y.log", "z.log"):
        (tmp_path / "in" / name).symlink_to(tmp_path / "outside/a.log")
    files = Files(tmp_path, paths=["in"])
    notes = files.plan().notes
    assert [note.partition(" ")[0] for note in notes] == [
        str(tmp_path / "in" / name) for name in ("y.log", "z.log")
    ]
    assert all(f"the same file as {tmp_path}/in/x.log" in note for note in notes)
    assert files.names() == ["x.log"]


def test_hard_links_are_files_of_their_own(tmp_path):
    write(tmp_path, "a.log")
    (tmp_path / "b.log").hardlink_to(tmp_path / "a.log")
    assert Files(tmp_path).names() == ["a.log", "b.log"]


@pytest.mark.parametrize("paths", [["."], ["flows.db", "*"], ["flows.db*"]])
def test_the_state_store_of_the_pipeline_is_not_read(tmp_path, paths):
    """Its log and its locks neither, whatever other files are in that folder."""
    state = SqliteState(SqliteStateConfig(path="flows.db"), Context(base_dir=tmp_path))
    write(tmp_path, "a.log")
    files = Files(tmp_path, paths=paths)
    files.source.exclude_outputs([state])
    with state.hold("p") as database, database.transaction() as db:
        db.execute("DELETE FROM epochs")
        assert {path.name for path in tmp_path.iterdir()} >= {"flows.db-wal", "flows.db.p.lock"}
        assert files.names() == ([] if paths == ["flows.db*"] else ["a.log"])


def test_names_that_are_not_utf8(tmp_path):
    (tmp_path / os.fsdecode(b"caf\xe9 1.log")).write_bytes(b"hello\n")
    files = Files(tmp_path)
    plan = files.plan()
    assert plan.splits[0].uri.endswith("/caf%E9%201.log")
    plan.splits[0].key.encode()
    assert [data for _, _, data in files.read()] == [b"hello\n"]
    assert files.plan() is None


def test_a_file_called_like_a_glob_is_that_file(tmp_path):
    write(tmp_path, "a[1].log", "a1.log")
    assert Files(tmp_path, paths=["a[1].log"]).names() == ["a[1].log"]


def test_what_is_missing_is_named(tmp_path):
    for call in ("check", "plan"):
        files = Files(tmp_path, paths=["nope.log"])
        with pytest.raises(ConfigError, match=r"nope\.log"):
            files.source.check() if call == "check" else files.plan()
    write(tmp_path, "a.log")
    with pytest.raises(ConfigError, match=r"a\.log/b"):
        Files(tmp_path, paths=["a.log/b"]).plan()
    plan = Files(tmp_path, paths=["a.log", "*.gz"]).plan()
    assert "*.gz" in plan.notes[0]


def test_pipes_are_refused_by_name_and_left_out_of_folders(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    write(tmp_path, "a.log")
    with pytest.raises(ConfigError, match="pipe"):
        Files(tmp_path, paths=["pipe"]).plan()
    files = Files(tmp_path)
    assert "1 pipes" in files.plan().notes[0]
    split = files.plan().splits[0]
    (tmp_path / "a.log").unlink()
    os.mkfifo(tmp_path / "a.log")
    with pytest.raises(RejectError):
        files.source.open(split)


def test_a_folder_or_file_without_permission_is_named(as_user):
    write(as_user, "closed/a.log", "b.log")
    (as_user / "closed").chmod(0)
    with pytest.raises(AccessError, match="closed"):
        Files(as_user).plan()
    (as_user / "closed").chmod(0o700)
    (as_user / "b.log").chmod(0)
    files = Files(as_user, paths="b.log")
    with pytest.raises(AccessError, match=r"b\.log"):
        files.source.open(files.plan().splits[0])


def test_growth_is_read_on_from_the_last_line_with_its_line_number(tmp_path):
    log = tmp_path / "a.log"
    log.write_bytes(b"1\n2\n")
    files = Files(tmp_path)
    assert files.read() == [("a.log", 1, b"1\n2\n")]
    for n, more in enumerate([b"3\n", b"4\n5\n6\n", b"7\n"]):
        with log.open("ab") as file:
            file.write(more)
        expected = [3, 4, 7][n]
        assert files.read() == [("a.log", expected, more)]
        assert files.read() == []


@settings(max_examples=examples(40), deadline=None)
@given(pieces=st.lists(st.text("ab\n", max_size=12).map(str.encode), min_size=1, max_size=8))
def test_however_a_log_grows_each_byte_is_read_once_and_lines_are_numbered(pieces):
    with tempfile.TemporaryDirectory() as name:
        log = Path(name) / "a.log"
        log.touch()
        files = Files(Path(name), tail_wait=60)
        read = []
        for piece in pieces:
            with log.open("ab") as file:
                file.write(piece)
            read += files.read()
        age(log, 61)
        read += files.read()
    so_far = b""
    for _, line, data in read:
        assert line == so_far.count(b"\n") + 1
        so_far += data
        assert data.endswith(b"\n") or so_far == b"".join(pieces)
    assert so_far == b"".join(pieces)


def test_the_head_of_a_grown_range_is_the_head_of_the_file(tmp_path):
    log = tmp_path / "a.log"
    log.write_bytes(b"header\n1\n")
    files = Files(tmp_path)
    files.read()
    with log.open("ab") as file:
        file.write(b"2\n")
    payload = files.source.open(files.plan().splits[0])
    assert (payload.offset, payload.first_line) == (9, 3)
    assert payload.head(100) == b"header\n1\n2\n"


def test_a_torn_last_line_waits_for_its_end(tmp_path):
    log = tmp_path / "a.log"
    log.write_bytes(b"1\n2\n3 is not do")
    files = Files(tmp_path, tail_wait=60)
    assert files.read() == [("a.log", 1, b"1\n2\n")]
    waiting = files.plan()
    assert waiting.splits == ()
    assert waiting.left == (f"a last line without a line end was not read (tail_wait): {log}",)
    with log.open("ab") as file:
        file.write(b"ne\n")
    assert files.read() == [("a.log", 3, b"3 is not done\n")]


@pytest.mark.parametrize(
    "whole",
    [
        b'{"a": 1}',
        b'{"a": 1}\n{"a": 2}',
        b'{"a": 1}{"a": 2} \r',
        b'\xef\xbb\xbf[{"a": 1},\n {"a": 2}]',
        b'{\n  "a": [1, 2]\n}',
    ],
)
def test_json_that_is_complete_needs_no_line_end(tmp_path, whole):
    (tmp_path / "a.json").write_bytes(whole)
    files = Files(tmp_path, tail_wait=60)
    assert files.read() == [("a.json", 1, whole)]
    assert files.plan() is None


@pytest.mark.parametrize("torn", [b'{"a": {}', b"1 {}", b'{"a": "{}', b'{"a": 1}}', b"[1]x]"])
def test_json_that_is_not_complete_waits(tmp_path, torn):
    (tmp_path / "a.json").write_bytes(b'{"a": 0}\n' + torn)
    assert Files(tmp_path, tail_wait=60).read() == [("a.json", 1, b'{"a": 0}\n')]


def test_a_last_line_without_an_end_is_taken_when_the_file_is_at_rest(tmp_path):
    log = tmp_path / "a.log"
    log.write_bytes(b"1\n2")
    files = Files(tmp_path, tail_wait=60)
    assert files.read() == [("a.log", 1, b"1\n")]
    age(log, 61)
    assert files.read() == [("a.log", 2, b"2")]
    with log.open("ab") as file:
        file.write(b"\n3\n")
    assert files.read() == [("a.log", 3, b"3\n")]


def test_going_on_after_a_line_read_without_its_end_is_said(tmp_path):
    log = tmp_path / "a.log"
    log.write_bytes(b"1\n2")
    files = Files(tmp_path)
    files.read()
    with log.open("ab") as file:
        file.write(b"22\n")
    assert "read before it was complete" in files.plan().notes[0]
    assert files.read() == [("a.log", 2, b"22\n")]


def test_touching_and_copying_over_with_the_same_content(tmp_path):
    log = tmp_path / "a.log"
    log.write_bytes(b"1\n2\n")
    files = Files(tmp_path)
    files.read()
    age(log, 1000)
    assert files.read() == []


def test_a_growing_log_that_rsync_puts_into_a_new_file_is_read_on(tmp_path):
    log = tmp_path / "a.log"
    log.write_bytes(b"1\n2\n")
    files = Files(tmp_path)
    files.read()
    (tmp_path / ".new").write_bytes(b"1\n2\n3\n")
    (tmp_path / ".new").replace(log)
    assert files.read() == [("a.log", 3, b"3\n")]


@pytest.mark.parametrize("new", [b"9\n9\n", b"9\n", b"9\n9\n9\n"])
def test_replaced_content_is_read_again_left_or_refused(tmp_path, new):
    kinds = ("reread", "skip", "error")
    every = {}
    for kind in kinds:
        write(tmp_path, f"{kind}/a.log", data=b"1\n2\n")
        every[kind] = Files(tmp_path / kind, on_replaced=kind)
        every[kind].read()
        write(tmp_path, f"{kind}/a.log", data=new)
        os.utime(tmp_path / kind / "a.log", (1, 1))
    assert "read again from the start" in every["reread"].plan().notes[0]
    assert every["reread"].read() == [("a.log", 1, new)]
    assert every["skip"].read() == []
    with pytest.raises(SplitChangedError, match=r"a\.log"):
        every["error"].plan()


def test_a_compressed_file_that_changed_is_read_whole_again(tmp_path):
    log = tmp_path / "a.log.gz"
    log.write_bytes(gzip.compress(b"1\n"))
    files = Files(tmp_path)
    files.read()
    with log.open("ab") as file:
        file.write(gzip.compress(b"2\n"))
    assert "a.log.gz" in files.plan().notes[0]
    [(_, line, data)] = files.read()
    assert (line, gzip.decompress(data)) == (1, b"1\n2\n")


def test_without_following_growth_a_longer_file_is_another_file(tmp_path):
    log = tmp_path / "a.log"
    log.write_bytes(b"1\n2")
    files = Files(tmp_path, follow_growth=False, tail_wait=60)
    assert files.read() == [("a.log", 1, b"1\n2")]
    with log.open("ab") as file:
        file.write(b"3\n")
    assert files.read() == [("a.log", 1, b"1\n23\n")]


def test_empty_files_wait_until_there_is_something(tmp_path):
    write(tmp_path, "a.log", data=b"")
    files = Files(tmp_path)
    assert files.read() == []
    write(tmp_path, "a.log", data=b"1\n")
    assert files.read() == [("a.log", 1, b"1\n")]


def test_settling(tmp_path):
    write(tmp_path, "young.log", "old.log")
    age(tmp_path / "old.log", 100)
    files = Files(tmp_path, min_age=30)
    assert "changed too recently" in files.plan().left[0]
    assert files.names() == ["old.log"]
    age(tmp_path / "young.log", 100)
    assert files.names() == ["young.log"]


def test_a_file_with_a_time_in_the_future_is_read_if_nothing_is_to_wait(tmp_path):
    (tmp_path / "a.log").write_bytes(b"1\n2")
    age(tmp_path / "a.log", -1000)
    assert Files(tmp_path).read() == [("a.log", 1, b"1\n2")]


def test_growth_between_plan_and_read_stays_for_the_next_plan(tmp_path):
    log = tmp_path / "a.log"
    log.write_bytes(b"1\n")
    files = Files(tmp_path)
    split = files.plan().splits[0]
    with log.open("ab") as file:
        file.write(b"2\n")
    payload = files.source.open(split)
    assert payload.open().read() == b"1\n"
    payload.verify()


def test_changes_between_plan_and_read_are_noticed(tmp_path):
    log = tmp_path / "a.log"
    files = Files(tmp_path)

    def planned():
        log.write_bytes(b"1\n2\n")
        return files.plan().splits[0]

    split = planned()
    log.unlink()
    with pytest.raises(SplitChangedError) as gone:
        files.source.open(split)
    assert gone.value.code == "split_vanished"
    split = planned()
    (tmp_path / ".new").write_bytes(b"1\n2\n")
    (tmp_path / ".new").replace(log)
    with pytest.raises(SplitChangedError):
        files.source.open(split)
    payload = files.source.open(planned())
    log.write_bytes(b"1\n")
    with pytest.raises(SplitChangedError):
        payload.verify()
    payload = files.source.open(planned())
    stream = payload.open()
    os.truncate(log, 2)
    with pytest.raises(SplitChangedError):
        stream.read()


def test_a_rewritten_compressed_file_is_noticed_after_reading(tmp_path):
    log = tmp_path / "a.gz"
    log.write_bytes(gzip.compress(b"1\n"))
    files = Files(tmp_path)
    payload = files.source.open(files.plan().splits[0])
    payload.open().read()
    with log.open("ab") as file:
        file.write(b"more")
    with pytest.raises(SplitChangedError):
        payload.verify()


def test_starting_from_a_time_or_a_path(tmp_path):
    write(tmp_path, "a", "b", "c")
    age(tmp_path / "a", 86_400)
    files = Files(tmp_path)
    since = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() - 3600))
    assert files.names(files.source.position_from(since)) == ["b", "c"]
    files = Files(tmp_path)
    assert files.names(files.source.position_from("b")) == ["c"]
    assert files.names(files.source.position_from(str(tmp_path / "a"))) == ["b"]
    with pytest.raises(UsageError, match="banana") as caught:
        files.source.position_from("banana")
    assert "the file after which to start" in caught.value.hint


def test_totals_speak_of_all_that_waits(tmp_path):
    write(tmp_path, "a", "b", "c", data=b"12345678\n")
    plan = Files(tmp_path).plan(budget=Budget(splits=1))
    assert (len(plan.splits), plan.total_splits, plan.total_bytes) == (1, 3, 27)


def test_whole_files_can_be_read_at_random(tmp_path):
    write(tmp_path, "a.parquet", data=b"PAR1....PAR1")
    files = Files(tmp_path)
    with files.source.open(files.plan().splits[0]).random_access() as stream:
        stream.seek(-4, os.SEEK_END)
        assert stream.read() == b"PAR1"


def test_keys_to_skip_use_up_no_budget(tmp_path):
    for name in "abc":
        (tmp_path / f"{name}.log").write_text("x\n")
    skip = frozenset({str(tmp_path / "a.log")})
    plan = Files(tmp_path).plan(budget=Budget(splits=1, skip=skip))
    assert [split.key for split in plan.splits] == [str(tmp_path / "b.log")]


@pytest.mark.parametrize("on_replaced", ["reread", "skip", "error"])
def test_what_was_rejected_whole_is_read_again_once_it_has_grown(tmp_path, on_replaced):
    files = Files(tmp_path, on_replaced=on_replaced)
    log, packed = tmp_path / "a.log", tmp_path / "b.gz"
    whole = gzip.compress(b"one\ntwo\n")
    log.write_text("one\n")
    packed.write_bytes(whole[:12])
    files.read()
    for value in files.memory.values():
        value["rejected"] = True
    assert files.read() == []
    log.write_text("one\ntwo\n")
    packed.write_bytes(whole)
    assert files.read() == [("a.log", 1, b"one\ntwo\n"), ("b.gz", 1, whole)]
    assert files.read() == []


def test_of_a_file_only_the_part_that_was_rejected_is_read_again(tmp_path):
    files = Files(tmp_path)
    log = tmp_path / "a.log"
    log.write_text("one\n")
    files.read()
    log.write_text("one\ntwo\n")
    assert files.read() == [("a.log", 2, b"two\n")]
    files.memory[str(log)]["rejected"] = True
    log.write_text("one\ntwo\nthree\n")
    assert files.read() == [("a.log", 2, b"two\nthree\n")]


@pytest.mark.parametrize(
    ("options", "read"),
    [
        ({"since": "2026-11-04"}, ["b.log", "c.log", "d.log", "new.log"]),
        ({"since": "2026-11-05T23:00:00Z"}, ["b.log", "d.log", "new.log"]),
        ({"until": "2026-11-04"}, ["a.log", "c.log", "old.log"]),
        ({"since": "2026-11-04", "until": "2026-11-04"}, ["c.log"]),
        ({"since": "2026-11-04", "until": "2026-11-05"}, ["b.log", "c.log", "d.log"]),
    ],
)
def test_a_time_is_that_of_the_day_in_the_path_or_else_of_the_last_change(tmp_path, options, read):
    folder = tmp_path / "2026/11/04"  # the path that is named is no day of its files
    write(
        folder,
        "2026/11/03/a.log",
        "year=2026/month=11/day=05/hour=1/b.log",
        "dt=2026-11-04/c.log",
        "x/20261105/d.log",
        "old.log",
        "2026/99/new.log",
    )
    for path in folder.rglob("*.log"):
        os.utime(path, (1.8e9, 1.8e9))
    os.utime(folder / "old.log", (1.7e9, 1.7e9))
    assert sorted(Files(folder, **options).names()) == read


@pytest.mark.parametrize("paths", ["logs/2026/*/*/", "logs/2026/11", "logs/2026/"])
def test_a_day_may_begin_in_the_path_that_is_named(tmp_path, paths):
    write(tmp_path, "logs/2026/11/03/a.log", "logs/2026/11/05/b.log")
    assert Files(tmp_path, paths=paths, since="2026-11-04").names() == ["b.log"]


@pytest.mark.parametrize(
    ("value", "says"),
    [
        (20261105, "2026-11-01T00:00:00Z"),
        ("20261105", "2026-11-01T00:00:00Z"),
        (1.8e9, "2026-11-01T00:00:00Z"),
        ("2026-11-05T00:00:00", "offset from UTC"),
        ("2026-11-05 00:00", "offset from UTC"),
        (datetime(2026, 11, 5), "offset from UTC"),  # noqa: DTZ001 - that is the point
        ("9999-12-31T23:59:59-05:00", "the years 1 to 9999"),
        ("0001-01-01T00:00:00+05:00", "the years 1 to 9999"),
    ],
)
@pytest.mark.parametrize("option", ["since", "until"])
def test_times_that_could_mean_something_else_are_refused(tmp_path, option, value, says):
    with pytest.raises(ValueError, match=says):
        Files(tmp_path, **{option: value})


def test_from_a_time_is_another_since(tmp_path):
    write(tmp_path, "2026/11/03/a.log", "2026/11/05/b.log", "c.log")
    files = Files(tmp_path, until="2026-11-06")
    assert files.names(files.source.position_from("2026-11-04")) == ["b.log"]


def test_since_is_not_after_until(tmp_path):
    with pytest.raises(ValueError, match="since is after until"):
        Files(tmp_path, since="2026-11-05", until="2026-11-04")
