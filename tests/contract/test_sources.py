"""What every built-in source promises to the engine, checked on each of them."""

from __future__ import annotations

import os
import shutil
from contextlib import closing
from http.client import HTTPConnection

import pytest

from ktrans.api import Context
from ktrans.sources.file import FileSource, FileSourceConfig
from ktrans.sources.http import HttpSource, HttpSourceConfig
from ktrans.sources.stdin import StdinSource, StdinSourceConfig
from ktrans.testing.contracts import SourceCase, SourceContract

LINES = [f"line {i} of the stream\n".encode() for i in range(500)]


class Case(SourceCase):
    def __init__(self, folder):
        self.context = Context(pipeline="contract", base_dir=folder)
        self.folder = folder

    def close(self):
        """Release what is open."""


class FileCase(Case):
    def __init__(self, folder):
        super().__init__(folder)
        (folder / "in").mkdir()
        for i in range(6):
            (folder / "in" / f"{i}.log").write_bytes(b"".join(LINES[i * 80 : (i + 1) * 80]))

    def build(self):
        return FileSource(FileSourceConfig(paths=["in/"], tail_wait=0), self.context)


class StdinCase(Case):
    def build(self):
        read, write = os.pipe()
        if not (self.folder / "piped").exists():
            (self.folder / "piped").touch()
            os.write(write, b"".join(LINES))
        os.close(write)
        return StdinSource(StdinSourceConfig(segment_size=2000), self.context, fd=read)

    def next(self, source):
        return source  # it alone has the stream

    def fresh(self):
        (self.folder / "piped").unlink(missing_ok=True)
        shutil.rmtree(self.folder / ".ktrans", ignore_errors=True)


class HttpCase(Case):
    def __init__(self, folder):
        super().__init__(folder)
        self.opened = []
        self.fresh()

    def build(self):
        endpoints = [{"path": "/", "protocol": "ndjson"}]
        config = HttpSourceConfig(
            listen=":0", endpoints=endpoints, idle_timeout=0.05, segment_age=0.02
        )
        self.opened.append(HttpSource(config, self.context))
        return self.opened[-1]

    def next(self, source):
        source.close()  # one process at a time has the spool
        return self.build()

    def fresh(self):
        shutil.rmtree(self.folder / ".ktrans", ignore_errors=True)
        for at in range(0, len(LINES), 100):  # a segment each
            with self.build() as source:
                source.listen(at + 1)
                with closing(HTTPConnection("127.0.0.1", source.port)) as connection:
                    connection.request("POST", "/", b"".join(LINES[at : at + 100]))
                    assert connection.getresponse().status == 200

    def close(self):
        for source in self.opened:
            source.close()


class TestSources(SourceContract):
    covers = ("file", "stdin", "http")

    @pytest.fixture(params=[FileCase, StdinCase, HttpCase])
    def case(self, request, tmp_path):
        case = request.param(tmp_path)
        yield case
        case.close()
