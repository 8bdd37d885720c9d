"""What a run would do: what waits to be read, about how many rows, where they would go."""

from __future__ import annotations

import io
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from typing import Any, BinaryIO, cast

from ktrans.api import Budget, KtransError, Payload, Plan, Split
from ktrans.config.model import Pipeline
from ktrans.engine.assemble import assemble
from ktrans.engine.assembly import Assembly
from ktrans.engine.task_groups import group_splits, source_fingerprint
from ktrans.registry.catalogue import Catalogue
from ktrans.state.epochs import Status
from ktrans.state.store import view_store

SAMPLE_ROWS = 50_000
"""Rows that are decoded for the estimate, at most."""


@dataclass(slots=True)
class Outlook:
    """What a run would do.

    Attributes:
        pipeline: its name.
        splits, bytes: all that is known to wait; bytes is None if the source does not know.
        first: the names of the first splits, in order.
        rows: about how many rows that gives; None if it cannot be told without reading all.
        rejects_ratio: share of the sampled records that were rejected.
        epochs, tasks: how many epochs, and tasks of the first one.
        sinks: for each: id, type, delivery, when, columns, place.
        unfinished: what an earlier run left: "", "planned" (processed again) or "decided".
        notes: what the source says.
        warnings: what a person should think about before the run.
    """

    pipeline: str
    splits: int = 0
    bytes: int | None = None
    first: list[str] = field(default_factory=list)
    rows: int | None = None
    rejects_ratio: float | None = None
    epochs: int = 0
    tasks: int = 0
    sinks: list[dict[str, Any]] = field(default_factory=list)
    unfinished: str = ""
    notes: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)

    def to_json(self) -> dict[str, Any]:
        """Give the form that `ktrans plan --json` prints."""
        return {name: getattr(self, name) for name in self.__dataclass_fields__}


def outlook(
    pipeline: Pipeline, catalogue: Catalogue, workers: int, start: str | None = None
) -> Outlook:
    """Find out what a run would do; nothing is written, acknowledged or remembered.

    Args:
        pipeline: what would run.
        catalogue: where its components come from.
        workers: how many it would have.
        start: as `--from` of `ktrans run`.

    Raises:
        KtransError: what the source raises when it cannot be listed.
    """
    assembly = assemble(pipeline, catalogue, ephemeral=True)
    with ExitStack() as held:
        held.callback(assembly.close)
        store = held.enter_context(view_store(assembly.state, pipeline.name))
        result = Outlook(pipeline.name, sinks=[_sink(bound) for bound in assembly.sinks])
        epoch = store.unfinished(pipeline.name)
        if epoch is not None:
            result.unfinished = "planned" if epoch.status is Status.PLANNED else "decided"
            result.warnings += _about_unfinished(epoch.source, pipeline, result.unfinished)
        source = assembly.source
        position = store.position(pipeline.name, source.config.type)
        if start is not None:
            position = source.position_from(start)
        settings = pipeline.engine
        budget = Budget(settings.epoch_splits, settings.epoch_size)
        plan = source.plan(position, store.memory(pipeline.name), budget)
        if plan is not None:
            _count(result, plan, budget, pipeline, workers, serial=assembly.serial)
            _estimate(result, assembly, plan)
        result.warnings += _warnings(assembly, result)
        return result


def _count(
    result: Outlook, plan: Plan, budget: Budget, pipeline: Pipeline, workers: int, *, serial: bool
) -> None:
    known = [split.size for split in plan.splits]
    result.splits = plan.total_splits or len(plan.splits)
    sizes = [size for size in known if size is not None]
    result.bytes = plan.total_bytes if plan.total_bytes is not None else None
    if result.bytes is None and len(sizes) == len(known):
        result.bytes = sum(sizes)
    result.first = [split.uri for split in plan.splits[:5]]
    result.notes = list(plan.notes)
    if plan.splits:
        groups = group_splits(plan.splits, pipeline.engine.task_size, workers, serial=serial)
        result.tasks = len(groups)
        by_count = -(-result.splits // budget.splits)
        by_size = -(-(result.bytes or 0) // budget.bytes)
        result.epochs = max(by_count, by_size, 1)


def _estimate(result: Outlook, assembly: Assembly, plan: Plan) -> None:
    """Decode the beginning of what waits, and reckon from its bytes."""
    rows = records = rejects = used = 0
    for split in plan.splits:
        if rows >= SAMPLE_ROWS:
            break
        with suppress(KtransError, OSError), assembly.source.open(split) as payload:
            counted = _Counted(payload)
            for block in assembly.decoder.blocks(counted):
                decoded = assembly.decoder.decode(block)
                rows += decoded.batch.num_rows
                records += decoded.records
                rejects += 0 if decoded.rejects is None else decoded.rejects.num_rows
                if rows >= SAMPLE_ROWS:
                    break
            used += counted.taken
    if records:
        result.rejects_ratio = rejects / records
    if used and result.bytes is not None:
        result.rows = round(rows * max(result.bytes / used, 1.0))
    elif len(plan.splits) == result.splits and rows < SAMPLE_ROWS:
        result.rows = rows


def _sink(bound: Any) -> dict[str, Any]:
    config = bound.entry.config
    place = next(
        (
            str(getattr(config, name))
            for name in ("path", "topic", "bucket")
            if hasattr(config, name)
        ),
        "",
    )
    return {
        "id": bound.entry.id,
        "type": config.type,
        "delivery": bound.delivery,
        "where": bound.entry.where,
        "columns": len(bound.schema),
        "place": place,
    }


def _about_unfinished(source: str, pipeline: Pipeline, state: str) -> list[str]:
    if state == "decided":
        return ["an earlier run was killed amid its commit: that epoch is published first"]
    if source != source_fingerprint(pipeline):
        return ["an epoch was planned for another source, and would be dropped"]
    return ["an earlier run was killed: its epoch is processed again first"]


def _warnings(assembly: Assembly, result: Outlook) -> list[str]:
    found = [
        f"sink {bound.entry.id} ({bound.entry.config.type}) may write rows twice after a crash"
        for bound in assembly.sinks
        if bound.delivery != "exactly_once"
    ]
    limit = assembly.pipeline.rejects.limit
    if result.rejects_ratio is not None and result.rejects_ratio > limit.ratio:
        found.append(
            f"{result.rejects_ratio:.0%} of the sampled records are rejected, and the limit is "
            f"{limit.ratio:.0%}: look at `ktrans preview`"
        )
    return found


class _Counted(Payload):
    """A payload that counts the bytes that were read of it."""

    def __init__(self, inner: Payload) -> None:
        split: Split = inner.split
        super().__init__(split, offset=inner.offset, first_line=inner.first_line)
        self._inner = inner
        self.taken = 0

    def open(self) -> BinaryIO:
        return cast("BinaryIO", _Counting(self._inner.open(), self))

    def head(self, size: int) -> bytes:
        return self._inner.head(size)

    def random_access(self) -> BinaryIO:
        self.taken += self.split.size or 0  # read here and there: taken as read whole
        return self._inner.random_access()


class _Counting(io.RawIOBase):
    def __init__(self, inner: BinaryIO, owner: _Counted) -> None:
        super().__init__()
        self._inner = inner
        self._owner = owner

    def readable(self) -> bool:
        return True

    def read(self, size: int = -1, /) -> bytes:
        data = self._inner.read(size)
        self._owner.taken += len(data)
        return data

    def readinto(self, buffer: Any, /) -> int:
        data = self.read(len(buffer))
        buffer[: len(data)] = data
        return len(data)

    def close(self) -> None:
        self._inner.close()
        super().close()
