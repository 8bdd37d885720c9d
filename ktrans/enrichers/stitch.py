"""The `stitch` enricher: joins the two one-way records of a connection into one row.

AWS, Google Cloud, Oracle and Alibaba log each direction of a connection in a row of its own. Two
such rows become one: the initiator's, with the counters of the other in `packets_rev` and
`bytes_rev`.

The rule, exactly:

- A row takes part if it has both addresses, a start, a capture point, and neither `packets_rev` nor
  `bytes_rev`; if its two ends (address and port) differ; and if `log_status` is OK or null.
- Rows are *of one connection* if their ends are the same in either order, and so are `protocol`,
  `provider`, `log_type`, `account_id`, `action` and the columns of `capture_point`. The verdict
  counts: a refused answer is not joined to an accepted request.
- Windows overlap if the gap between the end of one and the start of the other is `slack` at most. A row without an end has a window of no length.
- Within a connection, a row there and a row back that start together are a pair, in the order they
  came; then, again and again, the two whose windows overlap and whose starts are closest (of equal
  ones the earlier). A row is in one pair at most; a row without a partner does not change.
- The *initiator's* row of a pair is, by the first criterion in which they differ: the TCP row with
  SYN and without ACK among its flags; the row whose source port is of
  the higher kind (up to 1023, up to 32767, above: what systems give to clients); the row that
  starts first; the one with the higher source port; the one that came first.
- It keeps its values, but its window covers both, and dropped packets and bytes are added up. Its
  origin (`source_uri`, `source_pos`) is that of one of the two records.

The totals of packets and bytes in both directions do not change.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from pydantic import Field

from ktrans.api import ConfigError, Context
from ktrans.enrichers.hashes.hash_sets import Hashes, new_seeds
from ktrans.enrichers.hashes.hashing import combine
from ktrans.enrichers.held_rows.base import HeldConfig, HeldEnricher, present, windows
from ktrans.enrichers.held_rows.join_pairs import COUNTERS, COUNTS, joined
from ktrans.enrichers.held_rows.pairing import pair
from ktrans.enrichers.held_rows.spill import Hold
from ktrans.kit.columns import distinct, option, plain_integers, require_flow, require_text
from ktrans.kit.flow_rules import SIDES
from ktrans.kit.units import Duration

ENDS = ("src_addr", "dst_addr")
SAME = ("protocol", "provider", "log_type", "account_id", "action")
NUMBERS = ("src_port", "dst_port", "protocol", "tcp_flags", *COUNTS)
_TCP = 6
_SYN, _ACK = 2, 16
_PORT_KINDS = (1024, 32768)


class StitchEnricherConfig(HeldConfig, type="stitch"):
    """Joins the two one-way records of a connection, as one capture point logged them, into one row.

    The row of the side that began gets `packets_rev` and `bytes_rev`. Packets and bytes of both
    directions together stay the same. A row without a partner stays as it is. It works within an
    epoch.
    """

    slack: Duration = Field(
        1,
        ge=0,
        le=86_400,
        description="Windows overlap if they are no further apart than this.",
        examples=[10],
    )
    capture_point: list[str] = Field(
        default=["interface_id", "instance_id"],
        min_length=1,
        description=(
            "The columns that together name where a row was captured. "
            "Rows in which all of them are null are left alone."
        ),
        examples=[["vpc_id"]],
    )


class StitchEnricher(HeldEnricher[StitchEnricherConfig]):
    """Joins both directions of a connection."""

    changes_counters = True

    def __init__(self, config: StitchEnricherConfig, context: Context | None = None) -> None:
        super().__init__(config, context)
        self._seeds = new_seeds()
        self._collected: list[dict[str, np.ndarray]] = []

    def needs(self) -> Sequence[str]:
        """Name what makes a connection, its capture point, its window and its counters."""
        point = self.config.capture_point
        times = ("log_status", "start_time", "end_time")
        return list(dict.fromkeys([*ENDS, *SAME, *point, *times, *NUMBERS]))

    def bind(self, schema: pa.Schema) -> pa.Schema:
        """Check the columns; the schema stays as it is."""
        names = (*ENDS, *SAME, "log_status", "start_time", "end_time", *NUMBERS)
        require_flow(schema, names, "stitch")
        for name in ("packets_rev", "bytes_rev"):
            if pa.types.is_null(schema.field(name).type):
                raise ConfigError(
                    f"stitch: column {name!r} has no type to hold counters", code="column_type"
                )
        with option("capture_point"):
            require_text(schema, self.config.capture_point, "stitch")
        self._schema = schema
        return schema

    def _collect(self, batch: pa.RecordBatch, first: int) -> None:
        start, end, valid = windows(batch)
        valid &= self._takes_part(batch)
        connection, back, loop = self._connections(batch)
        rows = np.flatnonzero(valid & ~loop)
        noted = {
            "row": rows + first,
            "high": connection.high[rows],
            "low": connection.low[rows],
            "back": back[rows],
            "start": start[rows],
            "end": end[rows],
        }
        for name in ("src_port", "dst_port", "protocol", "tcp_flags"):
            noted[name] = plain_integers(batch.column(name))[0][rows].astype(np.int32)
        chosen = pa.array(rows)
        for name in COUNTERS:
            if name in batch.schema.names:
                count, gone = plain_integers(batch.column(name).take(chosen))
                noted[name] = count
                noted[f"{name}?"] = ~gone
        self._collected.append(noted)

    def _takes_part(self, batch: pa.RecordBatch) -> np.ndarray:
        def there(name: str) -> np.ndarray:
            return present(batch.column(name))

        point = np.logical_or.reduce([there(name) for name in self.config.capture_point])
        values, indices = distinct(batch.column("log_status"))
        fine = pc.fill_null(pc.equal(values, "OK"), True)
        flows = np.append(np.asarray(fine), True)[indices]
        result = there("src_addr") & there("dst_addr") & point & flows
        for name in ("packets_rev", "bytes_rev"):
            result &= np.asarray(batch.column(name).is_null())
        return np.asarray(result)

    def _connections(self, batch: pa.RecordBatch) -> tuple[Hashes, np.ndarray, np.ndarray]:
        """Hash each row's connection.

        Returns:
            The hashes; which of the two directions; and whether both ends are the same.
        """
        source, destination = (
            Hashes.of_columns(
                (batch.column(f"{side}_{what}") for what in ("addr", "port")), self._seeds
            )
            for side in SIDES
        )
        back, same = source.high > destination.high, source.high == destination.high
        ends = Hashes(
            *(
                combine(np.where(back, there, here), np.where(back, here, there))
                for here, there in zip(source.halves, destination.halves, strict=True)
            )
        )
        columns = (batch.column(name) for name in (*SAME, *self.config.capture_point))
        return Hashes.of_columns(columns, self._seeds, ends), back, same

    def _resolve(self, hold: Hold) -> Iterator[pa.RecordBatch]:
        noted = {
            name: np.concatenate([part[name] for part in self._collected])
            for name in self._collected[0]
        }
        self._collected.clear()
        slack = round(self.config.slack * 1e6)
        one, other = pair(
            Hashes(noted["high"], noted["low"]), noted["back"], noted["start"], noted["end"] + slack
        )
        forward, backward = _initiators(noted, one, other)
        return joined(noted, forward, backward, hold.drain())


def _initiators(
    noted: dict[str, np.ndarray], one: np.ndarray, other: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Return the initiator's record and the other one, of each pair."""
    one, other = np.minimum(one, other), np.maximum(one, other)  # in the order they came
    flags, kind = noted["tcp_flags"], np.searchsorted(_PORT_KINDS, noted["src_port"], side="right")
    asks = (noted["protocol"] == _TCP) & (flags >= 0) & (flags & (_SYN | _ACK) == _SYN)
    undecided = np.ones(len(one), bool)
    swap = np.zeros(len(one), bool)
    for claim in (asks.astype(np.int8), kind, -noted["start"], noted["src_port"]):
        swap |= undecided & (claim[other] > claim[one])
        undecided &= claim[other] == claim[one]
    return np.where(swap, other, one), np.where(swap, one, other)
