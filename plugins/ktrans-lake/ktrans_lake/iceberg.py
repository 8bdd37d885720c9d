"""Apache Iceberg: files become part of a table by one snapshot in a catalogue.

The same commit sets a property of the table: the writer and the number of its last epoch. A commit whose
number the table has is not repeated. A catalogue refuses a commit that is not based on the table as it is
(`assert-ref-snapshot-id`); then the table is read again, with its property, before another attempt.
pyiceberg's own repetition of commits is off, since it does not look at the property.
"""

from __future__ import annotations

import contextlib
from collections.abc import Collection, Iterator, Sequence
from typing import Any

import pyarrow as pa

from ktrans.api import (
    ConfigError,
    RetryableError,
    Table,
    TableFile,
    TableLayout,
    TableMark,
    TableStore,
)
from ktrans_lake.columns import plain, stored
from ktrans_lake.config import IcebergTableConfig
from ktrans_lake.errors import (
    ConflictError,
    against_others,
    library_errors,
    repeated,
    text_of,
)
from ktrans_lake.iceberg_files import FILE_OPTIONS, check_absent, data_file, values_of, wanted

_RETRIES = "commit.retry.num-retries"
_NAMES = "schema.name-mapping.default"
_NEW_TABLE = {
    "commit.manifest-merge.enabled": "true",
    "write.metadata.delete-after-commit.enabled": "true",
    "write.metadata.previous-versions-max": "100",
}
"""Properties of new tables: without them, manifests and metadata files add up commit by commit."""
_MARK = "ktrans.writer."
_SQLITE = "sqlite:///"


