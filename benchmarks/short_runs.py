"""Runs so short that they are mostly start-up: a hundred rows, and nothing to do."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

from contender import PYTHON, Contender, pipeline, to_files
from datasets import Prepared

ROWS = 100
BARE = "import pyarrow.csv, pyarrow.parquet, pyarrow.compute, sqlite3, msgspec"
"""What a run cannot do without."""

_HEADER = "version account-id interface-id srcaddr dstaddr srcport dstport protocol packets bytes start end action log-status"
_LINE = "2 123456789010 eni-1235b8ca {} 172.31.9.69 {} 443 6 {} {} 1700000000 1700000060 ACCEPT OK"


def bare_imports() -> Contender:
    """Return an interpreter that imports the libraries and ends."""
    return Contender("bare imports", lambda _data, _folder: [PYTHON, "-c", BARE], form="")


def short_run(name: str, *, again: bool = False) -> Contender:
    """Return `ktrans run` of a file of a hundred rows; `again`: after a run that has read it."""

    def command(_data: Prepared, folder: Path) -> list[str]:
        lines = [_LINE.format(f"10.0.0.{n}", 1024 + n, n + 1, 40 * n + 40) for n in range(ROWS)]
        (folder / "short.log").write_text("\n".join([_HEADER, *lines, ""]))
        source = {"type": "file", "paths": [str(folder / "short.log")]}
        words = pipeline(folder, source, to_files())
        if again:
            environ = {k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"}
            subprocess.run(words, cwd=folder, env=environ, check=True, stdin=subprocess.DEVNULL)
        return words

    return Contender(name, command, form="", ours=True)
