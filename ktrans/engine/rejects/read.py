"""Reads stored rejects back, for `ktrans rejects list`, `show`, `export` and `replay`."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import pyarrow as pa
import pyarrow.compute as pc

from ktrans.api import RunError, UsageError, WritesFolder
from ktrans.api.rejects import PARTIAL_REASONS
from ktrans.config.model import Pipeline
from ktrans.engine.assemble import assemble
from ktrans.engine.rejects.stored_form import STORED_REJECT_SCHEMA
from ktrans.kit.text.arrow_json import read_json, suits_arrow
from ktrans.kit.text.inflate import Inflater
from ktrans.kit.text.lines import count_lines
from ktrans.registry.catalogue import Catalogue

_SHORTENED = "bytes are kept"
"""Part of the detail of rejects whose record was shortened, in files of version 0.1."""

SUFFIXES = (".jsonl", ".jsonl.gz", ".jsonl.zst", ".parquet")


@runtime_checkable
class RejectFiles(WritesFolder, Protocol):
    """A sink whose files can be read back, and say which epoch wrote them."""

    def epoch_of(self, name: str) -> str | None:
        """Return the epoch that wrote the file of this name, as a text like that of `EpochId`."""


def reject_sink(sink: Any) -> RejectFiles:
    """Return a rejects sink as one whose files can be read back.

    Raises:
        UsageError: it does not write files that can be read back.
    """
    if sink.config.type != "file" or sink.config.format.type not in {"jsonl", "parquet"}:
        raise UsageError(
            "rejects can be read back from files in jsonl or parquet format only; this pipeline's "
            f"rejects go to {sink.config.type}",
            hint="set rejects to {type: file, path: rejects/}",
        )
    assert isinstance(sink, RejectFiles)
    return sink


def reject_files(sink: RejectFiles) -> list[Path]:
    """List the files that a rejects sink has published, oldest epoch first.

    Other sinks and other pipelines may share the folder.
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
    """Read one file of rejects into a table of STORED_REJECT_SCHEMA.

    Raises:
        RunError: it is damaged.
    """
    if path.suffix == ".parquet":
        import pyarrow.parquet as pq

        with path.open("rb") as stream:
            return _completed(pq.ParquetFile(stream).read())
    data = b"".join(Inflater(lambda: path.open("rb"), name=str(path)).chunks())
    if not data:
        return STORED_REJECT_SCHEMA.empty_table()
    table = None
    if suits_arrow(data, count_lines(data)):
        table = read_json(data, STORED_REJECT_SCHEMA, infer=True)
    if table is None:
        raise RunError(f"{path} is damaged: it does not hold rejects, one JSON object a line")
    return _completed(table)


def _completed(table: pa.Table) -> pa.Table:
    """Return the rows of a file with the columns of this version.

    Files of version 0.1 do not say what carried a record, nor whether `raw` is complete; there this
    follows from the reason or, if the record was shortened, from the detail.
    """
    for name in ("raw_complete", "carrier"):
        field = STORED_REJECT_SCHEMA.field(name)
        if name not in table.column_names:
            table = table.append_column(field, pa.nulls(table.num_rows, field.type))
    field = STORED_REJECT_SCHEMA.field("raw_complete")
    known = table.column(field.name)
    if known.null_count:
        present = pc.or_(table.column("raw").is_valid(), table.column("raw_base64").is_valid())
        torn = pc.is_in(table.column("reason"), pa.array(PARTIAL_REASONS))
        short = pc.fill_null(pc.match_substring(table.column("detail"), _SHORTENED), False)
        guessed = pc.and_(present, pc.invert(pc.or_(torn, short)))
        place = table.column_names.index(field.name)
        table = table.set_column(place, field, pc.coalesce(known, guessed))
    return table.select(STORED_REJECT_SCHEMA.names)


def read_rejects(
    pipeline: Pipeline, catalogue: Catalogue, reason: str | None = None, limit: int | None = None
) -> pa.Table:
    """Read a pipeline's stored rejects.

    Returns:
        STORED_REJECT_SCHEMA and `file`, the path of the file of each row.
    """
    tables, rows = [], 0
    for found in stored_rejects(pipeline, catalogue, reason):
        tables.append(found)
        rows += found.num_rows
        if limit is not None and rows >= limit:
            break
    schema = STORED_REJECT_SCHEMA.append(pa.field("file", pa.string()))
    table = pa.concat_tables(tables) if tables else schema.empty_table()
    return table if limit is None else table.slice(0, limit)


def stored_rejects(
    pipeline: Pipeline, catalogue: Catalogue, reason: str | None = None
) -> Iterator[pa.Table]:
    """Yield a pipeline's stored rejects file by file; otherwise as `read_rejects`."""
    assembly = assemble(pipeline, catalogue)
    assert assembly.rejects is not None
    for path in reject_files(reject_sink(assembly.rejects.sink)):
        table = read_file(path)
        if reason is not None:
            table = table.filter(pc.equal(table.column("reason"), reason))
        yield table.append_column("file", pa.repeat(str(path), table.num_rows))
