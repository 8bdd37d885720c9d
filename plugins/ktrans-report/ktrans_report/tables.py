"""Tables as places: the rows of the current snapshot of a Delta Lake or Apache Iceberg table.

Files that were removed from a table, or never committed to it, are not read. The libraries deltalake and
pyiceberg come with the plugin ktrans-lake, and are imported when a table is read.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ktrans.api import (
    AccessError,
    ConfigError,
    KtransError,
    RunError,
    UnavailableError,
    UsageError,
)
from ktrans_report.columns import TIMES, WANTED
from ktrans_report.places import File, Found, joined, local_path, system_at

METADATA = ".metadata.json"
_INSTALL = "pip install 'ktrans[lake]', or the plugin ktrans-lake from a checkout"
_LONGEST = 300
_SQLITE = "sqlite:///"
_SLASHES = "three slashes are before a relative path, four before an absolute one"
_SECRETS = re.compile(r"(://[^/\s:@]*):[^@\s/]+@")


@dataclass(frozen=True, slots=True)
class Rows:
    """The rows of a table, of the columns that charts may need.

    Attributes:
        schema: of these columns.
        read: returns the rows as batches.
    """

    schema: Any
    read: Callable[[], Any] = field(repr=False)


def is_delta(place: str, endpoint: str | None) -> bool:
    """Return whether a place is the folder of a Delta table."""
    system, path = system_at(place, endpoint)
    if system is None:
        return (local_path(place) / "_delta_log").is_dir()
    from pyarrow.fs import FileType

    with contextlib.suppress(OSError):  # listing the files says what is wrong
        return bool(system.get_file_info(f"{path}/_delta_log").type == FileType.Directory)
    return False


def delta(place: str, endpoint: str | None) -> Found:
    """Find the rows of the newest version of a Delta table.

    Raises:
        ConfigError: deltalake is not installed.
        RunError: the table cannot be read.
    """
    with _library("deltalake", place):
        from deltalake import DeltaTable

        uri, options = _object_store(place, endpoint)
        table = DeltaTable(uri, storage_options=options)
        mode = table.metadata().configuration.get("delta.columnMapping.mode", "none")
        if mode != "none":
            raise UsageError(
                f"{place} has columns of other names than its files (delta.columnMapping.mode)",
                code="no_lake",
                hint="export its rows with an engine that knows this, and draw the export",
            )
        dataset = table.to_pyarrow_dataset()
        added = table.get_add_actions().to_struct_array().to_pylist()
    names = _wanted(dataset.schema.names)
    files = [_file(joined(place, one["path"]), one["size_bytes"]) for one in added]

    def read() -> Any:
        return dataset.scanner(columns=names, batch_readahead=2, fragment_readahead=1).to_reader()

    notes = [f"The rows are those of version {table.version()} of the Delta table."]
    schema = dataset.scanner(columns=names).projected_schema
    return Found(files, notes, Rows(schema, read))


def iceberg(name: str, catalog: str | None, endpoint: str | None) -> Found:
    """Find the rows of the current snapshot of an Iceberg table.

    Args:
        name: the table in its catalogue, or a metadata file.
        catalog: the catalogue's address, or its name in the settings of pyiceberg.
        endpoint: of S3.

    Raises:
        ConfigError: pyiceberg is not installed.
        UsageError: there is no such table.
        RunError, AccessError, UnavailableError: it cannot be read.
    """
    with _library("pyiceberg", name):
        options = {"s3.endpoint": endpoint} if endpoint else {}
        if name.endswith(METADATA):
            from pyiceberg.table import StaticTable

            place = name if "://" in name else f"file://{local_path(name).absolute()}"
            table: Any = StaticTable.from_metadata(place, options)
        else:
            table = _load(name, catalog, options)
        scan = table.scan(
            selected_fields=tuple(_wanted([one.name for one in table.schema().fields]))
        )
        planned = [task.file for task in scan.plan_files()]
        schema = scan.projection().as_arrow()
    files = [_file(one.file_path, one.file_size_in_bytes) for one in planned]
    snapshot = table.current_snapshot()
    which = f"snapshot {snapshot.snapshot_id}" if snapshot else "an empty state"
    notes = [f"The rows are those of {which} of the Iceberg table."]
    return Found(files, notes, Rows(schema, scan.to_arrow_batch_reader))


def _load(name: str, catalog: str | None, options: dict[str, str]) -> Any:
    from pyiceberg.catalog import load_catalog
    from pyiceberg.exceptions import NoSuchNamespaceError, NoSuchTableError

    options["init_catalog_tables"] = "false"  # a report makes nothing
    if catalog and "://" in catalog:
        file = catalog.removeprefix(_SQLITE)
        if file != catalog and not Path(file).is_file():
            raise UsageError(f"there is no catalogue {catalog}", code="no_lake", hint=_SLASHES)
        opened = load_catalog("default", uri=catalog, **options)
    else:
        opened = load_catalog(catalog or "default", **options)
    try:
        return opened.load_table(name)
    except (NoSuchTableError, NoSuchNamespaceError):
        raise UsageError(
            f"the catalogue has no table {name}",
            code="no_lake",
            hint="--iceberg takes namespace and name, such as lake.flows",
        ) from None


def _file(path: str, size: int) -> File:
    return File(path, "parquet", path, size=size)


def _wanted(names: list[str]) -> list[str]:
    """Return the columns that charts may need."""
    tops = {name.split(".")[0] for one in (*TIMES, *WANTED) for name in one.names}
    return [name for name in names if name in tops]


def _object_store(place: str, endpoint: str | None) -> tuple[str, dict[str, str] | None]:
    """Return a place as deltalake names it, with its options."""
    scheme, there, rest = place.partition("://")
    if not there or scheme == "file":
        return str(local_path(place).absolute()), None
    if scheme == "az":
        account, _, path = rest.partition("/")
        return f"az://{path}", {"azure_storage_account_name": account}
    if scheme == "s3" and endpoint:
        return place, {
            "aws_endpoint": endpoint,
            "aws_allow_http": str(endpoint.startswith("http://")),
        }
    return f"{'gs' if scheme == 'gcs' else scheme}://{rest}", None


@contextlib.contextmanager
def _library(module: str, place: str) -> Iterator[None]:
    """Turn errors of the libraries of tables into those of ktrans."""
    try:
        yield
    except KtransError:
        raise
    except ImportError as error:
        if (error.name or "").split(".")[0] not in {module, "sqlalchemy"}:
            raise
        raise ConfigError(
            f"{place} is a table, and {error.name} is not installed",
            code="table_library",
            hint=_INSTALL,
        ) from None
    except Exception as error:  # noqa: BLE001 - the libraries raise all kinds
        text = _SECRETS.sub(r"\1:***@", " ".join(str(error).split()))[:_LONGEST]
        if isinstance(error, PermissionError) or type(error).__name__ in _DENIED:
            raise AccessError(f"cannot read the table {place}: {text}") from None
        if isinstance(error, OSError):
            raise UnavailableError(f"cannot read the table {place}: {text}") from None
        raise RunError(
            f"cannot read the table {place}: {text}",
            code="lake_unreadable",
            hint="check the address and credentials of the table and of its catalogue",
        ) from None


_DENIED = frozenset({"UnauthorizedError", "ForbiddenError", "OAuthError"})
