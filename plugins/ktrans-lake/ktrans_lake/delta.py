"""Delta Lake: files become part of the table in its folder by one commit to its log.

The log has, in the same commit, the transaction of this writer with the number of the epoch (`txn`, see
"Transaction Identifiers" in the Delta protocol). A commit whose number the table has is not repeated.
Two writers with the same mark exclude each other: the log refuses the second one.
"""

from __future__ import annotations

import json
import time
from collections.abc import Collection, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import pyarrow as pa

from ktrans.api import ConfigError, Table, TableFile, TableLayout, TableMark, TablePart, TableStore
from ktrans_lake.columns import plain, stored
from ktrans_lake.config import DeltaTableConfig
from ktrans_lake.errors import ConflictError, library_errors, repeated

DAY = "%Y-%m-%d"
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_IGNORED_BY_US = ("delta.generationExpression", "delta.invariants", "delta.identity.start")
"""What a column's metadata may demand of writers, and files that are added do not heed."""


class DeltaTable(Table[DeltaTableConfig]):
    """A table in the folder of the files."""

    _opened: tuple[TableMark, Any] | None = None

    def identity(self, root: str) -> str:
        """Return its kind and folder."""
        return f"delta {root}"

    def stored(self, schema: pa.Schema) -> pa.Schema:
        """Return a schema of types that Delta Lake has."""
        return stored(schema, "a Delta table", small=True)

    def without(self, layout: TableLayout, dropped: Collection[str]) -> Collection[str]:
        """Return the columns that are partitions under their own name, and those dropped.

        Raises:
            ConfigError: a partition has the name of another column, or a column would be lost.
        """
        parts = _partitions(layout)
        names = [part.name for part in parts]
        for part in parts:
            itself = part.name == part.column and not part.format
            if names.count(part.name) > 1 or (part.name in layout.schema.names and not itself):
                raise ConfigError(
                    f"the path has a folder {part.name}=, and the table would have two columns of that"
                    " name",
                    field="path",
                    code="table_partitions",
                    hint="give the folder another name",
                )
        lost = set(dropped) - {part.column for part in parts if not part.format}
        if lost:
            raise ConfigError(
                f"the table would not have the column {min(lost)!r}: it is in the path, but in no"
                " folder name={column}",
                field="path",
                code="table_partitions",
                hint="write such a folder, or leave out `keep_partition_columns: false`",
            )
        return {*dropped, *(part.column for part in parts if part.name == part.column)}

    def check_fits(self, store: TableStore, layout: TableLayout) -> None:
        """Check that the table, if it is there, can take the rows."""
        with library_errors(f"read the Delta table {store.root}"):
            table = self._open(store)
            if table is not None:
                _missing(table, layout)

    def last(self, store: TableStore, mark: TableMark) -> TableMark | None:
        """Return the number of the writer's last transaction, and what that commit says of itself."""

        def look() -> TableMark | None:
            with library_errors(f"read the Delta table {store.root}"):
                table = self._open(store)
                self._opened = (mark, table)
                return None if table is None else _last(table, mark)

        return repeated(look, self.context)

    def add(
        self, store: TableStore, mark: TableMark, layout: TableLayout, files: Sequence[TableFile]
    ) -> None:
        """Commit the files with the writer's transaction."""

        def commit() -> None:
            with library_errors(f"commit to the Delta table {store.root}"):
                self._commit(store, mark, layout, files)

        repeated(commit, self.context)

    def _commit(
        self, store: TableStore, mark: TableMark, layout: TableLayout, files: Sequence[TableFile]
    ) -> None:
        from deltalake import CommitProperties, Transaction
        from deltalake.exceptions import CommitFailedError
        from deltalake.transaction import AddAction

        opened, self._opened = self._opened, None
        table = opened[1] if opened and opened[0] == mark else self._open(store)
        if table is None:
            table = self._create(store, layout)
        if mark.is_done(_last(table, mark)):
            return
        actions = [
            AddAction(
                path=file.path,
                size=file.bytes,
                partition_values=_values(layout, file),
                modification_time=int(time.time() * 1000),
                data_change=True,
                stats=_statistics(layout, file),
            )
            for file in files
        ]
        try:
            if new := _missing(table, layout):
                table.alter.add_columns(new)
            table.create_write_transaction(
                actions,
                mode="append",
                schema=table.schema(),
                partition_by=table.metadata().partition_columns,
                commit_properties=CommitProperties(
                    custom_metadata=_described(mark),
                    app_transactions=[Transaction(mark.writer, mark.number)],
                ),
            )
        except CommitFailedError as error:
            raise ConflictError(f"commit to the Delta table {store.root}") from error

    def _open(self, store: TableStore) -> Any:
        """Return the table as it is now; None if there is none."""
        from deltalake import DeltaTable as Handle

        options = self._options(store)
        if not Handle.is_deltatable(store.root, options):
            return None
        return Handle(store.root, storage_options=options)

    def _create(self, store: TableStore, layout: TableLayout) -> Any:
        from deltalake import DeltaTable as Handle
        from deltalake.exceptions import DeltaError

        try:
            return Handle.create(
                store.root,
                _schema(layout),
                mode="error",
                partition_by=[part.name for part in _partitions(layout)],
                configuration=dict(self.config.properties),
                storage_options=self._options(store),
            )
        except DeltaError as error:
            if self._open(store) is None:
                raise
            raise ConflictError(f"make the Delta table {store.root}") from error

    def _options(self, store: TableStore) -> dict[str, str]:
        given = {name: value.get_secret_value() for name, value in self.config.storage.items()}
        return {**store.options, **given}


