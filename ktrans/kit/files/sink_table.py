"""The table of a sink: what files have to be like for it, and its commit after theirs.

The commit of an epoch: is it in the table already? Then there is nothing to do, whatever became of the
files since then. Otherwise the files are published, which readers of the table do not see, and then the
table names them in one commit. After a crash in between the same is done again.
"""

from __future__ import annotations

import base64
import hashlib
import zlib
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import replace
from typing import Any, Protocol, runtime_checkable

import pyarrow as pa

from ktrans.api import (
    ComponentConfig,
    ConfigError,
    Context,
    EpochId,
    Format,
    FormatWriter,
    Receipt,
    StateError,
)
from ktrans.api.errors import state_is_older
from ktrans.api.table import Table, TableFile, TableLayout, TableMark, TablePart, TableStore
from ktrans.kit.files.path_template import RESERVED, Key, PathTemplate, Slot


@runtime_checkable
class TableFormat(Protocol):
    """A format whose files can be those of a table."""

    def bind_table(self, schema: pa.Schema) -> None:
        """Take the schema of the files, as `Format.bind` does."""


@runtime_checkable
class TableFormatWriter(Protocol):
    """The writer of such a format."""

    def bounds(self) -> Mapping[str, tuple[Any, Any, int]]:
        """Return the statistics of a complete file, see `TableFile.bounds`."""


class SinkTable:
    """The table of one sink.

    Args:
        root: the folder that all files are below, see `TableStore`.
        options: returns how to reach it, with credentials that are valid for some time.
    """

    def __init__(
        self,
        config: ComponentConfig,
        context: Context,
        template: PathTemplate,
        root: str,
        options: Callable[[], Mapping[str, str]],
    ) -> None:
        if context.registry is None:
            raise ConfigError(
                f"without a registry there is no table {config.type!r}", code="no_registry"
            )
        self.table: Table[Any] = context.registry.build("table", config, context)
        self._context = context
        self._parts = _parts_of(template)
        self._root = root
        self._options = options
        self._layout = TableLayout(pa.schema([]), ())
        self._checked = False

    def bind(self, schema: pa.Schema, dropped: Collection[str]) -> Collection[str]:
        """Take the schema of the rows; return the columns that the files must not have.

        Raises:
            ConfigError: the table cannot have such rows.
        """
        layout = TableLayout(self.table.stored(schema), self._parts)
        absent = self.table.without(layout, dropped)
        self._layout = replace(layout, absent=absent)
        return absent

    def bind_format(self, made: Format[Any], schema: pa.Schema) -> None:
        """Let a format write the columns of a schema with the types of the table.

        Raises:
            ConfigError: it is no format of tables.
        """
        if not isinstance(made, TableFormat):
            raise ConfigError(
                f"tables consist of Parquet files, not of {made.config.type}",
                field="format",
                code="format_not_supported",
                hint="leave out `format`, or `table`",
            )
        made.bind_table(pa.schema([self._layout.schema.field(name) for name in schema.names]))

    def describe(self, key: Key, path: str, writer: FormatWriter) -> Mapping[str, Any]:
        """Return what a receipt says of a complete file."""
        assert isinstance(writer, TableFormatWriter)
        return {"path": path, "values": key, "bounds": writer.bounds()}

    def data(self) -> Mapping[str, Any]:
        """Return what a receipt says of the table, so that its commit needs nothing else."""
        return {
            "table": {
                "is": self.table.identity(self._root),
                "schema": _packed(self._layout.schema),
                "absent": sorted(self._layout.absent),
                "parts": [[part.column, part.format, part.name] for part in self._parts],
            }
        }

    def close(self) -> None:
        """Close its connections."""
        self.table.close()

    def check(self) -> None:
        """Check that the table can take the rows to come."""
        self.table.check_fits(self._store(), self._layout)

    def check_once(self, epoch: EpochId) -> None:
        """Check it before the first epoch, so that nothing is read in vain.

        Raises:
            StateError: the table has a later epoch, or this one, which was never decided.
        """
        if not self._checked and not self._context.ephemeral:
            self.check()
            mark = self._mark(epoch, "")
            last = self.table.last(self._store(), mark)
            if last is not None and last.number >= mark.number + epoch.decided:
                raise state_is_older(f"the table of {mark.writer}", last.number, mark.number)
        self._checked = True

    def commit(
        self,
        epoch: EpochId,
        receipts: Sequence[Receipt],
        publish: Callable[[Sequence[Mapping[str, Any]]], None],
    ) -> None:
        """Publish the files of an epoch and add them to the table. Doing it again changes nothing.

        Raises:
            StateError: they were staged for another table, or for none.
        """
        files = [file for receipt in receipts for file in receipt.data["files"]]
        if not files:
            return
        store = self._store()
        staged = next(receipt.data for receipt in receipts if receipt.data["files"]).get("table")
        if staged is None or staged["is"] != self.table.identity(self._root):
            raise other_table(epoch)
        mark = self._mark(epoch, _digest(files))
        if mark.is_done(self.table.last(store, mark)):
            return
        publish(files)
        parts = [TablePart(*part) for part in staged["parts"]]
        schema = self._described(_unpacked(staged["schema"]))
        layout = TableLayout(schema, parts, staged["absent"])
        self.table.add(store, mark, layout, [_file(file) for file in files])

    def _mark(self, epoch: EpochId, digest: str) -> TableMark:
        names = (epoch.pipeline, self._context.name, epoch.history)
        return TableMark("/".join(name for name in names if name), epoch.number, digest)

    def _store(self) -> TableStore:
        return TableStore(self._root, self._options())

    def _described(self, schema: pa.Schema) -> pa.Schema:
        """Return a schema with the descriptions of the columns, which receipts do not repeat."""
        known = self._layout.schema
        return pa.schema(
            [
                field.with_metadata(known.field(field.name).metadata)
                if field.name in known.names
                else field
                for field in schema
            ]
        )


