"""What every built-in source promises to the engine, checked on each of them."""

from __future__ import annotations

import os
import shutil

import pytest

from ktrans.api import Context
from ktrans.sources.file import FileSource, FileSourceConfig
from ktrans.sources.stdin import StdinSource, StdinSourceConfig
from ktrans.testing.contracts import SourceCase, SourceContract

LINES = [f"line {i} of the stream\n".encode() for i in range(500)]


class Case(SourceCase):
    def __init__(self, folder):
        self.context = Context(pipeline="contract", base_dir=folder)
        self.folder = folder


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


class TestSources(SourceContract):
    covers = ("file", "stdin")

    @pytest.fixture(params=[FileCase, StdinCase])
    def case(self, request, tmp_path):
        return request.param(tmp_path)
