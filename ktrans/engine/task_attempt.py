"""One attempt at a task: reads the splits in one thread, processes blocks in a pool, writes in order.

A reader thread cuts the splits into groups of blocks, the pool processes the groups, and the task's
own thread takes the results in order and writes them. The byte budget bounds what is in between.

A split that turns out to be unreadable is left out if none of its blocks was passed on yet. Otherwise
the attempt has to be repeated without it: it goes on to find all such splits, and writes no more.
"""

from __future__ import annotations

import logging
import queue
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, wait
from contextvars import copy_context
from typing import Any

import msgspec

from ktrans.api import InterruptedRunError, Split, TaskId
from ktrans.decoders.looks import looks_like
from ktrans.engine import log_events
from ktrans.engine.block_processor import BlockErrors, BlockResult
from ktrans.engine.byte_budget import Held
from ktrans.engine.cancellation import TICK_SECS
from ktrans.engine.epoch_limits import EpochLimits
from ktrans.engine.failures import (
    ReadError,
    WorkerDiedError,
    is_retryable,
    quarantine_for,
)
from ktrans.engine.rejects.stored_form import split_reject
from ktrans.engine.run_context import RunContext
from ktrans.engine.stage_times import StageTimes, now
from ktrans.engine.task_kinds import TaskKind
from ktrans.engine.task_pipeline import TaskPipeline
from ktrans.kit.memory import out_of_memory
from ktrans.registry.redaction import redact
from ktrans.state.epochs import Epoch, Quarantine

_log = logging.getLogger("ktrans.engine")
_SLOW_SECS = 60.0
"""A block that takes longer is named in the log; again after twice the time."""
GROUP_BLOCKS = 64
"""Small objects are processed together, up to this many blocks at a time."""


class _Group(msgspec.Struct):
    """Blocks that are processed together, with the splits that they came from."""

    blocks: list[Any] = msgspec.field(default_factory=list)
    splits: list[Split] = msgspec.field(default_factory=list)
    size: int = 0
    charged: int = 0

    def drop(self, split: Split) -> None:
        """Remove the blocks of the last split."""
        while self.splits and self.splits[-1] is split:
            self.splits.pop()
            self.size -= self.blocks.pop().nbytes

    def full(self, size: int) -> bool:
        return self.size >= size or len(self.blocks) >= GROUP_BLOCKS


_Ready = tuple[_Group, Future[BlockResult]]


