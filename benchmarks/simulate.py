"""Simulates planning and recording at a scale that no test can store: no data is read.

    python benchmarks/simulate.py plan --objects 10000000 --prefixes 10000
    python benchmarks/simulate.py state --accounts 500 --days 30 --store sqlite
    python benchmarks/simulate.py state --accounts 500 --days 30 --store bucket

The planning is that of the object sources, the recording that of the state stores; between the two
an epoch is given the receipts and the ledger of a typical one. Prints its figures as JSON.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

from simulated_bucket import MIDDLE, PER_DAY, SimulatedBucket

from ktrans.api import Budget, Context, Plan, Receipt
from ktrans.api.state import StateStore
from ktrans.engine.task_groups import group_splits
from ktrans.kit.objects.source import ObjectSource, ObjectSourceConfig
from ktrans.kit.objects.store import ObjectStore, StoredObject
from ktrans.state.epochs import Epoch
from ktrans.state.sqlite import SqliteState, SqliteStateConfig
from ktrans.state.store import Store, hold_store
from ktrans.testing.clock import MovableClock
from ktrans.testing.memory_state import MemoryBucketState, MemoryStateBucket

NAME = "simulated"
FIRST = date(2026, 1, 1)
BUDGET = Budget(10_000, 512 << 20)
"""What `engine.epoch_splits` and `engine.epoch_size` are by default."""
LEDGER = {"decoded": {"rows": 5_000_000, "bytes": 1 << 40, "packets": 1 << 30}, "stages": []}
TEMPLATE = f"*/{MIDDLE}/*/%Y/%m/%d/"
_REPORTS = 10


class SimulatedSource(ObjectSource[ObjectSourceConfig]):
    """An object source over a simulated bucket."""

    bucket: SimulatedBucket

    def make_store(self) -> ObjectStore:
        """Return the bucket."""
        return self.bucket


class CountingBucket(MemoryStateBucket):
    """A bucket for state that counts requests and the bytes that are written."""

    def __init__(self) -> None:
        super().__init__()
        self.writes = self.written = 0

    def create(self, key: str, data: bytes) -> str | None:
        """Write an object that does not exist."""
        self.writes += 1
        self.written += len(data)
        return super().create(key, data)

    def read(self, key: str) -> StoredObject | None:
        """Return an object."""
        return super().read(key)


class Simulation:
    """A source and a store, and what became of them so far."""

    def __init__(self, store: Store, source: SimulatedSource) -> None:
        self.store = store
        self.source = source
        self.position: Any = None
        self.epochs = self.objects = 0
        self.plan_secs = self.record_secs = 0.0

    def catch_up(self, progress: Callable[[], None] = lambda: None) -> None:
        """Plan and record epochs until nothing is left."""
        memory = self.store.memory(NAME)
        while True:
            began = time.process_time()
            plan = self.source.plan(self.position, memory, BUDGET)
            planned = time.process_time()
            self.plan_secs += planned - began
            if plan is None or not plan.splits:
                return
            self.record(plan)
            self.record_secs += time.process_time() - planned
            self.position = plan.position
            self.epochs += 1
            self.objects += len(plan.splits)
            progress()
            if plan.total_splits == len(plan.splits):
                return  # as a run does: it was all there is

    def record(self, plan: Plan) -> None:
        """Record a plan as an epoch that was processed and published."""
        epoch = Epoch(
            self.store.next_number(NAME),
            group_splits(plan.splits, 64 << 20, 2, serial=False),
            position=plan.position,
            remember=plan.remember,
            fingerprint="f",
            source="simulated:0",
        )
        self.store.plan(NAME, epoch)
        epoch.receipts = {
            "lake": [
                Receipt(
                    rows=500_000,
                    bytes=20 << 20,
                    data={"staged": [f"part-{n}-{'x' * 200}" for n in range(3)]},
                    outputs=tuple(f"s3://lake/flows/date=2026-01-01/{n}.parquet" for n in range(3)),
                )
                for _ in epoch.tasks
            ]
        }
        epoch.ledger = LEDGER
        self.store.stage(NAME, epoch)
        self.store.record(NAME, epoch, {"splits": len(plan.splits), "ledger": LEDGER})
        self.store.finish(NAME, epoch)


def make_source(bucket: SimulatedBucket, clock: MovableClock, **options: Any) -> SimulatedSource:
    """Return a source over a bucket, as a new process would have it."""
    config = ObjectSourceConfig(type="simulated", prefix="AWSLogs/", **options)
    source = SimulatedSource(config, Context(pipeline=NAME, clock=clock))
    source.bucket = bucket
    return source


def simulate_plan(objects: int, prefixes: int, lookback: str, folder: Path) -> dict[str, Any]:
    """Plan a backlog of objects from its beginning to its end."""
    regions = 20
    accounts = max(1, prefixes // regions)
    each = objects // (accounts * regions)
    clock = MovableClock(_midnight(FIRST) + timedelta(days=each / PER_DAY, seconds=120))
    bucket = SimulatedBucket(clock, FIRST, accounts, regions)
    alone = time.process_time()
    count = sum(1 for _ in bucket.list("AWSLogs/"))
    alone = time.process_time() - alone
    bucket.requests.clear()
    bucket.listed = 0
    path = folder / "state.db"
    steps: list[dict[str, Any]] = []
    with hold_sqlite(path) as store:
        source = make_source(bucket, clock, lookback=lookback)
        simulation = Simulation(store, source)
        began, cpu, had = time.perf_counter(), time.process_time(), 0
        first_plan: float | None = None

        def progress() -> None:
            nonlocal began, cpu, had, first_plan
            if first_plan is None:
                first_plan = simulation.plan_secs
            if simulation.objects - had < count / _REPORTS:
                return
            now, used = time.perf_counter(), time.process_time()
            steps.append(
                {
                    "objects": simulation.objects,
                    "epochs": simulation.epochs,
                    "wall_secs": now - began,
                    "cpu_secs": used - cpu,
                    "objects_a_cpu_sec": (simulation.objects - had) / (used - cpu),
                    "state_mb": size_mb(path),
                    "rss_mb": rss_mb(),
                }
            )
            print(json.dumps(steps[-1]), file=sys.stderr, flush=True)
            began, cpu, had = now, used, simulation.objects

        simulation.catch_up(progress)
        requests = dict(bucket.requests)
        source.close()
        assert simulation.objects == count
        looks = [
            look_again(bucket, clock, simulation, layout=layout, lookback=lookback)
            for layout in ("auto", TEMPLATE)
        ]
        return {
            "objects": count,
            "prefixes": accounts * regions,
            "epochs": simulation.epochs,
            "plan_cpu_secs": simulation.plan_secs,
            "record_cpu_secs": simulation.record_secs,
            "listing_alone_cpu_secs": alone,
            "first_plan_cpu_secs": first_plan,
            "nothing_new": looks,
            "requests": requests,
            "steps": steps,
        }


def look_again(
    bucket: SimulatedBucket, clock: MovableClock, simulation: Simulation, **options: Any
) -> dict[str, Any]:
    """Let a new process look for what is new when nothing is; return what it costs."""
    bucket.requests.clear()
    bucket.listed = 0
    source = make_source(bucket, clock, **options)
    began = time.process_time()
    found = source.plan(simulation.position, simulation.store.memory(NAME), BUDGET)
    secs = time.process_time() - began
    source.close()
    assert found is None
    requests = dict(bucket.requests)
    return {**options, "cpu_secs": secs, "listed": bucket.listed, "requests": requests}


def simulate_state(
    accounts: int, days: int, every_hours: float, lookback: str, kind: str, folder: Path
) -> dict[str, Any]:
    """Plan and record five-minute objects as they come, for some days."""
    clock = MovableClock(_midnight(FIRST))
    bucket = SimulatedBucket(clock, FIRST, accounts)
    state: StateStore[Any]
    if kind == "bucket":
        memory = CountingBucket()
        state = MemoryBucketState(memory)
    else:
        state = sqlite_state(folder / "state.db")
    steps: list[dict[str, Any]] = []
    sweeps = 0
    with hold_store(state, NAME) as store:
        store.claim(NAME, Path("p.yaml"))
        simulation = Simulation(store, make_source(bucket, clock, lookback=lookback))
        for day in range(days):
            had = simulation.objects, simulation.plan_secs, simulation.record_secs, bucket.listed
            written = (memory.writes, memory.written) if kind == "bucket" else (0, 0)
            for _ in range(round(24 / every_hours)):
                clock.advance(hours=every_hours)
                # A process of cron looks anew each time.
                simulation.source.close()
                simulation.source = make_source(bucket, clock, lookback=lookback)
                simulation.catch_up()
                sweeps += 1
            step = {
                "day": day + 1,
                "objects": simulation.objects - had[0],
                "plan_cpu_secs": simulation.plan_secs - had[1],
                "record_cpu_secs": simulation.record_secs - had[2],
                "listed": bucket.listed - had[3],
                "remembered": count_of(store, "remembered"),
                "remembered_mb": remembered_mb(store),
                "epochs_kept": count_of(store, "epochs"),
                "rss_mb": rss_mb(),
            }
            if kind == "bucket":
                step["writes"] = memory.writes - written[0]
                step["written_mb"] = (memory.written - written[1]) / 1e6
                step["state_mb"] = sum(len(one.data) for one in memory.objects.values()) / 1e6
            else:
                step["state_mb"] = size_mb(folder / "state.db")
            steps.append(step)
            print(json.dumps(step), file=sys.stderr, flush=True)
    opened = time.process_time()
    with hold_store(state, NAME) as store:
        opened = time.process_time() - opened
        next_plan = time.process_time()
        clock.advance(minutes=5)
        source = make_source(bucket, clock, lookback=lookback)
        plan = source.plan(simulation.position, store.memory(NAME), BUDGET)
        next_plan = time.process_time() - next_plan
        source.close()
    return {
        "store": kind,
        "accounts": accounts,
        "days": days,
        "lookback": lookback,
        "sweeps": sweeps,
        "objects": simulation.objects,
        "epochs": simulation.epochs,
        "open_cpu_secs": opened,
        "next_plan_cpu_secs": next_plan,
        "next_plan_objects": len(plan.splits) if plan else 0,
        "steps": steps,
    }


# -- the parts --------------------------------------------------------------------------------


def _midnight(day: date) -> datetime:
    return datetime(day.year, day.month, day.day, tzinfo=UTC)


def sqlite_state(path: Path) -> SqliteState:
    """Return a state store in a file."""
    return SqliteState(SqliteStateConfig(type="sqlite", path=str(path)), Context())


@contextlib.contextmanager
def hold_sqlite(path: Path) -> Iterator[Store]:
    """Hold the pipeline in a file."""
    with hold_store(sqlite_state(path), NAME) as store:
        store.claim(NAME, Path("p.yaml"))
        yield store


def count_of(store: Store, table: str) -> int:
    """Return the number of rows of a table."""
    return int(store.rows(f"SELECT count(*) FROM {table}")[0][0])


def remembered_mb(store: Store) -> float:
    """Return the size of what the source remembers, with what a row takes beside its values."""
    sql = "SELECT sum(length(pipeline) + length(key) + length(value) + 12) FROM remembered"
    return int(store.rows(sql)[0][0] or 0) / 1e6


def size_mb(path: Path) -> float:
    """Return the size of a database with its write-ahead log."""
    return sum(one.stat().st_size for one in path.parent.glob(f"{path.name}*")) / 1e6


def rss_mb() -> float:
    """Return the memory that is resident now."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096 / 1e6


def main() -> None:
    """Run one simulation."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("what", choices=["plan", "state"])
    parser.add_argument("--objects", type=int, default=10_000_000)
    parser.add_argument("--prefixes", type=int, default=10_000)
    parser.add_argument("--accounts", type=int, default=500)
    parser.add_argument("--days", type=int, default=30)
    parser.add_argument("--every-hours", type=float, default=1)
    parser.add_argument("--lookback", default="24h")
    parser.add_argument("--store", choices=["sqlite", "bucket"], default="sqlite")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="ktrans-scale-") as folder:
        if args.what == "plan":
            found = simulate_plan(args.objects, args.prefixes, args.lookback, Path(folder))
        else:
            found = simulate_state(
                args.accounts, args.days, args.every_hours, args.lookback, args.store, Path(folder)
            )
    print(json.dumps(found))


if __name__ == "__main__":
    main()
