"""What is fuzzed: every decoder with damaged logs, and each parser in C or C++ below them.

A target is named `decoder:aws_vpc` or `reader:json`. A number decides the bytes, so that a case can be
run again.
"""

import io
import random
import tempfile
import traceback
from collections.abc import Callable
from functools import cache
from pathlib import Path

import numpy as np
import pyarrow as pa

from ktrans.api import (
    BytesPayload,
    Context,
    KtransError,
    Limits,
    RejectError,
    Split,
    TruncatedError,
)
from ktrans.decoders.read.csv import CsvParser, Dialect
from ktrans.decoders.read.json_fast import Parser
from ktrans.decoders.read.raw_columns import Shape
from ktrans.engine.rejects.read import read_file
from ktrans.kit.text.inflate import Inflater
from ktrans.registry.catalogue import Catalogue
from tests.fuzz.mutations import damaged, json_soup, packed, text_soup
from tests.fuzz.samples import OPTIONS, decoders, samples

NARROW = ["start_time", "src_addr", "dst_addr", "bytes", "action"]
LIMITS = (Limits(), Limits(block_bytes=4096), Limits(block_bytes=500, max_line_bytes=2000))
OWN_POSITIONS = frozenset({"ktrans", "auto"})
"""Decoders whose records may say where they came from."""


def names() -> list[str]:
    """Return all targets."""
    return [*(f"reader:{name}" for name in READERS), *(f"decoder:{kind}" for kind in decoders())]


def finding(target: str, number: int) -> str | None:
    """Run a case; return what is wrong, or None."""
    sort, _, name = target.partition(":")
    chance = random.Random(f"{target} {number}")
    if sort == "reader":
        return guarded(READERS[name], chance)
    data = damaged(chance, chance.choice(samples()[name]))
    columns = chance.choice((None, None, NARROW))
    return guarded(decoded, name, data, columns, chance.choice(LIMITS))


def guarded(run: Callable[..., str | None], *given: object) -> str | None:
    """Return what a run finds; an error that is not one of an input is a finding."""
    try:
        return run(*given)
    except (RejectError, TruncatedError):
        return None
    except BaseException:
        return traceback.format_exc()


@cache
def _catalogue() -> Catalogue:
    return Catalogue()


def decoded(
    kind: str, data: bytes, columns: list[str] | None = None, limits: Limits | None = None
) -> str | None:
    """Decode bytes; return which promise about rows, rejects and skipped records does not hold."""
    catalogue = _catalogue()
    config = catalogue.config("decoder", {"type": kind, **OPTIONS.get(kind, {})})
    context = Context(registry=catalogue, limits=limits or Limits())
    decoder = catalogue.build("decoder", config, context)
    schema = decoder.schema(columns)
    positions: list[int] = []
    for block in decoder.blocks(BytesPayload(Split("k", "mem://object"), data)):
        done = decoder.decode(block)
        done.batch.validate(full=True)
        rejects = 0
        if done.rejects is not None:
            done.rejects.validate(full=True)
            rejects = done.rejects.num_rows
            positions += done.rejects.column("source_pos").to_pylist()
            if done.rejects.column("reason").null_count:
                return "a reject without a reason"
        if done.records != done.batch.num_rows + rejects + done.skipped:
            counted = f"{done.batch.num_rows} rows, {rejects} rejects, {done.skipped} skipped"
            return f"{done.records} records, but {counted}"
        if not done.batch.schema.equals(schema):
            return f"the schema is {done.batch.schema}"
        if "source_pos" in schema.names:
            positions += done.batch.column("source_pos").to_pylist()
    if kind not in OWN_POSITIONS and len(set(positions)) != len(positions):
        return "two records have the same position"
    return None


PARENTS = frozenset({("a",), ("a", "b"), ("",)})
SHAPES = (
    Shape(PARENTS),
    Shape(frozenset()),
    Shape(PARENTS, {("a", "b"): pa.string(), ("b",): pa.int64(), ("",): pa.string()}),
    Shape(PARENTS, {("a",): pa.int64()}, frozenset({("a",)})),
    Shape(PARENTS, {}),
)


def _json(chance: random.Random) -> str | None:
    """Read short JSON texts; every line is a row or a fault."""
    parser = Parser(chance.choice(SHAPES))
    for _ in range(chance.choice((1, 3))):
        data = json_soup(chance)
        lines = data.count(b"\n") + (not data.endswith(b"\n"))
        found = parser.read(data, lines)
        for column in found.columns.values():
            column.validate(full=True)
            if len(column) != found.rows:
                return f"{len(column)} values in {found.rows} rows of {data!r}"
        if found.rows + len(found.faults.lines) != lines:
            return f"{found.rows} rows, {len(found.faults.lines)} faults in {data!r}"
    return None


def _csv(chance: random.Random) -> str | None:
    """Read short delimited texts; every line is a row, a fault or skipped."""
    dialect = Dialect(chance.choice(" ,\t;|"), chance.choice((None, '"', "'")), ("", "-"))
    columns = ("a", "b", "c")[: chance.randint(1, 3)]
    needed = chance.choice((None, frozenset({"a"}), frozenset({"c", "b"})))
    parser = CsvParser(dialect, columns, needed, frozenset(chance.choice(((), ("b",)))))
    data = text_soup(chance, dialect.delimiter) or b"\n"
    lines = data.count(b"\n") + (not data.endswith(b"\n"))
    found, skipped = parser.read(data, lines)
    for column in found.columns.values():
        column.validate(full=True)
    if found.rows + len(found.faults.lines) + skipped != lines:
        return f"{found.rows} rows, {len(found.faults.lines)} faults, {skipped} skipped: {data!r}"
    return None


def _inflate(chance: random.Random) -> str | None:
    """Inflate damaged streams."""
    data = packed(chance, np.random.default_rng(7).bytes(3000) + b"text " * 3000)
    inflater = Inflater(lambda: io.BytesIO(data), Limits(max_inflate_ratio=10))
    for _piece in inflater.chunks():
        pass
    return None


def _rejects(chance: random.Random) -> str | None:
    """Read damaged files of rejects."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "a.jsonl"
        path.write_bytes(json_soup(chance))
        try:
            read_file(path)
        except KtransError:
            return None
    return None


READERS: dict[str, Callable[[random.Random], str | None]] = {
    "json": _json,
    "csv": _csv,
    "inflate": _inflate,
    "rejects": _rejects,
}