class TaskAttempt:
    """One attempt at a task.

    If it is `final`, no attempt will follow.
    """

    def __init__(
        self,
        context: RunContext,
        epoch: Epoch,
        task: TaskId,
        limits: EpochLimits,
        kind: TaskKind,
        *,
        final: bool,
    ) -> None:
        self._context = context
        self._epoch = epoch
        self._index = task.index
        self._limits = limits
        self._final = final
        self._cancellation = context.cancellation.child()
        self._ready: queue.SimpleQueue[_Ready | BaseException | None] = queue.SimpleQueue()
        self._held = Held()
        self._reading = StageTimes()
        self._strange: dict[str, bool] = {}
        self._whole: dict[str, Split] = {}
        self._unreadable: dict[str, ReadError] = {}
        """Splits that have been read in part, by key; once there are any, nothing is written."""
        self.pipeline = TaskPipeline(context.assembly, task, kind)

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
            while (item := self._next(reader)) is not None:
                if isinstance(item, BaseException):
                    raise item
                unwritten.append(item)
                del item  # keeps the result in memory otherwise, while the next one is awaited
                self._write(*unwritten[-1])
                unwritten.pop()
            if self._unreadable:
                first, *others = self._unreadable.values()
                first.others = others
                raise first
            self._look_at_strange_objects()
        finally:
            self._cancellation.failed.set()
            reader.join()
            self.pipeline.times.add(self._reading)
            self._release(unwritten)

    # -- the task's own thread ----------------------------------------------------------------

    def _next(self, reader: threading.Thread) -> _Ready | BaseException | None:
        while True:
            self._context.cancellation.check()
            alive = reader.is_alive()
            try:
                return self._ready.get(timeout=TICK_SECS)
            except queue.Empty:
                if not alive:
                    raise WorkerDiedError("the thread that reads has died") from None

    def _write(self, group: _Group, future: Future[BlockResult]) -> None:
        self._wait_for(group, future)
        try:
            result = future.result()
        except ReadError as error:
            self._note_unreadable(error)
            for each in error.others:
                self._note_unreadable(each)
        if not self._unreadable:
            for split, strange in zip(group.splits, result.strange, strict=False):
                if strange is not None:
                    self._strange[split.key] = strange and self._strange.get(split.key, True)
            self.pipeline.write_in_order(result)
        self._charge(group, 0)
        if self._unreadable:
            return
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

    def _note_unreadable(self, error: ReadError) -> None:
        """Note a split that this attempt has read in part; raise if it is worth another try."""
        if is_retryable(error) and not self._final:
            raise error
        self._unreadable[error.split.key] = error

    def _wait_for(self, group: _Group, future: Future[BlockResult]) -> None:
        """Wait for a processed group; warn if it takes long.

        Raises:
            WorkerDiedError: a thread of the pool has died, perhaps the one that processed it.
        """
        began, warned = now(), _SLOW_SECS
        while not future.done():
            wait([future], TICK_SECS)
            self._context.pool.check()
            if (secs := now() - began) > warned:
                warned *= 2
                uri = group.splits[0].uri
                _log.warning(
                    "%s: a block of it is being processed for %.0f s",
                    uri,
                    secs,
                    extra={"event": log_events.BLOCK_SLOW, "uri": uri, "seconds": round(secs, 1)},
                )

    def _release(self, unwritten: list[_Ready]) -> None:
        """Release the byte budget of groups that an attempt which ended early did not write."""
        while not self._ready.empty():
            item = self._ready.get()
            if isinstance(item, tuple):
                unwritten.append(item)
        for group, future in unwritten:
            if not future.cancel() and not self._context.pool.has_lost_one:
                future.exception()  # waits for it
            self._charge(group, 0)

    def _charge(self, group: _Group, size: int) -> None:
        """Correct what a group is charged with."""
        more, group.charged = size - group.charged, size
        self._context.byte_budget.add(more, self._held)

    # -- the reader's thread ------------------------------------------------------------------

    def _read(self, splits: Sequence[Split]) -> None:
        try:
            group = _Group()
            for split in splits:
                group = self._read_split(split, group)
            self._submit(group)
            self._ready.put(None)
        except BaseException as error:  # noqa: BLE001 - passed to the task's own thread
            self._ready.put(error)

    def _read_split(self, split: Split, group: _Group) -> _Group:
        """Add the blocks of a split to a group; return the group that is still open."""
        quarantined = self._epoch.quarantined.get(split.key)
        if quarantined is None:
            block_size = self._context.assembly.pipeline.limits.block_size
            passed_on = False
            try:
                for block in self._blocks(split):
                    group.blocks.append(block)
                    group.splits.append(split)
                    group.size += block.nbytes
                    if group.full(block_size):
                        self._submit(group)
                        group, passed_on = _Group(), True
            except ReadError as error:
                if passed_on or (is_retryable(error) and not self._final):
                    self._note_unreadable(error)
                    return _Group()
                group.drop(split)
                quarantined = quarantine_for(error)
                self._limits.quarantine(quarantined)
        if quarantined is not None and quarantined.kind == "rejected":
            self._submit(group)
            group = _Group()
            if not split.rejected:
                self._submit_reject(split, quarantined)
        return group

    def _blocks(self, split: Split) -> Iterator[Any]:
        """Yield the blocks of a split in order."""
        assembly = self._context.assembly
        began = now()
        try:
            with assembly.source.open(split) as payload:
                payload.final_attempt = self._final
                if not payload.offset and not self._epoch.replay:
                    self._whole[split.key] = split
                for block in assembly.decoder.blocks(payload):
                    self._reading.note("read", "source", began, now())
                    yield block
                    began = now()
                payload.verify()
        except (InterruptedRunError, GeneratorExit, ReadError):
            raise
        except Exception as error:
            if out_of_memory(error):
                raise
            raise ReadError(split, error) from error

    def _submit(self, group: _Group) -> None:
        self._cancellation.check()
        if group.blocks:
            size = self._context.growth.of(group.size)
            self._context.byte_budget.acquire(size, self._held, self._cancellation)
            group.charged = size
            run = copy_context().run
            try:
                future = self._context.pool.submit(run, self._process, group)
            except BaseException:
                self._charge(group, 0)
                raise
            self._ready.put((group, future))

    def _process(self, group: _Group) -> BlockResult:
        """Process a group; called in the pool."""
        try:
            self._context.headroom.check()
            result = self.pipeline.processor.process(group.blocks)
        except BlockErrors as errors:
            found = [ReadError(group.splits[at], cause) for at, cause in errors.causes.items()]
            found[0].others = found[1:]
            raise found[0] from found[0].cause
        finally:
            group.blocks = []
        self._context.growth.note(group.size, group.size + result.took)
        self._charge(group, result.nbytes)
        return result

    def _submit_reject(self, split: Split, quarantined: Quarantine) -> None:
        decoder = self._context.assembly.decoder
        reject = split_reject(quarantined, split, decoder.config.type, decoder.version)
        done: Future[BlockResult] = Future()
        done.set_result(self.pipeline.processor.process_reject(reject))
        self._ready.put((_Group(), done))
