"""One attempt at a task: reads the splits in one thread, processes blocks in a pool, writes in order.

A reader thread cuts the splits into groups of blocks, the pool processes the groups, and the task's
own thread takes the results in order and writes them. The byte budget bounds what is in between.
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import Future
from contextvars import copy_context
from dataclasses import dataclass, field
from typing import Any

from ktrans.api import InterruptedRunError, Split, TaskId
from ktrans.decoders.looks import looks_like
from ktrans.engine.block_processor import BlockError, BlockProcessor, BlockResult
from ktrans.engine.cancellation import TICK_SECS
from ktrans.engine.enricher_state import EnricherStates
from ktrans.engine.epoch_limits import EpochLimits
from ktrans.engine.failures import ReadError
from ktrans.engine.rejects.stored_form import split_reject
from ktrans.engine.run_context import RunContext
from ktrans.engine.stage_times import StageTimes, now
from ktrans.engine.task_pipeline import TaskPipeline
from ktrans.registry.redaction import redact
from ktrans.state.epochs import Epoch, Quarantine

GROUP_BLOCKS = 64
"""Small objects are processed together, up to this many blocks at a time."""


@dataclass(slots=True)
class _Group:
    """Blocks that are processed together, with the splits that they came from."""

    blocks: list[Any] = field(default_factory=list)
    splits: list[Split] = field(default_factory=list)
    size: int = 0

    def full(self, size: int) -> bool:
        return self.size >= size or len(self.blocks) >= GROUP_BLOCKS


_Ready = tuple[_Group, Future[BlockResult]]


class TaskAttempt:
    """One attempt at a task.

    If it is `final`, no attempt will follow.
    """

    def __init__(
        self, context: RunContext, epoch: Epoch, task: TaskId, limits: EpochLimits, *, final: bool
    ) -> None:
        self._context = context
        self._epoch = epoch
        self._index = task.index
        self._limits = limits
        self._final = final
        self._cancellation = context.cancellation.child()
        self._ready: queue.SimpleQueue[_Ready | BaseException | None] = queue.SimpleQueue()
        self._reading = StageTimes()
        self._strange: dict[str, bool] = {}
        self._whole: dict[str, Split] = {}
        states = EnricherStates(context.store, context.assembly.pipeline.name, epoch)
        self.pipeline = TaskPipeline(context.assembly, task, states)

    def run(self, splits: Sequence[Split]) -> None:
        """Read, process and write the splits.

        Raises:
            ReadError: a split cannot be read or decoded.
            Exception: a writer failed, or the run was stopped.
        """
        reader = threading.Thread(
            target=copy_context().run, args=(self._read, splits), name=f"read-{self._index}"
        )
        reader.start()
        unwritten: list[_Ready] = []
        try:
            while (item := self._next()) is not None:
                if isinstance(item, BaseException):
                    raise item
                unwritten.append(item)
                self._write(*item)
                unwritten.pop()
            self._look_at_strange_objects()
        finally:
            self._cancellation.failed.set()
            reader.join()
            self.pipeline.times.add(self._reading)
            self._release(unwritten)

    # -- the task's own thread ----------------------------------------------------------------

    def _next(self) -> _Ready | BaseException | None:
        while True:
            self._context.cancellation.check()
            try:
                return self._ready.get(timeout=TICK_SECS)
            except queue.Empty:
                continue

    def _write(self, group: _Group, future: Future[BlockResult]) -> None:
        result = future.result()
        for split, strange in zip(group.splits, result.strange, strict=False):
            if strange is not None:
                self._strange[split.key] = strange and self._strange.get(split.key, True)
        self.pipeline.write_in_order(result)
        self._context.byte_budget.release(group.size)
        group.size = 0
        ledger = result.ledger
        self._context.meter.add(
            rows=ledger.decoded.rows, records=ledger.records, rejects=ledger.rejects
        )
        self._limits.check_early(self._index, self.pipeline.ledger)

    def _look_at_strange_objects(self) -> None:
        """Find out what the objects are of which nothing could be read."""
        assembly, whole = self._context.assembly, self._whole
        for split in [
            whole[key] for key, strange in self._strange.items() if strange and key in whole
        ]:
            with assembly.source.open(split) as payload:
                looks = looks_like(payload, assembly.decoder, assembly.decoder.context)
            if looks is not None:
                self.pipeline.strange[split.uri] = redact(looks)

    def _release(self, unwritten: list[_Ready]) -> None:
        """Release the byte budget of groups that an attempt which ended early did not write."""
        while not self._ready.empty():
            item = self._ready.get()
            if isinstance(item, tuple):
                unwritten.append(item)
        for group, future in unwritten:
            future.cancel() or future.exception()
            self._context.byte_budget.release(group.size)

    # -- the reader's thread ------------------------------------------------------------------

    def _read(self, splits: Sequence[Split]) -> None:
        block_size = self._context.assembly.pipeline.limits.block_size
        try:
            group = _Group()
            began = now()
            for split, block in self._blocks(splits):
                self._reading.note("read", "source", began, now())
                if isinstance(block, Quarantine):
                    self._submit(group)
                    group = _Group()
                    self._submit_reject(split, block)
                else:
                    group.blocks.append(block)
                    group.splits.append(split)
                    group.size += block.nbytes
                    if group.full(block_size):
                        self._submit(group)
                        group = _Group()
                began = now()
            self._submit(group)
            self._ready.put(None)
        except BaseException as error:  # noqa: BLE001 - passed to the task's own thread
            self._ready.put(error)

    def _blocks(self, splits: Sequence[Split]) -> Iterator[tuple[Split, Any]]:
        """Yield the blocks of all splits in order, and a Quarantine for each rejected split."""
        assembly = self._context.assembly
        for split in splits:
            quarantined = self._epoch.quarantined.get(split.key)
            if quarantined is not None:
                if quarantined.kind == "rejected":
                    yield split, quarantined
                continue
            try:
                with assembly.source.open(split) as payload:
                    payload.final_attempt = self._final
                    if not payload.offset and not self._epoch.replay:
                        self._whole[split.key] = split
                    for block in assembly.decoder.blocks(payload):
                        yield split, block
                    payload.verify()
            except (InterruptedRunError, GeneratorExit):
                raise
            except Exception as error:
                raise ReadError(split, error) from error

    def _submit(self, group: _Group) -> None:
        self._cancellation.check()
        if group.blocks:
            self._context.byte_budget.acquire(group.size, self._cancellation)
            run = copy_context().run
            future = self._context.pool.submit(run, _process, self.pipeline.processor, group)
            self._ready.put((group, future))

    def _submit_reject(self, split: Split, quarantined: Quarantine) -> None:
        decoder = self._context.assembly.decoder
        reject = split_reject(quarantined, split, decoder.config.type, decoder.version)
        done: Future[BlockResult] = Future()
        done.set_result(self.pipeline.processor.process_reject(reject))
        self._ready.put((_Group(), done))


def _process(processor: BlockProcessor, group: _Group) -> BlockResult:
    try:
        return processor.process(group.blocks)
    except BlockError as error:
        raise ReadError(group.splits[error.index], error.cause) from error.cause
    finally:
        group.blocks = []
