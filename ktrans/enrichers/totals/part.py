"""The totals of one task of an epoch: gathered there, and merged with those of the other tasks later.

They travel as bytes: a list of pieces, each with its tables in Arrow's stream format.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import msgspec
import pyarrow as pa

from ktrans.api import EpochContext, Refused
from ktrans.enrichers.totals import gather
from ktrans.enrichers.totals.config import RollupEnricherConfig
from ktrans.enrichers.totals.gather import Gathered
from ktrans.enrichers.totals.merge import Totals, combined, slim
from ktrans.enrichers.totals.plan import RollupPlan
from ktrans.enrichers.totals.prepare import Prepared


class _Piece(msgspec.Struct, array_like=True):
    """The form in which a `Prepared` travels; tables are those of totals, then of members."""

    totals: list[bytes]
    late: list[bytes]
    newest: int | None
    filtered: tuple[int, int, int]
    late_rows: int


class RollupPart:
    """The totals of one task."""

    def __init__(
        self,
        config: RollupEnricherConfig,
        plan: RollupPlan,
        context: EpochContext,
        closed_until: int | None,
    ) -> None:
        self.rules = gather.rules(config, context, closed_until)
        self._gathered = Gathered(config, plan, None)
        self._pieces: list[_Piece] = []

    def add(self, prepared: Prepared) -> None:
        """Add a batch; totals that have become many are packed, to save memory."""
        self._gathered.add(prepared)
        if self._gathered.rows > gather.PENDING_ROWS:
            self._pack()

    def refused(self) -> Sequence[Refused]:
        """Return the rows since the last call that no total can take."""
        return self._gathered.refused()

    def partial(self) -> bytes:
        """Return the totals in the form in which they travel."""
        self._pack()
        return msgspec.msgpack.encode(self._pieces)

    def _pack(self) -> None:
        made = self._gathered.take_out()
        fresh, late = _tables_to_bytes(made.totals), _tables_to_bytes(made.late)
        self._pieces.append(_Piece(fresh, late, made.newest, made.filtered, made.late_rows))


def unpack(partial: bytes) -> Iterator[Prepared]:
    """Yield what a task has gathered, to be added like batches."""
    for piece in msgspec.msgpack.decode(partial, type=list[_Piece]):
        totals, late = (_tables_from_bytes(tables) for tables in (piece.totals, piece.late))
        yield Prepared(totals, late, piece.newest, piece.filtered, piece.late_rows)


def _tables_to_bytes(totals: Totals | None) -> list[bytes]:
    """Return the tables as bytes; none if they are empty."""
    if totals is None or not totals.main.num_rows:
        return []
    options = pa.ipc.IpcWriteOptions(compression="zstd")
    found = []
    for table in (totals.main, *totals.members):
        packed = combined(slim(table))
        sink = pa.BufferOutputStream()
        with pa.ipc.new_stream(sink, packed.schema, options=options) as stream:
            stream.write_table(packed)
        found.append(sink.getvalue().to_pybytes())
    return found


def _tables_from_bytes(tables: list[bytes]) -> Totals | None:
    if not tables:
        return None
    main, *members = (pa.ipc.open_stream(table).read_all() for table in tables)
    return Totals(main, tuple(members), merged=True)
