"""The enricher that looks addresses and identifiers up in snapshots."""

from __future__ import annotations

import abc
import threading
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, TypeVar

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from ktrans.api import Reach
from ktrans.kit import log_events
from ktrans.kit.column_enricher import ColumnEnricher
from ktrans.kit.columns import is_text, require_text, side_of, text_field
from ktrans.kit.flow_rules import SIDES
from ktrans.kit.inventory.files import DatedSnapshots, SnapshotReader
from ktrans.kit.inventory.options import InventoryConfig
from ktrans.kit.inventory.records import Snapshot
from ktrans.kit.inventory.table import HolderTable, Value

_TIME = pa.timestamp("us", tz="UTC")
_START = "start_time"
_NETWORK = "vpc_id"
_BEFORE_ALL = -(1 << 62)
_TAG = "tag_"

Cloud = TypeVar("Cloud", bound=InventoryConfig)


class InventoryEnricher(ColumnEnricher[Cloud], abc.ABC):
    """Looks the distinct identifiers and addresses of each batch up in a snapshot.

    The snapshot is a file, what the cloud says when the run starts, or, of a folder, the one in force
    when a row started.

    Attributes:
        cloud: what is asked without a snapshot, for messages.
        values: for each column how to get it from a holder, and its description.
        reader: what reads snapshot files.
    """

    replaces = ()
    names_option = "naming"
    cloud: ClassVar[str]
    values: ClassVar[Mapping[str, tuple[Value, str]]]
    reader: ClassVar[SnapshotReader[Any]]
    _table: HolderTable | None = None
    _dated: DatedSnapshots[Any] | None = None

    def __init__(self, *given: Any) -> None:
        super().__init__(*given)
        self._lock = threading.Lock()

    @abc.abstractmethod
    def ask(self) -> Snapshot[Any]:
        """Ask the cloud.

        Raises:
            KtransError: it does not answer, or refuses.
        """

    @staticmethod
    def identifiers(holder: Any) -> Sequence[str]:
        """Return what the column `interface` may hold for a holder."""
        return (holder.id,)

    @staticmethod
    def identifier(text: str) -> str:
        """Return the identifier that a value of the column `interface` means."""
        return text

    @staticmethod
    def network(holder: Any) -> str | None:
        """Return the network of a holder, as rows name it."""
        found: str | None = holder.vpc_id
        return found

    @property
    def runs(self) -> Reach:
        """Anywhere with a snapshot; without one each process would ask at another time."""
        return "anywhere" if self.config.snapshot else "here"

    @property
    def bound_because(self) -> str:
        """Why it is bound without a snapshot."""
        if self.config.snapshot:
            return ""
        return (
            f"it asks {self.cloud} once a run (a file in `snapshot` is the same for all processes)"
        )

    def reads(self) -> Sequence[str]:
        """Return the columns to look up, and the time if there are snapshots of several times."""
        return [*self._keys(), *([_START] if self._is_folder() else [])]

    def needs(self) -> Sequence[str]:
        """Return what it reads, and the networks, which separate equal addresses."""
        networks = [_NETWORK, *(f"{side}_vpc" for side in SIDES)]
        return [*self.reads(), *(networks if self.config.addresses else [])]

    def columns(self) -> Mapping[str, pa.Field]:
        """Return the new columns."""
        fields = [
            text_field(self._name(key, column), f"{key}: {self._says(column)}")
            for key in self._keys()
            for column in self._wanted()
        ]
        if self.config.time_column:
            metadata = {"description": "when the snapshot was taken"}
            fields.append(pa.field(self.config.time_column, _TIME, metadata=metadata))
        return {field.name: field for field in fields}

    def check(self) -> None:
        """Read the last snapshot, or ask the cloud."""
        self._load()

    def bind(self, schema: pa.Schema) -> pa.Schema:
        """Check the columns and add the new ones.

        Raises:
            ConfigError: a column is missing or not text, or a new one has the name of another.
        """
        if self.config.snapshot is not None:
            self._load()
        require_text(schema, self._keys(), self.config.type)
        return super().bind(schema)

    def compute(self, batch: pa.RecordBatch) -> Mapping[str, pa.Array]:
        """Look up all rows of each snapshot together."""
        self._load()
        if self._dated is None:
            return self._found(batch, self._table)
        which = self._in_force(batch, self._dated)
        snapshots = np.unique(which).tolist() or [-1]
        if len(snapshots) == 1:
            return self._found(batch, self._at(snapshots[0]))
        rows = [np.flatnonzero(which == one) for one in snapshots]
        parts = [
            self._found(batch.take(pa.array(some)), self._at(one))
            for some, one in zip(rows, snapshots, strict=True)
        ]
        back = pa.array(np.argsort(np.concatenate(rows)))
        return {name: _joined([part[name] for part in parts]).take(back) for name in parts[0]}

    def _in_force(self, batch: pa.RecordBatch, dated: DatedSnapshots[Any]) -> np.ndarray:
        """Return the position of each row's snapshot, -1 for none; a row without time has none."""
        times = batch.column(_START).cast(_TIME).cast(pa.int64())
        known = np.asarray(times.is_valid().to_numpy(zero_copy_only=False))
        which = dated.in_force(np.asarray(times.fill_null(_BEFORE_ALL).to_numpy()))
        if self.config.before_first == "first":
            which = np.maximum(which, 0)
        return np.where(known, which, -1)

    def _at(self, position: int) -> HolderTable | None:
        assert self._dated is not None
        return None if position < 0 else self._dated.at(position)

    def _found(self, batch: pa.RecordBatch, table: HolderTable | None) -> dict[str, pa.Array]:
        if table is None:
            return {
                name: pa.nulls(batch.num_rows, field.type) for name, field in self.columns().items()
            }
        new: dict[str, pa.Array] = {}
        for key in self._keys():
            if key == self._interface():
                holders = table.by_identifier(batch.column(key), self.identifier)
            else:
                holders = table.by_address(batch.column(key), _networks(batch, key))
            for column in self._wanted():
                new[self._name(key, column)] = table.column(column, holders)
        if self.config.time_column:
            taken = pa.repeat(pa.scalar(table.taken, _TIME), batch.num_rows)
            new[self.config.time_column] = taken
        return new

    def _load(self) -> None:
        with self._lock:
            if self._table is not None or self._dated is not None:
                return
            if self.config.snapshot is None:
                self._table = self._indexed(self.ask())
            elif self._is_folder():
                folder = self.context.path(self.config.snapshot)
                dated = DatedSnapshots(folder, self.reader, self._indexed)
                dated.at(len(dated) - 1)
                self._dated = dated
            else:
                path = self.context.path(self.config.snapshot)
                self._table = self._indexed(self.reader.read(path))

    def _indexed(self, snapshot: Snapshot[Any]) -> HolderTable:
        self.context.log.info(
            "%s: %d interfaces as of %s",
            self.config.type,
            len(snapshot.interfaces),
            snapshot.taken.isoformat(),
            extra={"event": log_events.TABLE_LOADED},
        )
        return HolderTable(
            snapshot.taken,
            snapshot.interfaces,
            {column: self._value(column) for column in self._wanted()},
            self.identifiers,
            self.network,
        )

    def _value(self, column: str) -> Value:
        if column in self.values:
            return self.values[column][0]
        key = column.removeprefix(_TAG)
        return lambda holder: holder.tags.get(key)

    def _says(self, column: str) -> str:
        return self.values[column][1] if column in self.values else f"tag {column[len(_TAG) :]}"

    def _is_folder(self) -> bool:
        text = self.config.snapshot
        return text is not None and self.context.path(text).is_dir()

    def _interface(self) -> str | None:
        return getattr(self.config, "interface", None)

    def _keys(self) -> list[str]:
        interface = self._interface()
        return [*([interface] if interface else []), *self.config.addresses]

    def _wanted(self) -> list[str]:
        columns: list[str] = getattr(self.config, "columns", [])
        return [*columns, *(f"{_TAG}{key}" for key in self.config.tags)]

    def _name(self, key: str, column: str) -> str:
        side = "interface" if key == self._interface() else side_of(key)
        return self.config.naming.replace("{side}", side).replace("{column}", column)


def _networks(batch: pa.RecordBatch, key: str) -> pa.Array | None:
    """Return the network of each row's end, or else of its capture point, as text."""
    names = [f"{key.partition('_')[0]}_vpc", _NETWORK]
    found = [
        batch.column(name).cast(pa.string())
        for name in names
        if name in batch.schema.names and is_text(batch.schema.field(name).type)
    ]
    return pc.coalesce(*found) if found else None


def _joined(parts: Sequence[pa.Array]) -> pa.Array:
    """Join parts; those without values have no dictionary."""
    if pa.types.is_dictionary(parts[0].type):
        return pa.concat_arrays([part.cast(pa.string()) for part in parts]).dictionary_encode()
    return pa.concat_arrays(parts)