def other_table(epoch: EpochId) -> StateError:
    """Return the error for an epoch that was staged for another table, or for none."""
    return StateError(
        f"epoch {epoch.number} was staged for another `table` of the sink, or for none",
        code="pipeline_changed",
        hint="put it back for one run, which completes the epoch; change it after that",
    )


def _digest(files: Sequence[Mapping[str, Any]]) -> str:
    """Return a digest of what an epoch that is processed again has in common with the first time."""
    known = sorted((file["path"], file["rows"]) for file in files)
    return hashlib.blake2b(repr(known).encode(), digest_size=8).hexdigest()


def _file(file: Mapping[str, Any]) -> TableFile:
    bounds = {name: (low, high, nulls) for name, (low, high, nulls) in file["bounds"].items()}
    return TableFile(file["path"], file["rows"], file["bytes"], file["values"], bounds)


def _parts_of(template: PathTemplate) -> list[TablePart]:
    """Return the parts of a path, each with its name if its folder is `name={...}`."""
    parts = []
    folders: list[list[str | Slot]] = [[]]
    for piece in template.folders:
        if isinstance(piece, Slot):
            folders[-1].append(piece)
            continue
        first, *more = piece.split("/")
        folders[-1].append(first)
        folders += [[text] for text in more]
    for folder in folders:
        found = [piece for piece in folder if piece]
        match found:
            case [str(name), Slot() as slot] if name.endswith("="):
                parts.append(TablePart(slot.column, slot.format, name[:-1]))
            case _:
                slots = [piece for piece in found if isinstance(piece, Slot)]
                parts += [TablePart(slot.column, slot.format) for slot in slots]
    in_name = [piece for piece in template.name if isinstance(piece, Slot)]
    parts += [TablePart(s.column, s.format) for s in in_name if s.column not in RESERVED]
    return parts


def _packed(schema: pa.Schema) -> str:
    plain = pa.schema([pa.field(field.name, field.type) for field in schema])
    return base64.b85encode(zlib.compress(plain.serialize().to_pybytes(), 9)).decode()


def _unpacked(text: str) -> pa.Schema:
    return pa.ipc.read_schema(pa.py_buffer(zlib.decompress(base64.b85decode(text))))
