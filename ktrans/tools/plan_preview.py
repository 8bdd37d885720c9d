"""Previews a run: the input that it would read, an estimate of the rows, the sinks."""

from __future__ import annotations

import io
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from typing import Any, BinaryIO, cast

from ktrans.api import Budget, KtransError, Payload, Plan, Split
from ktrans.config.model import Pipeline
from ktrans.engine.assemble import assemble
from ktrans.engine.assembly import Assembly
from ktrans.engine.executor_choice import Tasks, choose_executor
from ktrans.engine.placement import placement
from ktrans.engine.task_groups import group_splits, source_fingerprint
from ktrans.registry.catalogue import Catalogue
from ktrans.state.epochs import Status
from ktrans.state.store import view_store

SAMPLE_ROWS = 50_000
"""The largest number of rows to decode for the estimate."""


@dataclass(slots=True)
class PlanPreview:
    """What a run would do.

    Attributes:
        pipeline: the name of the pipeline.
        splits, bytes: the new input; bytes is None if the source does not know.
        first: the names of the first splits, in order.
        rows: an estimate of the rows; None if everything would have to be read for it.
        rejects_ratio: the share of the sampled records that were rejected.
        epochs, tasks: the number of epochs, and of tasks of the first one.
        executor, executor_because: what runs the tasks of the first epoch, and why.
        spreads_over: how far its tasks can be spread, and what binds them.
        sinks: for each: id, type, delivery, when, columns, place.
        unfinished: the epoch that an earlier run left: "" for none, "planned" (it is processed again)
            or "decided" (it is published).
        notes: the notes of the source.
        warnings: what to consider before the run.
    """

    pipeline: str
    splits: int = 0
    bytes: int | None = None
    first: list[str] = field(default_factory=list)
    rows: int | None = None
    rejects_ratio: float | None = None
    epochs: int = 0
    tasks: int = 0
    executor: str = ""
    executor_because: str = ""
    spreads_over: dict[str, Any] = field(default_factory=dict)
    sinks: list[dict[str, Any]] = field(default_factory=list)
    unfinished: str = ""
    notes: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)


def preview_plan(
    pipeline: Pipeline, catalogue: Catalogue, workers: int, start: str | None = None
) -> PlanPreview:
    """Find out what a run would do; nothing is written, acknowledged or recorded.

    Raises:
        KtransError: the source cannot be listed.
    """
    assembly = assemble(pipeline, catalogue, ephemeral=True)
    with ExitStack() as stack:
        stack.callback(assembly.close)
        store = stack.enter_context(view_store(assembly.state, pipeline.name))
        result = PlanPreview(
            pipeline.name,
            spreads_over=placement(assembly).to_json(),
            sinks=[_sink(bound) for bound in assembly.sinks],
        )
        epoch = store.unfinished(pipeline.name)
        if epoch is not None:
            decided = epoch.decided or epoch.status is not Status.PLANNED
            result.unfinished = "decided" if decided else "planned"
            result.warnings += _unfinished_warnings(epoch.source, pipeline, result.unfinished)
        source = assembly.source
        position = store.position(pipeline.name, source.config.type)
        if start is not None:
            position = source.position_from(start)
        settings = pipeline.engine
        budget = Budget(settings.epoch_splits, settings.epoch_size)
        plan = source.plan(position, store.memory(pipeline.name), budget)
        if plan is not None:
            _count(result, plan, budget, assembly, workers)
            _estimate(result, assembly, plan)
        result.warnings += _warnings(assembly, result)
        return result


def _count(
    result: PlanPreview, plan: Plan, budget: Budget, assembly: Assembly, workers: int
) -> None:
    known = [split.size for split in plan.splits]
    result.splits = plan.total_splits or len(plan.splits)
    sizes = [size for size in known if size is not None]
    result.bytes = plan.total_bytes if plan.total_bytes is not None else None
    if result.bytes is None and len(sizes) == len(known):
        result.bytes = sum(sizes)
    result.first = [split.uri for split in plan.splits[:5]]
    result.notes = list(plan.notes)
    result.warnings += [f"left for a later run: {text}" for text in plan.left]
    if plan.splits:
        size = assembly.pipeline.engine.task_size
        groups = group_splits(plan.splits, size, workers, serial=assembly.serial)
        result.tasks = len(groups)
        choice = choose_executor(assembly, workers, Tasks.of(groups, size))
        result.executor, result.executor_because = choice.executor, choice.reason
        by_count = -(-result.splits // budget.splits)
        by_size = -(-(result.bytes or 0) // budget.bytes)
        result.epochs = max(by_count, by_size, 1)


def _estimate(result: PlanPreview, assembly: Assembly, plan: Plan) -> None:
    """Decode the first splits, and estimate the rows from their bytes, unless these were all."""
    rows = records = rejects = used = ended = 0
    for split in plan.splits:
        if rows >= SAMPLE_ROWS:
            break
        with suppress(KtransError, OSError), assembly.source.open(split) as payload:
            counted = _CountingPayload(payload)
            for block in assembly.decoder.blocks(counted):
                decoded = assembly.decoder.decode(block)
                rows += decoded.batch.num_rows
                records += decoded.records
                rejects += 0 if decoded.rejects is None else decoded.rejects.num_rows
                if rows >= SAMPLE_ROWS:
                    break
            else:
                ended += 1
            used += counted.bytes_read
    if records:
        result.rejects_ratio = rejects / records
    if ended == len(plan.splits) == result.splits:
        result.rows = rows
    elif used and result.bytes is not None:
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


def _unfinished_warnings(source: str, pipeline: Pipeline, state: str) -> list[str]:
    if state == "decided":
        return [
            "an epoch of an earlier run is not published completely: the next run does that first"
        ]
    if source != source_fingerprint(pipeline):
        return ["an epoch was planned for another source, and will be dropped"]
    return ["an epoch of an earlier run is unfinished: the next run processes it again first"]


def _warnings(assembly: Assembly, result: PlanPreview) -> list[str]:
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


class _CountingPayload(Payload):
    """A payload that counts the bytes that are read from it."""

    def __init__(self, inner: Payload) -> None:
        split: Split = inner.split
        super().__init__(split, offset=inner.offset, first_line=inner.first_line)
        self._inner = inner
        self.bytes_read = 0

    def open(self) -> BinaryIO:
        return cast("BinaryIO", _CountingStream(self._inner.open(), self))

    def head(self, size: int) -> bytes:
        return self._inner.head(size)

    def random_access(self) -> BinaryIO:
        self.bytes_read += self.split.size or 0  # counts as read completely
        return self._inner.random_access()


class _CountingStream(io.RawIOBase):
    def __init__(self, inner: BinaryIO, owner: _CountingPayload) -> None:
        super().__init__()
        self._inner = inner
        self._owner = owner

    def readable(self) -> bool:
        return True

    def read(self, size: int = -1, /) -> bytes:
        data = self._inner.read(size)
        self._owner.bytes_read += len(data)
        return data

    def readinto(self, buffer: Any, /) -> int:
        data = self.read(len(buffer))
        buffer[: len(data)] = data
        return len(data)

    def close(self) -> None:
        self._inner.close()
        super().close()
