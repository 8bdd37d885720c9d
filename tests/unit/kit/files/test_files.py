"""The open files of a task: named, closed when full, few at a time, gone after an error."""

import contextlib
from dataclasses import dataclass, field
from pathlib import Path

import pyarrow as pa
import pytest

from ktrans.api import Encoded
from ktrans.kit.files.file_writer import FileWriter, Part
from ktrans.kit.files.path_template import parse
from ktrans.kit.rows.row_format import RowFormat

ROW = pa.record_batch({"a": ["k"]})


class Lines(RowFormat):
    extension = ".txt"

    def __init__(self):
        """Without options."""

    def bind(self, schema):
        raise NotImplementedError

    def encode(self, batch):
        raise NotImplementedError


@dataclass
class File:
    place: "Place"
    name: str
    data: bytes = b""
    dropped: bool = False

    def write(self, data):
        if self.place.full:
            raise OSError("full")
        self.data += bytes(data)
        return len(data)

    def end(self, rows, more):
        self.place.done.append({"final": self.name, "rows": rows, "bytes": len(self.data)})

    def drop(self):
        self.dropped = True


@dataclass
class Place:
    full: bool = False
    held_bytes: int = 0
    folder: Path = Path()
    aborted: int = 0
    files: list = field(default_factory=list)
    done: list = field(default_factory=list)

    def begin(self, relative):
        self.files.append(File(self, relative))
        return self.files[-1]

    def spill_folder(self):
        return self.folder

    def finish(self):
        return self.done

    def abort(self):
        self.aborted += 1

    @contextlib.contextmanager
    def errors(self):
        try:
            yield
        except OSError as error:
            raise RuntimeError("told") from error


def files(place, path="out/{a}/", **options):
    settings = {"compression": "none", "target_bytes": 10, "buffer_bytes": 1 << 16, **options}
    return FileWriter(parse(path), Lines(), place, names=("p.s.1-0", ".txt"), **settings)


def put(made, key, data):
    made.write([Part((key,), Encoded(data, 1, len(data)), ROW)])


def test_a_full_file_is_followed_by_another():
    place = Place()
    made = files(place)
    for key, data in [("x", b"12345"), ("y", b"123"), ("x", b"67890"), ("x", b"1"), ("z", b"1")]:
        put(made, key, data)
    assert [(one["final"], one["bytes"]) for one in place.done] == [("x/p.s.1-0-00000.txt", 10)]
    assert list(made.finish().outputs) == [
        "x/p.s.1-0-00000.txt",
        "x/p.s.1-0-00001.txt",
        "y/p.s.1-0-00000.txt",
        "z/p.s.1-0-00000.txt",
    ]
    assert sum(one["rows"] for one in place.done) == 5


def test_names_of_ones_own_hold_the_part_where_it_is_asked_for_or_needed():
    place = Place()
    made = files(place, "out/{a}-{task}.txt.x")
    put(made, "k", b"1234567890")
    put(made, "k", b"1")
    other = files(place, "out/{part}-{task}-{a}")
    put(other, "k", b"1")
    made.finish()
    assert [file.name for file in place.files] == [
        "k-p.s.1-0.txt.x",
        "k-p.s.1-0-00001.txt.x",
        "00000-p.s.1-0-k",
    ]


@pytest.mark.parametrize("compression", ["none", "gzip", "zstd"])
def test_an_error_undoes_everything_and_is_told_as_the_place_tells_it(compression):
    place = Place()
    made = files(place, compression=compression, target_bytes=1 << 20)
    put(made, "x", b"1")
    place.full = True
    with pytest.raises(RuntimeError, match="told"):
        put(made, "x", b"2" * (4 << 20)) or made.finish()
    assert place.aborted == 1
    assert all(file.dropped for file in place.files)
