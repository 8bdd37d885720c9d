"""Reads splits in a process of its own, which may die of it: `python -m ktrans.engine.probe`.

Standard input has one line, a `Probe` as JSON. The process prints the number of each split before it
reads it, and `END` after the last one. It decodes and enriches, and writes nothing anywhere. It ends
when standard input does, which is when the process that started it has ended.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
from contextlib import closing
from dataclasses import dataclass

import msgspec

from ktrans.api import EpochId, Split, TaskId
from ktrans.config.load import load_pipeline
from ktrans.config.model import Pipeline
from ktrans.engine.assemble import assemble
from ktrans.engine.assembly import Assembly
from ktrans.engine.cancellation import Cancellation
from ktrans.engine.dry_run import discard_output
from ktrans.engine.enricher_state import EnricherStates
from ktrans.engine.epoch_limits import EpochLimits
from ktrans.engine.observer import Meter, Observer
from ktrans.engine.outages import Outages
from ktrans.engine.rejects.replay import with_rejects_as_source
from ktrans.engine.run_context import RunContext
from ktrans.engine.task_attempt import TaskAttempt
from ktrans.engine.task_kinds import WholeTask
from ktrans.engine.workers import Workers
from ktrans.kit.state.sqlite_database import MEMORY, SqliteDatabase
from ktrans.registry.catalogue import Catalogue
from ktrans.state.epochs import Epoch
from ktrans.state.store import Store

END = "end"


@dataclass(frozen=True, slots=True)
class Probe:
    """The splits to read, and the pipeline that reads them.

    Nothing is read if the pipeline file has another `fingerprint` by now.
    """

    path: str
    name: str
    profile: str | None
    fingerprint: str
    replay: bool
    splits: list[Split]


def main() -> None:
    """Read the splits that standard input names."""
    for ignored in (signal.SIGINT, signal.SIGTERM):
        signal.signal(ignored, signal.SIG_IGN)
    reports = os.dup(1)
    os.dup2(2, 1)  # what a library prints is no report
    probe = msgspec.json.decode(sys.stdin.buffer.readline(), type=Probe)
    threading.Thread(target=_end_with_standard_input, daemon=True).start()
    catalogue = Catalogue()
    pipeline = load_pipeline(probe.path, catalogue, profile=probe.profile, name=probe.name)
    if pipeline.fingerprint != probe.fingerprint:
        return
    with closing(assemble(pipeline, catalogue, ephemeral=True)) as assembly:
        reading = with_rejects_as_source(assembly) if probe.replay else assembly
        discard_output(assembly)
        for index, split in enumerate(probe.splits):
            os.write(reports, f"{index}\n".encode())
            try:
                _read(pipeline, reading, split, replay=probe.replay)
            except BaseException:  # noqa: BLE001, S112 - it did not kill the process
                continue
    os.write(reports, f"{END}\n".encode())


def _read(pipeline: Pipeline, assembly: Assembly, split: Split, *, replay: bool) -> None:
    """Pass a split through the decoder and the enrichers."""
    with Workers(1, "work") as pool, closing(SqliteDatabase(MEMORY)) as database:
        observer, meter, cancellation = Observer(), Meter(), Cancellation()
        context = RunContext.of(
            assembly,
            Store(database),
            pool,
            1,
            cancellation=cancellation,
            meter=meter,
            observer=observer,
            outages=Outages(observer, meter, cancellation.clock),
        )
        epoch = Epoch(1, [[split]], replay=replay)
        task = TaskId(EpochId(pipeline.name, 1), 0)
        limits = EpochLimits(context, epoch)
        kind = WholeTask(EnricherStates(context.store, pipeline.name, epoch))
        attempt = TaskAttempt(context, epoch, task, limits, kind, final=True)
        try:
            attempt.run([split])
            attempt.pipeline.finish()
        finally:
            attempt.pipeline.abort()


def _end_with_standard_input() -> None:
    while os.read(0, 1):
        pass
    os._exit(0)


if __name__ == "__main__":
    main()
