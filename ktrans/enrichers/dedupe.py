"""The `dedupe` enricher: drops rows that were delivered more than once within an epoch.

Delivered again are:

- a replay: the same position of the same object;
- a redelivery: the same record in another object. Records have no id, so they are identified by
  all columns about the flow, without those about the delivery (`record_id`, `logged_at`, the origin
  of the row), those that enrichers add, and `attrs`. One object may contain equal records (two
  connections in one second), so the n-th of them is only compared with the n-th in another object.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar, Self

import numpy as np
import pyarrow as pa

from ktrans.api import ComponentConfig, Context, Enricher, Scope, TaskId
from ktrans.enrichers.hashes.hash_sets import Hashes, HashSet, Positions, new_seeds
from ktrans.enrichers.hashes.hashing import combine
from ktrans.kit.columns import plain_integers, require_integer, require_text

IDENTITY = (
    "provider", "log_type", "account_id", "vpc_id", "subnet_id", "interface_id", "instance_id",
    "reporter", "src_addr", "dst_addr", "src_pkt_addr", "dst_pkt_addr", "src_port", "dst_port",
    "protocol", "start_time", "end_time", "packets", "bytes", "packets_rev", "bytes_rev",
    "packets_dropped", "bytes_dropped", "tcp_flags", "direction", "action", "action_reason",
    "rule", "acl_id", "flow_state", "log_status",
)  # fmt: skip


class DedupeEnricherConfig(ComponentConfig, type="dedupe"):
    """Drops replayed rows, and rows that another object of the same epoch holds as well.

    It sees one epoch: the state is made anew for each, 32 bytes a row. A record that is delivered
    again in a later epoch is kept.
    """


class DedupeEnricher(Enricher[DedupeEnricherConfig]):
    """Drops redelivered rows."""

    drops_rows = True
    scope: ClassVar[Scope] = "epoch"

    def __init__(self, config: DedupeEnricherConfig, context: Context | None = None) -> None:
        super().__init__(config, context)
        self._seeds = new_seeds()
        self._kept = HashSet()
        self._counted = HashSet()
        self._positions = Positions()

    def needs(self) -> Sequence[str]:
        """Name the identity, and where rows came from."""
        return [*IDENTITY, "source_uri", "source_pos"]

    def bind(self, schema: pa.Schema) -> pa.Schema:
        """Check the columns; the schema stays as it is."""
        require_text(schema, ["source_uri", "src_addr", "dst_addr"], "dedupe")
        require_integer(schema, ["source_pos"], "dedupe")
        return schema

    def begin(self, task: TaskId) -> Self:
        """Return an enricher without state."""
        del task
        return type(self)(self.config, self.context)

    def apply(self, batch: pa.RecordBatch) -> pa.RecordBatch:
        """Drop replays, then redeliveries."""
        if not batch.num_rows:
            return batch
        objects = self._hash(batch, ("log_type", "source_uri"))
        rows = np.flatnonzero(~self._replayed(batch, objects))
        identity = self._hash(batch, IDENTITY).take(rows)
        uri = objects.take(rows)
        inside = Hashes(combine(identity.high, uri.high), combine(identity.low, uri.low))
        ordinal = self._ordinals(inside)
        keep = np.zeros(batch.num_rows, bool)
        keep[rows[self._first(identity.numbered(ordinal))]] = True
        return batch if keep.all() else batch.filter(pa.array(keep))

    def _hash(self, batch: pa.RecordBatch, names: Sequence[str]) -> Hashes:
        """Hash some columns together; one that does not exist counts as null."""
        nothing = pa.nulls(batch.num_rows)
        known = dict(zip(batch.schema.names, batch.columns, strict=True))
        return Hashes.of_columns((known.get(name, nothing) for name in names), self._seeds)

    def _replayed(self, batch: pa.RecordBatch, objects: Hashes) -> np.ndarray:
        position, _ = plain_integers(batch.column("source_pos"))
        _, first, inverse = np.unique(objects.high, return_index=True, return_inverse=True)
        names = zip(objects.high[first].tolist(), objects.low[first].tolist(), strict=True)
        numbers = np.array([self._positions.number(name) for name in names], np.int64)
        return self._positions.seen(numbers[inverse], position)

    def _ordinals(self, inside: Hashes) -> np.ndarray:
        """Number the rows of each identity within its object, from 0, over all batches so far."""
        order, new = inside.groups()
        starts = np.flatnonzero(new)
        lengths = np.diff(np.append(starts, len(order)))
        rank = np.arange(len(order)) - np.repeat(starts, lengths)
        before = self._count(inside.take(order[starts]))
        ordinal = np.empty(len(order), np.int64)
        ordinal[order] = rank + np.repeat(before, lengths)
        entries = inside.numbered(ordinal)
        self._counted.add(entries.take(np.argsort(entries.high)))
        return ordinal

    def _count(self, keys: Hashes) -> np.ndarray:
        """Count the rows that each identity had in its object before: gallop, then bisect."""
        low = np.zeros(len(keys), np.int64)  # so many there are at least
        step = np.ones(len(keys), np.int64)
        high = np.zeros(len(keys), np.int64)  # and fewer than this many plus one; 0: not known
        active = np.arange(len(keys))
        while active.size:
            known = high[active] > 0
            probe = np.where(
                known, (low[active] + high[active] - 1) // 2, low[active] + step[active] - 1
            )
            there = self._has(keys.take(active), probe)
            low[active[there]] = probe[there] + 1
            step[active[there]] *= 2
            high[active[~there]] = probe[~there] + 1
            active = active[(high[active] == 0) | (low[active] < high[active] - 1)]
        return low

    def _has(self, keys: Hashes, number: np.ndarray) -> np.ndarray:
        entries = keys.numbered(number)
        order = np.argsort(entries.high)
        found = np.empty(len(order), bool)
        found[order] = self._counted.contains(entries.take(order))
        return found

    def _first(self, keys: Hashes) -> np.ndarray:
        """Return the positions of keys that were never seen before, each where it comes first."""
        order, new = keys.groups()
        order = order[new]
        entries = keys.take(order)
        fresh = ~self._kept.contains(entries)
        self._kept.add(entries.take(fresh))
        return np.asarray(order[fresh])
