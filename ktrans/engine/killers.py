"""Finds splits that kill the process: by a fault of memory, or because the kernel ends it.

A process that dies cannot say which split it was reading. So an epoch counts how many processes have
died while they read it. After two deaths, the next run first reads the splits one after another in a
process of their own (`ktrans.engine.probe`). A split that kills that process twice is quarantined.
If something else killed the runs, such as an operator, the splits are read there without a death.
"""

from __future__ import annotations

import os
import select
import shlex
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress

import msgspec

from ktrans.api import KtransError, Split
from ktrans.engine.cancellation import TICK_SECS, Cancellation
from ktrans.engine.run_context import RunContext
from ktrans.kit.child_process import how_it_ended
from ktrans.registry.redaction import redact
from ktrans.state.epochs import Epoch, Quarantine

DEATHS = 2
"""The number of deaths after which an epoch's splits are probed, and a split is quarantined."""

CODE = "killed_the_process"


@contextmanager
def deaths_counted(context: RunContext, epoch: Epoch, *, resumed: bool) -> Iterator[None]:
    """Count a death for the epoch if the process dies inside; an error is not a death."""
    store, name = context.store, context.assembly.pipeline.name
    if resumed:
        store.begin(name, epoch)
    try:
        yield
    except Exception:
        with suppress(KtransError):
            store.leave(name, epoch)
        raise


def find_killers(context: RunContext, epoch: Epoch) -> Iterator[Quarantine]:
    """Yield the splits that kill the process that reads them, if enough processes have died.

    Every second run after a death goes without, so that runs which are killed after some time have
    this time for the epoch itself.
    """
    deaths = epoch.begun - 1
    if not epoch.decided and worth_a_probe(deaths):
        yield from probe_splits(context, epoch, epoch.splits, deaths)


def worth_a_probe(deaths: int) -> bool:
    """Return whether so many deaths are a reason to read the splits one by one."""
    return deaths >= DEATHS and not deaths % 2


def probe_splits(
    context: RunContext, epoch: Epoch, splits: Sequence[Split], deaths: int
) -> Iterator[Quarantine]:
    """Read splits in a process of their own, one by one; yield those that kill it twice."""
    left = [split for split in splits if split.key not in epoch.quarantined]
    if not left:
        return
    context.observer.note(
        f"{deaths} processes died while they read epoch {epoch.number}; its objects are read in a "
        "process of their own first, to find one that causes it"
    )
    counts: Counter[str] = Counter()
    while left:
        death = _first_death(context, left, replay=epoch.replay)
        if death is None:
            return
        index, how = death
        left = left[index:]
        counts[left[0].key] += 1
        if counts[left[0].key] == DEATHS:
            yield _quarantine(context, left.pop(0), how)


def _quarantine(context: RunContext, split: Split, how: str) -> Quarantine:
    path = shlex.quote(str(context.assembly.pipeline.path))
    return Quarantine(
        split.key,
        split.uri,
        "rejected",
        CODE,
        f"the process died twice while reading it ({how}); to read it again, after an upgrade or "
        f"with more memory: {redact(f'ktrans state forget {path} {shlex.quote(split.key)}')}",
    )


def _first_death(
    context: RunContext, splits: Sequence[Split], *, replay: bool
) -> tuple[int, str] | None:
    """Read splits in another process; return the number of the one at which it dies, and how.

    None if it does not die, or cannot do its work, or if the run is stopped meanwhile.
    """
    from ktrans.engine.probe import END, Probe

    pipeline = context.assembly.pipeline
    probe = Probe(
        str(pipeline.path.absolute()),
        pipeline.name,
        pipeline.profile,
        pipeline.fingerprint,
        replay,
        list(splits),
    )
    process = subprocess.Popen(
        [sys.executable, "-P", "-m", "ktrans.engine.probe"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        start_new_session=True,  # a terminal's Ctrl-C is for the run, which ends this process
    )
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        process.stdin.write(msgspec.json.encode(probe) + b"\n")
        process.stdin.flush()
        last = _last_line(process.stdout.fileno(), context.cancellation)
        if not last or last == END:
            return None
        return int(last), how_it_ended(process.wait())
    except OSError:
        return None
    finally:
        process.kill()
        process.wait()
        process.stdout.close()
        with suppress(OSError):
            process.stdin.close()


def _last_line(reports: int, cancellation: Cancellation) -> str:
    """Return the last line of a process that has ended; nothing if the run is stopped before."""
    text = b""
    while not (cancellation.stop.is_set() or cancellation.abandon.is_set()):
        if select.select([reports], [], [], TICK_SECS)[0]:
            part = os.read(reports, 1 << 16)
            if not part:
                return text.decode().rstrip("\n").rpartition("\n")[2]
            text += part
    return ""
