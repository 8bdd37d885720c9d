"""What all tasks of a run share."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from ktrans.engine.assembly import Assembly
from ktrans.engine.byte_budget import ByteBudget
from ktrans.engine.cancellation import Cancellation
from ktrans.engine.observer import Meter, Observer
from ktrans.state.store import Store


@dataclass(frozen=True, slots=True)
class RunContext:
    """What all tasks of a run share."""

    assembly: Assembly
    store: Store
    workers: int
    pool: ThreadPoolExecutor
    byte_budget: ByteBudget
    cancellation: Cancellation
    meter: Meter
    observer: Observer