class IcebergTable(Table[IcebergTableConfig]):
    """A table in a catalogue; its files are in the folder of the sink."""

    _catalog: tuple[TableStore, Any] | None = None

    def identity(self, root: str) -> str:
        """Return its kind, catalogue, name and folder."""
        config = self.config
        return f"iceberg {config.catalog} {config.catalog_name} {config.table} {root}"

    def stored(self, schema: pa.Schema) -> pa.Schema:
        """Return a schema of types that Iceberg has."""
        return stored(schema, "an Iceberg table", small=False)

    def without(self, layout: TableLayout, dropped: Collection[str]) -> Collection[str]:  # noqa: ARG002
        """Return the dropped columns: a table is partitioned by their values, so that it has them."""
        return dropped

    def check_fits(self, store: TableStore, layout: TableLayout) -> None:
        """Check that the catalogue answers, and that the table, if it is there, can take the rows."""

        def check() -> None:
            with self._errors("read the Iceberg table"):
                table = self._load(store)
                if table is not None:
                    self._ready(table.transaction(), layout)

        against_others(check, self.context)

    def last(self, store: TableStore, mark: TableMark) -> TableMark | None:
        """Return what the table's property says of the writer's last commit."""

        def look() -> TableMark | None:
            with self._errors("read the Iceberg table"):
                table = self._load(store)
                return None if table is None else _last(table, mark)

        return repeated(look, self.context)

    def add(
        self, store: TableStore, mark: TableMark, layout: TableLayout, files: Sequence[TableFile]
    ) -> None:
        """Commit the files with the writer's property, and new columns."""

        def commit() -> None:
            with self._errors("commit to the Iceberg table"):
                table = self._load(store) or self._create(store, layout)
                if not mark.is_done(_last(table, mark)):
                    self._commit(table, store, mark, layout, files)

        repeated(commit, self.context)

    def close(self) -> None:
        """Close the connections to the catalogue."""
        if self._catalog is not None:
            self._catalog[1].close()
            self._catalog = None

    def _commit(
        self,
        table: Any,
        store: TableStore,
        mark: TableMark,
        layout: TableLayout,
        files: Sequence[TableFile],
    ) -> None:
        settings = {**table.metadata.properties, _RETRIES: "0"}
        # In memory only: a commit sends changes, and other writers keep their own setting.
        table.metadata = table.metadata.model_copy(update={"properties": settings})
        change = table.transaction()
        values = self._ready(change, layout)
        change.set_properties({_MARK + mark.writer: f"{mark.number} {mark.digest}"})
        root = _uri(store.root)
        described = {"ktrans.writer": mark.writer, "ktrans.epoch": str(mark.number)}
        with change.update_snapshot(snapshot_properties=described).merge_append() as append:
            metadata = change.table_metadata
            for file in files:
                entry = data_file(f"{root}/{file.path}", file, metadata, values)
                append.append_data_file(entry)
        change.commit_transaction()

    def _ready(self, change: Any, layout: TableLayout) -> list[Any]:
        """Add new columns to a change of the table; return how its partitions follow from the path.

        Raises:
            ConfigError: the table cannot take rows of this layout.
        """
        declared = plain(layout.schema, "doc")
        schema = change.table_metadata.schema()
        known = {field.name: field for field in schema.fields}
        required = [f.name for f in schema.fields if f.required]
        if required:
            raise ConfigError(
                f"column {required[0]!r} of the table is required, which rows of flows cannot promise",
                code="table_columns",
                hint="make the column optional, or write to another table",
            )
        fields = [f.remove_metadata() if f.name in known else f for f in declared]
        try:
            with change.update_schema() as update:
                update.union_by_name(pa.schema(fields))
        except Exception as error:
            if type(error).__name__ not in {"ValueError", "ValidationError", "ResolveError"}:
                raise
            raise ConfigError(
                f"the table cannot take the columns of the rows: {text_of(error)}",
                code="table_columns",
                hint="cast or rename it with a derive or select enricher, or write to another table",
            ) from error
        metadata = change.table_metadata
        if _NAMES not in metadata.properties:
            change.set_properties({_NAMES: metadata.schema().name_mapping.model_dump_json()})
        check_absent(metadata.spec(), metadata.schema(), layout)
        return list(values_of(metadata.spec(), metadata.schema(), layout))

    def _load(self, store: TableStore) -> Any:
        """Return the table as it is now; None if there is none."""
        from pyiceberg.exceptions import NoSuchNamespaceError, NoSuchTableError

        try:
            return self._connected(store).load_table(self.config.table)
        except (NoSuchTableError, NoSuchNamespaceError):
            return None

    def _create(self, store: TableStore, layout: TableLayout) -> Any:
        from pyiceberg.transforms import parse_transform

        catalog = self._connected(store)
        namespace = self.config.table.rpartition(".")[0]
        if not catalog.namespace_exists(namespace):
            catalog.create_namespace_if_not_exists(namespace)
        change = catalog.create_table_transaction(
            self.config.table,
            plain(layout.schema, "doc"),
            location=_uri(store.root),
            properties={**_NEW_TABLE, **self.config.properties},
        )
        with change.update_spec() as spec:
            for column, transform in wanted(layout).items():
                name = column if transform == "identity" else f"{column}_{transform}"
                spec.add_field(column, parse_transform(transform), name)
        return change.commit_transaction()

    def _connected(self, store: TableStore) -> Any:
        """Return the catalogue, with the credentials of the store."""
        from pyiceberg.catalog import load_catalog

        if self._catalog is None or self._catalog[0] != store:
            self.close()
            self._catalog = (store, load_catalog(self.config.catalog_name, **self._options(store)))
        return self._catalog[1]

    def _options(self, store: TableStore) -> dict[str, str]:
        config = self.config
        given = {
            "type": config.catalog,
            "uri": self._address(),
            "warehouse": config.warehouse or _uri(store.root),
            "token": config.token and config.token.get_secret_value(),
            "credential": config.credential and config.credential.get_secret_value(),
        }
        if config.catalog == "rest" and config.warehouse is None:
            del given["warehouse"]
        files = {FILE_OPTIONS[n]: v for n, v in store.options.items() if n in FILE_OPTIONS}
        more = {name: value.get_secret_value() for name, value in config.catalog_options.items()}
        return {**files, **{name: value for name, value in given.items() if value}, **more}

    def _address(self) -> str:
        """Return the catalogue's address; a relative SQLite file is beside the pipeline file."""
        uri = self.config.uri.get_secret_value()
        if uri.startswith(_SQLITE) and not uri.startswith(f"{_SQLITE}/"):
            return _SQLITE + str(self.context.path(uri.removeprefix(_SQLITE)))
        return uri

    @contextlib.contextmanager
    def _errors(self, what: str) -> Iterator[None]:
        """Turn errors into those of ktrans, and conflicts into ConflictError."""
        what = f"{what} {self.config.table}"
        with library_errors(what):
            try:
                yield
            except Exception as error:
                name = type(error).__name__
                if name in _CONFLICTS or (name in _OF_SQL and _MADE_BY_OTHER in str(error)):
                    raise ConflictError(what) from error
                if name in _UNKNOWN:
                    raise RetryableError(
                        f"cannot {what}: no answer that says whether it was done: {text_of(error)}",
                        code="unreachable",
                    ) from error
                raise


_CONFLICTS = {
    *("CommitFailedException", "ValidationException", "TableAlreadyExistsError"),
    *("NamespaceAlreadyExistsError", "IntegrityError"),
}
_OF_SQL = {"OperationalError", "ProgrammingError"}
_MADE_BY_OTHER = " already exists"
"""Two that come first to a new SQL catalogue both make its tables; the second finds them there."""
_UNKNOWN = {"CommitStateUnknownException"}
"""Before another attempt the property of the table tells whether it was done."""


def _last(table: Any, mark: TableMark) -> TableMark | None:
    text = table.metadata.properties.get(_MARK + mark.writer)
    if text is None:
        return None
    number, _, digest = text.partition(" ")
    return TableMark(mark.writer, int(number), digest)


def _uri(root: str) -> str:
    return root if "://" in root else f"file://{root}"