def _described(mark: TableMark) -> dict[str, str]:
    """Return what a commit says of itself."""
    return {
        "ktrans.writer": mark.writer,
        "ktrans.epoch": str(mark.number),
        "ktrans.files": mark.digest,
    }


def _last(table: Any, mark: TableMark) -> TableMark | None:
    """Return the writer's last mark. The digest is looked up, in the history, if numbers are equal."""
    number = table.transaction_version(mark.writer)
    if number is None:
        return None
    digest = ""
    if number == mark.number:
        wanted = (mark.writer, str(number))
        told = [
            c for c in table.history() if (c.get("ktrans.writer"), c.get("ktrans.epoch")) == wanted
        ]
        digest = told[0].get("ktrans.files", "") if told else ""
    return TableMark(mark.writer, number, digest)


def _partitions(layout: TableLayout) -> list[TablePart]:
    """Return the parts of the path that are partitions: the folders with a name."""
    return [part for part in layout.parts if part.name]


def _schema(layout: TableLayout) -> pa.Schema:
    """Return the columns of the table: those of the files, then the partitions."""
    declared = plain(layout.schema, "comment")
    fields = [field for field in declared if field.name not in layout.absent]
    for part in _partitions(layout):
        field = declared.field(part.column)
        if part.format:
            field = pa.field(part.name, pa.date32() if part.format == DAY else pa.string())
        fields.append(field.with_name(part.name))
    return pa.schema(fields)


def _missing(table: Any, layout: TableLayout) -> list[Any]:
    """Return the columns that the table does not have yet.

    Raises:
        ConfigError: it cannot take rows of this layout.
    """
    from deltalake import Schema

    settings = table.metadata().configuration
    unsafe = [name for name in settings if name.startswith("delta.constraints.")]
    if settings.get("delta.columnMapping.mode", "none") != "none":
        unsafe.append("delta.columnMapping.mode")
    if settings.get("delta.enableRowTracking") == "true":
        unsafe.append("delta.enableRowTracking")
    known = {field.name: field for field in table.schema().fields}
    unsafe += [
        f"{key} of {name}"
        for name, field in known.items()
        for key in _IGNORED_BY_US
        if key in (field.metadata or {})
    ]
    if unsafe:
        raise ConfigError(
            f"the table has {', '.join(unsafe)}, which files that are added to it do not heed",
            code="table_features",
            hint="turn that off, or write to another table",
        )
    there, wanted = table.metadata().partition_columns, [p.name for p in _partitions(layout)]
    if there != wanted:
        raise ConfigError(
            f"the table is partitioned by {_listed(there)}, and the path by {_listed(wanted)}",
            field="path",
            code="table_partitions",
            hint="write a folder name={column} for each partition of the table, in its order",
        )
    new = []
    fields = Schema.from_arrow(_schema(layout)).fields
    for field in fields:
        old = known.get(field.name)
        if old is None:
            new.append(field)
        elif old.type != field.type:
            raise ConfigError(
                f"column {field.name!r} is {_name(field.type)}, and {_name(old.type)} in the table",
                code="table_columns",
                hint="cast or rename it with a derive or select enricher, or write to another table",
            )
    strict = [field.name for field in known.values() if not field.nullable]
    if strict:
        raise ConfigError(
            f"column {strict[0]!r} of the table must not be null, which files that are added to it do"
            " not heed",
            code="table_columns",
            hint="let the column be null, or write to another table",
        )
    return new


def _listed(names: Sequence[str]) -> str:
    return ", ".join(names) or "nothing"


def _name(kind: Any) -> str:
    return str(getattr(kind, "type", kind))


def _values(layout: TableLayout, file: TableFile) -> dict[str, str | None]:
    """Return the values of the partitions; Delta Lake has no empty text there."""
    pairs = zip(layout.parts, file.values, strict=True)
    return {part.name: value or None for part, value in pairs if part.name}


def _statistics(layout: TableLayout, file: TableFile) -> str:
    """Return the statistics of a file as the log has them: JSON."""
    low: dict[str, Any] = {}
    high: dict[str, Any] = {}
    nulls: dict[str, int] = {}
    for name, (least, greatest, count) in file.bounds.items():
        nulls[name] = count
        kind = layout.schema.field(name).type
        if least is None or not (bounds := _readable(kind, least, greatest)):
            continue
        low[name], high[name] = bounds
    return json.dumps(
        {"numRecords": file.rows, "minValues": low, "maxValues": high, "nullCount": nulls}
    )


def _readable(kind: pa.DataType, least: Any, greatest: Any) -> tuple[Any, Any] | None:
    """Return bounds as JSON has them; times in milliseconds, rounded outwards."""
    try:
        if pa.types.is_timestamp(kind):
            zone = "Z" if kind.tz else ""
            return _time(least // 1000, zone), _time(-(-greatest // 1000), zone)
        if pa.types.is_date(kind):
            days = (least, greatest)
            first, last = ((_EPOCH + timedelta(days=day)).date().isoformat() for day in days)
            return first, last
    except OverflowError:
        return None
    return least, greatest


def _time(millis: int, zone: str) -> str:
    moment = _EPOCH + timedelta(milliseconds=millis)
    return f"{moment:%Y-%m-%dT%H:%M:%S}.{moment.microsecond // 1000:03}{zone}"
