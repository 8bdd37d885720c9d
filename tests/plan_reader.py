"""A source that plans and reads, with its position and memory, as runs have them."""

import json

from ktrans.api import Budget
from ktrans.testing.contracts.sources import PlainMemory, read


class PlanReader:
    """Plans and reads what a source has; subclasses build it in `restart`, as a new process would.

    Attributes:
        source: the source of the process that is alive.
    """

    def __init__(self):
        self.position, self.memory = None, PlainMemory()
        self.restart()

    def plan(self, budget=None):
        return self.source.plan(self.position, self.memory, budget or Budget())

    def record(self, plan):
        self.memory.record(plan)
        self.position = json.loads(json.dumps(plan.position))

    def read(self, budget=None):
        """Read all there is; returns the lines in their order, and the notes."""
        lines, notes = [], []
        while (plan := self.plan(budget)) is not None and plan.splits:
            for split in plan.splits:
                lines += read(self.source, split).decode().splitlines()
            notes += plan.notes
            self.record(plan)
        return lines, notes
