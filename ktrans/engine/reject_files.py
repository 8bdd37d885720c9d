"""Stored rejects, read back: for `ktrans rejects list`, `show` and `replay`."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from ktrans.api import UsageError, WritesFolder
from ktrans.api.inflate import Inflater
from ktrans.config.pipeline import Pipeline
from ktrans.engine.assemble import assemble
from ktrans.engine.rejects import REJECT_OUT_SCHEMA
from ktrans.registry.catalogue import Catalogue

SUFFIXES = (".jsonl", ".jsonl.gz", ".jsonl.zst", ".parquet")


def reject_sink(sink: Any) -> WritesFolder:
    """Give a rejects sink whose files can be read back.

    Raises:
        UsageError: the rejects go elsewhere, so they cannot be read back from here.
    """
    if sink.config.type != "file" or sink.config.format.type not in {"jsonl", "parquet"}:
        raise UsageError(
            "rejects can be read back from files in jsonl or parquet format only; this pipeline's "
            f"rejects go to {sink.config.type}",
            hint="set rejects to {type: file, path: rejects/}",
        )
    assert isinstance(sink, WritesFolder)
    return sink


def reject_files(sink: WritesFolder) -> list[Path]:
    """List the files that a rejects sink has published, oldest epoch first.

    Others may share the folder: other sinks of the pipeline, and other pipelines.
    """
    root = sink.folder
    found = [
        path
        for path in root.rglob("*")
        if path.name.endswith(SUFFIXES)
        and sink.owns(path.name)
        and path.is_file()
        and not any(part.startswith(".") for part in path.relative_to(root).parts)
    ]
    return sorted(found)


def read_file(path: Path) -> pa.Table:
    """Read one file of rejects into a table of REJECT_OUT_SCHEMA."""
    if path.suffix == ".parquet":
        import pyarrow.parquet as pq

        with path.open("rb") as stream:
            return pq.ParquetFile(stream).read().select(REJECT_OUT_SCHEMA.names)
    import pyarrow.json as pj

    data = b"".join(Inflater(lambda: path.open("rb"), name=str(path)).chunks())
    if not data:
        return REJECT_OUT_SCHEMA.empty_table()
    return pj.read_json(
        pa.BufferReader(data),
        read_options=pj.ReadOptions(use_threads=False, block_size=max(len(data) + 1, 1 << 16)),
        parse_options=pj.ParseOptions(explicit_schema=REJECT_OUT_SCHEMA),
    ).select(REJECT_OUT_SCHEMA.names)


def read_rejects(
    pipeline: Pipeline, catalogue: Catalogue, reason: str | None = None, limit: int | None = None
) -> pa.Table:
    """Read a pipeline's stored rejects.

    Args:
        pipeline: whose rejects.
        catalogue: where its components come from.
        reason: only those with this reason code.
        limit: at most this many rows.

    Returns:
        REJECT_OUT_SCHEMA plus `file`, the path of the file that each row lies in.
    """
    assembly = assemble(pipeline, catalogue)
    assert assembly.rejects is not None
    sink = reject_sink(assembly.rejects.sink)
    tables, rows = [], 0
    for path, table in _tables(sink):
        chosen = table
        if reason is not None:
            chosen = table.filter(pc.equal(table.column("reason"), reason))
        tables.append(chosen.append_column("file", pa.repeat(str(path), chosen.num_rows)))
        rows += chosen.num_rows
        if limit is not None and rows >= limit:
            break
    schema = REJECT_OUT_SCHEMA.append(pa.field("file", pa.string()))
    table = pa.concat_tables(tables) if tables else schema.empty_table()
    return table if limit is None else table.slice(0, limit)


def _tables(sink: WritesFolder) -> Iterator[tuple[Path, pa.Table]]:
    for path in reject_files(sink):
        yield path, read_file(path)
