"""Files that verbs write: complete or not there, and devices and pipes as they are."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from ktrans.api import UsageError
from ktrans.kit.cli import output_file
from ktrans.observe.metrics import write_atomically


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


def test_a_pipe_gets_a_receipt_and_stays(tmp_path):
    pipe, read = tmp_path / "pipe", []
    os.mkfifo(pipe)
    reader = threading.Thread(target=lambda: read.append(pipe.read_bytes()))
    reader.start()
    write_atomically(pipe, "receipt")
    reader.join(10)
    assert (read, pipe.is_fifo()) == ([b"receipt"], True)


WRITERS = {
    "kit.cli": "from ktrans.kit.cli import output_file\n"
    "with output_file(path) as out: out.write(b'new')",
    "observe": "from ktrans.observe.metrics import write_atomically\nwrite_atomically(path, 'new')",
}


@pytest.mark.parametrize("code", WRITERS.values(), ids=list(WRITERS))
def test_a_stream_that_goes_to_a_file_is_added_to(tmp_path, code):
    """As with `--receipt /dev/stdout > log`: what is there stays, and so does /dev/stdout."""
    log, stream = tmp_path / "log", Path(f"/proc/{os.getpid()}/fd/1")
    if not stream.is_symlink():
        pytest.skip("there is no /proc here")
    script = f"import pathlib; path = pathlib.Path('/proc/self/fd/1')\n{code}"
    with log.open("wb") as out:
        out.write(b"old ")
        out.flush()
        subprocess.run([sys.executable, "-c", script], stdout=out, check=True)
    assert log.read_text() == "old new"
    assert list(tmp_path.iterdir()) == [log]
