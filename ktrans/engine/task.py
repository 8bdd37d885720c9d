"""One task of an epoch: read its splits, decode and enrich on all cores, write in order.

A reader thread cuts the splits into groups of blocks, a pool works on the groups, the task's own
thread takes the results in order and writes. A gate bounds the bytes between reader and writer.
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextvars import copy_context
from dataclasses import dataclass, field
from typing import Any

import tenacity

from ktrans.api import InterruptedRunError, Receipt, Split, StateUpdate, TaskId
from ktrans.config.model import EngineSettings
from ktrans.engine.assemble import Assembly
from ktrans.engine.byte_budget import ByteBudget
from ktrans.engine.cancellation import TICK_SECS, Cancellation
from ktrans.engine.chain import BlockError, Chain, Work
from ktrans.engine.enricher_state import Carry
from ktrans.engine.failures import ReadError, exclusion, may_pass
from ktrans.engine.ledger import Ledger
from ktrans.engine.log_context import bind
from ktrans.engine.observer import Meter, Observer
from ktrans.engine.rejects.writer import whole_split
from ktrans.engine.retry import waiting_time
from ktrans.engine.run_description import told
from ktrans.engine.timing import StageTimes, now
from ktrans.state.epochs import Epoch, Quarantine
from ktrans.state.store import Store

GROUP_BLOCKS = 64
"""Small objects are worked on together, up to this many at a time."""


@dataclass(slots=True)
class TaskResult:
    """What a finished task leaves: receipts in the order of the sinks, and its ledger."""

    receipts: list[Receipt]
    ledger: Ledger
    torn: list[str]
    changes: dict[str, StateUpdate]


@dataclass(slots=True)
class Shared:
    """What the tasks of a run have in common."""

    assembly: Assembly
    store: Store
    settings: EngineSettings
    pool: ThreadPoolExecutor
    gate: ByteBudget
    cancellation: Cancellation
    meter: Meter
    observer: Observer
    exclude: Any
    """Called with (epoch, Exclusion): writes it down; raises when there are too many."""
    running: Any
    """Called with (task index, its ledger so far); raises past the reject limit."""


@dataclass(slots=True)
class _Group:
    """Blocks that are worked on together, with the splits that they came from."""

    blocks: list[Any] = field(default_factory=list)
    splits: list[Split] = field(default_factory=list)
    size: int = 0

    def full(self, size: int) -> bool:
        return self.size >= size or len(self.blocks) >= GROUP_BLOCKS


class Task:
    """A task and its attempts."""

    def __init__(self, shared: Shared, epoch: Epoch, task: TaskId) -> None:
        self._shared = shared
        self._epoch = epoch
        self._id = task
        self._splits = epoch.tasks[task.index]
        self._attempts = 0
        self._retries: list[dict[str, Any]] = []
        self._times = StageTimes()
        self._ledger = Ledger()

    def run(self) -> TaskResult:
        """Process the task until it succeeds, within the allowed attempts.

        Raises:
            KtransError, OSError: the writers failed for good, or too much could not be read.
        """
        began, error = now(), None
        with bind(epoch=self._epoch.number, task=self._id.index):
            try:
                return self._patiently()
            except BaseException as failure:
                error = told(failure.cause if isinstance(failure, ReadError) else failure)
                raise
            finally:
                self._shared.observer.task_finished(self._report(began, now(), error))

    def _report(self, began: float, ended: float, error: dict[str, str] | None) -> dict[str, Any]:
        read = [split for split in self._splits if split.key not in self._epoch.quarantined]
        ledger = self._ledger
        return {
            "epoch": self._epoch.number,
            "index": self._id.index,
            "began": began,
            "ended": ended,
            "attempts": self._attempts,
            "splits": len(read),
            "input_bytes": sum(split.size or 0 for split in read),
            "records": ledger.records,
            "rows": ledger.decoded.rows,
            "rejects": ledger.rejects,
            "stages": self._times.to_json(),
            "retries": self._retries,
            "error": error,
        }

    def _patiently(self) -> TaskResult:
        settings = self._shared.settings
        retrying = tenacity.Retrying(
            retry=tenacity.retry_if_exception(_worth_another),
            stop=tenacity.stop_after_attempt(settings.attempts),
            wait=self._wait,
            sleep=self._shared.cancellation.sleep,
            before_sleep=self._tell,
            reraise=True,
        )
        for attempt in retrying:
            with attempt:
                final = attempt.retry_state.attempt_number >= settings.attempts
                result = self._until_readable(final=final)
        return result

    def _wait(self, state: tenacity.RetryCallState) -> float:
        error = state.outcome.exception() if state.outcome else None
        cause = error.cause if isinstance(error, ReadError) else error
        return waiting_time(self._shared.settings, state, cause)

    def _tell(self, state: tenacity.RetryCallState) -> None:
        error = state.outcome.exception() if state.outcome else None
        self._shared.meter.add(retries=1)
        wait = state.next_action.sleep if state.next_action else 0.0
        what = f"task {self._id}"
        if isinstance(error, ReadError):
            what, error = error.split.uri, error.cause
        if error is not None:
            retry = {"at": now(), "attempt": state.attempt_number, "wait_secs": wait}
            self._retries.append({**retry, **told(error)})
            self._shared.observer.retrying(what, state.attempt_number, wait, error)

    def _until_readable(self, *, final: bool) -> TaskResult:
        """Try once; each split that cannot be read is left out, and the rest is tried at once."""
        while True:
            try:
                return self._attempt(final=final)
            except ReadError as error:
                if may_pass(error.cause) and not final:
                    raise
                self._shared.exclude(self._epoch, exclusion(error.split, error.cause))

    def _attempt(self, *, final: bool) -> TaskResult:
        carry = Carry(self._shared.store, self._shared.assembly.pipeline.name, self._epoch)
        chain = Chain(self._shared.assembly, self._id, carry)
        self._attempts += 1
        self._ledger, self._times = chain.ledger, chain.times
        try:
            self._pump(chain, final=final)
            receipts = chain.finish()
        except BaseException:
            chain.abort()
            raise
        read = [split for split in self._splits if split.key not in self._epoch.quarantined]
        self._shared.meter.add(
            splits_done=len(self._splits), bytes_in=sum(split.size or 0 for split in read)
        )
        return TaskResult(receipts, chain.ledger, chain.torn, chain.changes())

    # -- the task's thread: take results in order, write ---------------------------------------

    def _pump(self, chain: Chain, *, final: bool) -> None:
        cancellation = self._shared.cancellation.child()
        ready: queue.SimpleQueue[tuple[_Group, Future[Work]] | BaseException | None] = (
            queue.SimpleQueue()
        )
        reading = StageTimes()
        reader = threading.Thread(
            target=copy_context().run,
            args=(self._read, chain, ready, cancellation, final, reading),
            name=f"read-{self._id}",
        )
        reader.start()
        inside: list[tuple[_Group, Future[Work]]] = []
        try:
            while (item := self._next(ready)) is not None:
                if isinstance(item, BaseException):
                    raise item
                inside.append(item)
                self._settle(chain, *inside[-1])
                inside.pop()
        finally:
            cancellation.failed.set()
            reader.join()
            chain.times.add(reading)
            self._let_go(ready, inside)

    def _next(self, ready: queue.SimpleQueue[Any]) -> Any:
        while True:
            self._shared.cancellation.check()
            try:
                return ready.get(timeout=TICK_SECS)
            except queue.Empty:
                continue

    def _settle(self, chain: Chain, group: _Group, future: Future[Work]) -> None:
        work = future.result()
        chain.settle(work)
        self._shared.gate.leave(group.size)
        ledger = work.ledger
        group.size = 0
        self._shared.meter.add(
            rows=ledger.decoded.rows, records=ledger.records, rejects=ledger.rejects
        )
        self._shared.running(self._id.index, chain.ledger)

    def _let_go(
        self, ready: queue.SimpleQueue[Any], inside: list[tuple[_Group, Future[Work]]]
    ) -> None:
        """Empty the queue of an attempt that ended early, so that its bytes leave the gate."""
        while not ready.empty():
            item = ready.get()
            if isinstance(item, tuple):
                inside.append(item)
        for group, future in inside:
            future.cancel() or future.exception()
            self._shared.gate.leave(group.size)

    # -- the reader's thread ------------------------------------------------------------------

    def _read(
        self,
        chain: Chain,
        ready: queue.SimpleQueue[Any],
        cancellation: Cancellation,
        final: bool,
        reading: StageTimes,
    ) -> None:
        try:
            group = _Group()
            began = now()
            for split, block in self._blocks(final=final):
                reading.note("read", "source", began, now())
                if isinstance(block, Quarantine):
                    self._submit(group, ready, cancellation, chain)
                    group = _Group()
                    ready.put((_Group(), _done(chain.reject(self._whole(block)))))
                    began = now()
                    continue
                group.blocks.append(block)
                group.splits.append(split)
                group.size += block.nbytes
                if group.full(self._shared.assembly.pipeline.limits.block_size):
                    self._submit(group, ready, cancellation, chain)
                    group = _Group()
                began = now()
            self._submit(group, ready, cancellation, chain)
            ready.put(None)
        except BaseException as error:  # noqa: BLE001  handed to the task's thread
            ready.put(error)

    def _whole(self, block: Quarantine) -> Any:
        decoder = self._shared.assembly.decoder
        return whole_split(block, decoder.config.type, decoder.version)

    def _blocks(self, *, final: bool) -> Iterator[tuple[Split, Any]]:
        """Give the blocks of all splits, in order, and an Exclusion for each rejected one."""
        assembly = self._shared.assembly
        for split in self._splits:
            left_out = self._epoch.quarantined.get(split.key)
            if left_out is not None:
                if left_out.kind == "rejected":
                    yield split, left_out
                continue
            try:
                with assembly.source.open(split) as payload:
                    payload.final_attempt = final
                    for block in assembly.decoder.blocks(payload):
                        yield split, block
                    payload.verify()
            except (InterruptedRunError, GeneratorExit):
                raise
            except Exception as error:
                raise ReadError(split, error) from error

    def _submit(
        self, group: _Group, ready: queue.SimpleQueue[Any], cancellation: Cancellation, chain: Chain
    ) -> None:
        cancellation.check()
        if group.blocks:
            self._shared.gate.enter(group.size, cancellation)
            work = self._shared.pool.submit(copy_context().run, _work, chain, group)
            ready.put((group, work))


def _work(chain: Chain, group: _Group) -> Work:
    try:
        return chain.work(group.blocks)
    except BlockError as error:
        raise ReadError(group.splits[error.index], error.cause) from error.cause
    finally:
        group.blocks = []


def _done(work: Work) -> Future[Work]:
    future: Future[Work] = Future()
    future.set_result(work)
    return future


def _worth_another(error: BaseException) -> bool:
    return may_pass(error.cause if isinstance(error, ReadError) else error)
