"""The sections of a pipeline file, and the keys that the engine itself reads."""

from __future__ import annotations

import re

VERSION = 1
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,99}")
NAME_WORDS = "letters, digits, `_`, `.` and `-`, at most 100, beginning with a letter or digit"

SECTIONS: dict[str, str] = {
    "version": "The version of this file format: 1.",
    "name": "The pipeline's name, unique in its state store; the file's name by default.",
    "include": "Files whose sections are merged into this one, which wins; see several-pipelines.md.",
    "source": "Where the bytes come from.",
    "decoder": "How the bytes become rows; by default each object is looked at (`auto`).",
    "enrichers": "What happens to the rows, in this order.",
    "sinks": "Where the rows go: each sink gets all of them, unless it says `where`.",
    "rejects": "Where input goes that cannot be decoded; files under `.ktrans/rejects/` by default.",
    "state": "Where the pipeline remembers what it has done; without a `type` a SQLite file.",
    "limits": "Bounds on hostile or broken input.",
    "engine": "How a run is cut up, and how patient it is.",
    "tests": "Input and the rows it must become, for `ktrans test`; may also lie in a file beside.",
    "profiles": "By name, what differs in one environment: laid over the pipeline by `--profile NAME`.",
    "default_profile": "The profile that is taken if none is chosen.",
}
SINK_KEYS: dict[str, str] = {
    "id": "The sink's name in receipts and ledgers; its type by default.",
    "where": "An expression; only rows for which it is true go to this sink.",
    "columns": "Only these columns go to this sink, in this order; all by default.",
}
DEFAULT_STATE = "sqlite"
"""The type of the section `state` if it names none."""
REJECTS_KEYS: dict[str, str] = {"limit": "When rejects mean that the run had better stop."}
