"""Files that verbs write: complete or not there, and devices and pipes as they are."""

from __future__ import annotations

import contextlib
import os
import threading

import pytest

from ktrans.api import UsageError
from ktrans.kit.cli import output_file


def test_a_file_appears_once_it_is_complete(tmp_path):
    path = tmp_path / "page.html"
    with output_file(path) as out:
        out.write(b"half")
        assert not path.exists()
    assert path.read_bytes() == b"half"
    with contextlib.suppress(ValueError), output_file(path) as out:
        out.write(b"other")
        raise ValueError
    assert path.read_bytes() == b"half"
    assert list(tmp_path.iterdir()) == [path]


def test_a_pipe_is_written_and_stays(tmp_path):
    pipe, read = tmp_path / "pipe", []
    os.mkfifo(pipe)
    reader = threading.Thread(target=lambda: read.append(pipe.read_bytes()))
    reader.start()
    with output_file(pipe) as out:
        out.write(b"rows")
    reader.join(10)
    assert (read, pipe.is_fifo()) == ([b"rows"], True)


def test_a_folder_is_refused(tmp_path):
    with pytest.raises(UsageError, match="cannot write"), output_file(tmp_path):
        pass
