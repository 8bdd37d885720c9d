"""The ledger: what goes into each stage comes out, is filtered, or is rejected; nothing else.

It counts rows, sum(bytes) and sum(packets). The decoder counts records separately from rows, and
sinks count what they wrote separately from what they received, so that the checks compare counts of
different origin.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import msgspec

from ktrans.api import RunError

MAX_FOREIGN = 30
"""Kinds of records that are counted by name."""

OTHER_RECORDS = "other records"


class LedgerError(RunError):
    """Rows in are not rows out plus filtered plus rejected: a defect."""

    default_code = "ledger"


class Tally(msgspec.Struct):
    """A number of rows and the sums of their counters (nulls count as 0)."""

    rows: int = 0
    bytes: int = 0
    packets: int = 0

    def add(self, other: Tally) -> None:
        """Add another tally to this one."""
        self.rows += other.rows
        self.bytes += other.bytes
        self.packets += other.packets

    def minus(self, other: Tally) -> Tally:
        """Return the difference."""
        return Tally(self.rows - other.rows, self.bytes - other.bytes, self.packets - other.packets)

    def __str__(self) -> str:
        return f"{self.rows} rows ({self.bytes} bytes, {self.packets} packets)"


class StageLedger(msgspec.Struct):
    """One stage after the decoder: in = out + filtered + refused.

    Attributes:
        name: the stage's name, such as `enrichers[1] cidr` or a sink's id.
        came_in: what it received.
        went_out: what it passed on or, for a sink, what it reports as written.
        filtered: what it removed on purpose.
        refused: what the system behind a sink, or a rollup, can never take; it went to the rejects.
        held: of a rollup: the change of what is in open totals; negative if there is less.
        closed: of a rollup: what is in totals that were closed.
        late: of a rollup: rows that arrived after their total was closed.
        kind: "enricher", "sink", "violations" or "rejects".
        may_drop: whether it declares that it removes rows.
        may_change: whether it declares that it changes counters; then only rows are compared.
        sums_up: whether it turns rows into totals: then in = held + closed + filtered + refused,
            counted from the totals, and what goes out are other rows.
        rules: of a sink of violations: the rules whose rows it takes.
    """

    name: str
    kind: str
    came_in: Tally = msgspec.field(default_factory=Tally, name="in")
    went_out: Tally = msgspec.field(default_factory=Tally, name="out")
    filtered: Tally = msgspec.field(default_factory=Tally)
    refused: Tally = msgspec.field(default_factory=Tally)
    held: Tally = msgspec.field(default_factory=Tally)
    closed: Tally = msgspec.field(default_factory=Tally)
    late: int = 0
    may_drop: bool = False
    may_change: bool = False
    sums_up: bool = False
    rules: list[str] = msgspec.field(default_factory=list)

    def like(self) -> StageLedger:
        """Return an empty ledger of the same stage."""
        return StageLedger(
            self.name,
            self.kind,
            may_drop=self.may_drop,
            may_change=self.may_change,
            sums_up=self.sums_up,
            rules=list(self.rules),
        )

    def add(self, other: StageLedger) -> None:
        """Add the ledger of the same stage of another task or epoch."""
        for name in ("came_in", "went_out", "filtered", "refused", "held", "closed"):
            getattr(self, name).add(getattr(other, name))
        self.late += other.late

    def unaccounted(self) -> Tally:
        """Return what came in and is not accounted for: nothing, unless there is a defect."""
        rest = self.came_in.minus(self.filtered).minus(self.refused)
        if self.sums_up:
            return rest.minus(self.held).minus(self.closed)
        return rest.minus(self.went_out)

    def check(self) -> None:
        """Compare what came in with what went out.

        Raises:
            LedgerError: they do not agree.
        """
        rest = self.unaccounted()
        sums = self.sums_up or not self.may_change
        wrong = rest.rows != 0 or (sums and (rest.bytes or rest.packets))
        if wrong or (self.filtered.rows < 0) or (self.filtered.rows and not self.may_drop):
            out = f"out {self.went_out}"
            if self.sums_up:
                out = f"held {self.held}, closed {self.closed}"
            raise LedgerError(
                f"the ledger does not add up at {self.name}: in {self.came_in}, {out}, "
                f"filtered {self.filtered}, refused {self.refused}",
                hint="this is a defect in that component or in ktrans; nothing of this epoch was "
                "published. Please report it with the receipt",
            )


class Ledger(msgspec.Struct):
    """The ledger of all stages, for a task, an epoch or a run.

    Attributes:
        records: what the decoder read: lines, JSON objects, tuples.
        rejected: records that could not be decoded, by reason.
        refused: rows that a sink or a rollup could not take, by reason; once for each sink.
        skipped: records that are not flows (headers, blank lines, records of another kind).
        foreign: how many of these are records of another kind, by what they are; a log with very
            many kinds has the last ones under `other records`.
        unread: values that could not be read and became null, by column.
        decoded: the rows that the decoder made.
        nodata: rows of log_status NODATA, which are no flows.
        skipdata: rows of log_status SKIPDATA: the cloud says that it lost records.
        expect: how many rows each rule of `expect` has found, by its name.
        stages: enrichers in order, then sinks, those of violations, and the rejects.
    """

    records: int = 0
    skipped: int = 0
    rejected: dict[str, int] = msgspec.field(default_factory=dict)
    refused: dict[str, int] = msgspec.field(default_factory=dict)
    decoded: Tally = msgspec.field(default_factory=Tally)
    nodata: int = 0
    skipdata: int = 0
    foreign: dict[str, int] = msgspec.field(default_factory=dict)
    unread: dict[str, int] = msgspec.field(default_factory=dict)
    expect: dict[str, int] = msgspec.field(default_factory=dict)
    stages: list[StageLedger] = msgspec.field(default_factory=list)

    @property
    def rejects(self) -> int:
        """The number of rejected records."""
        return sum(self.rejected.values())

    def add(self, other: Ledger) -> None:
        """Add another ledger over the same stages."""
        self.records += other.records
        self.skipped += other.skipped
        for mine, theirs in (
            (self.rejected, other.rejected),
            (self.refused, other.refused),
            (self.unread, other.unread),
            (self.expect, other.expect),
        ):
            for reason, count in theirs.items():
                mine[reason] = mine.get(reason, 0) + count
        self.add_foreign(other.foreign)
        self.decoded.add(other.decoded)
        self.nodata += other.nodata
        self.skipdata += other.skipdata
        if not self.stages:
            self.stages = [stage.like() for stage in other.stages]
        for stage, same in zip(self.stages, other.stages, strict=True):
            stage.add(same)

    def add_foreign(self, counts: Mapping[str, int]) -> None:
        """Add records of another kind; their names come from the input, so there is a limit to them."""
        for name, count in counts.items():
            known = name in self.foreign or len(self.foreign) < MAX_FOREIGN
            name = name if known else OTHER_RECORDS  # noqa: PLW2901
            self.foreign[name] = self.foreign.get(name, 0) + count

    def check(self, *, apart: int | None = None) -> None:
        """Check that each stage adds up, and received what the one before it passed on.

        The stage of number `apart` is not checked by itself: its rows in and its totals are counted
        by different tasks, and only the ledger of all tasks together adds up.

        Raises:
            LedgerError: rows were lost or added.
        """
        if self.records != self.decoded.rows + self.rejects + self.skipped:
            raise LedgerError(
                f"the ledger does not add up at the decoder: {self.records} records in, "
                f"{self.decoded.rows} rows, {self.rejects} rejects, {self.skipped} skipped"
            )
        for index, (stage, given) in enumerate(self._expected_input()):
            if stage.came_in != given and (
                stage.kind != "violations" or stage.came_in.rows != given.rows
            ):
                raise LedgerError(
                    f"the ledger does not add up before {stage.name}: it received {stage.came_in}, and "
                    f"should have received {given}"
                )
            if index != apart:
                stage.check()

    def rows_agree(self) -> bool:
        """Return whether every row is accounted for, from the decoder to each sink."""
        return self.records == self.decoded.rows + self.rejects + self.skipped and all(
            stage.came_in.rows == given.rows and not stage.unaccounted().rows
            for stage, given in self._expected_input()
        )

    def _expected_input(self) -> Iterator[tuple[StageLedger, Tally]]:
        """Yield each stage with what it should have received."""
        before = self.decoded
        refused = sum(stage.refused.rows for stage in self.stages)
        for stage in self.stages:
            given = before
            if stage.kind == "rejects":
                given = Tally(self.rejects + refused)
            elif stage.kind == "violations":
                given = Tally(sum(self.expect.get(rule, 0) for rule in stage.rules))
            yield stage, given
            if stage.kind == "enricher":
                before = stage.went_out

    def to_json(self) -> dict[str, Any]:
        """Return the JSON form of receipts and of the state store."""
        found: dict[str, Any] = msgspec.to_builtins(self, order="deterministic")
        return found

    @classmethod
    def from_json(cls, value: dict[str, Any]) -> Ledger:
        """Rebuild a ledger from `to_json`; an empty mapping gives an empty ledger."""
        return msgspec.convert(value, cls)
