"""A source, decoder, enricher and sink in memory that fail on demand.

With them a test takes a pipeline through every failure in milliseconds. Each names a `World`, which
holds the objects to read, the errors to raise and the published rows.

Objects are text: one record a line, `bytes packets name`; a line `bad` is rejected.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
from pydantic import Field

from ktrans.api import (
    Budget,
    BytesPayload,
    ComponentConfig,
    Decoded,
    Decoder,
    Enricher,
    EpochId,
    Kind,
    Memory,
    Payload,
    Plan,
    Receipt,
    Refused,
    Sink,
    Source,
    Spec,
    Split,
    StageLostError,
    TaskId,
    Writer,
    hookimpl,
    reject_batch,
)
from ktrans.testing.world import WORLDS, FakeConfig, World

SCHEMA = pa.schema(
    [
        ("bytes", pa.int64()),
        ("packets", pa.int64()),
        ("name", pa.string()),
        ("source_uri", pa.string()),
        ("source_pos", pa.int64()),
    ]
)


class FakeSourceConfig(FakeConfig, type="fake"):
    """Options of the fake source."""

    tag: str = ""
    """A source with another tag counts as another source."""


class FakeSource(Source[FakeSourceConfig]):
    """Lists the world's objects once each."""

    def plan(self, position: Any, memory: Memory, budget: Budget) -> Plan | None:
        """List the objects that are not remembered."""
        world = WORLDS[self.config.world]
        if world.plan_errors:
            raise world.plan_errors.pop(0)
        known = memory.recall(sorted(world.objects))
        splits: list[Split] = []
        size = 0
        for name in sorted(set(world.objects) - set(known)):
            if budget.full(len(splits), size):
                break
            splits.append(Split(name, f"fake://{name}", len(world.objects[name])))
            size += len(world.objects[name])
        if not splits:
            return None
        done = (position or 0) + len(splits)
        return Plan(tuple(splits), done, {split.key: 1 for split in splits})

    def open(self, split: Split) -> Payload:
        """Open an object, or raise the world's error."""
        world = WORLDS[self.config.world]
        world.step()
        world.opened.append(split.key)
        if errors := world.errors.get(split.key):
            raise errors.pop(0)
        return BytesPayload(split, world.objects[split.key].encode())

    def commit(self, plan: Plan) -> None:
        """Note the acknowledged splits."""
        world = WORLDS[self.config.world]
        world.step()
        world.acknowledged += [split.key for split in plan.splits]


@dataclass(frozen=True)
class FakeBlock:
    """Some lines of an object."""

    uri: str
    first: int
    lines: tuple[str, ...]
    nbytes: int = 1 << 20


class FakeDecoderConfig(ComponentConfig, type="fake"):
    """Options of the fake decoder."""

    block_lines: int = Field(default=2, description="Lines a block.", examples=[2])


class FakeDecoder(Decoder[FakeDecoderConfig]):
    """Decodes `bytes packets name` lines."""

    def schema(self, columns: Sequence[str] | None) -> pa.Schema:
        """Return the fixed schema; nothing is pruned."""
        del columns
        return SCHEMA

    def blocks(self, payload: Payload) -> Iterator[FakeBlock]:
        """Cut the object every few lines."""
        with payload.open() as stream:
            lines = stream.read().decode().splitlines()
        step = self.config.block_lines
        for start in range(0, len(lines), step):
            yield FakeBlock(payload.uri, start + 1, tuple(lines[start : start + step]))

    def decode(self, block: FakeBlock) -> Decoded:
        """Turn lines into rows; `bad` is a reject, `defect` raises."""
        rows, bad = [], []
        for position, line in enumerate(block.lines, block.first):
            if line == "defect":
                raise ZeroDivisionError("a defect in the decoder")
            if line == "bad":
                bad.append(position)
                continue
            size, packets, name = line.split()
            rows.append((int(size), int(packets), name, block.uri, position))
        columns = list(zip(*rows, strict=True)) or [()] * len(SCHEMA)
        batch = pa.RecordBatch.from_arrays(
            [pa.array(c, f.type) for c, f in zip(columns, SCHEMA, strict=True)], schema=SCHEMA
        )
        rejects = reject_batch(
            block.uri, bad, ["bad"] * len(bad), [b"bad"] * len(bad), decoder="fake"
        )
        return Decoded(batch, len(block.lines), rejects)


class FakeLoserConfig(ComponentConfig, type="fake_loser"):
    """Options of the fake enricher."""


class FakeLoser(Enricher[FakeLoserConfig]):
    """Loses a row of each batch, which the ledger has to notice."""

    def bind(self, schema: pa.Schema) -> pa.Schema:
        """Return the schema unchanged."""
        return schema

    def apply(self, batch: pa.RecordBatch) -> pa.RecordBatch:
        """Lose the first row."""
        return batch.slice(1)


class FakeSinkConfig(FakeConfig, type="fake"):
    """Options of the fake sink."""


class FakeSink(Sink[FakeSinkConfig]):
    """Stages rows in the world, and publishes them at commit."""

    def bind(self, schema: pa.Schema) -> None:
        """Accept any schema."""

    def prepare(self, epoch: EpochId) -> None:
        """Remove what an earlier attempt staged."""
        world = WORLDS[self.config.world]
        world.step()
        for key in [k for k in world.staged if k[0] == self._me and k[1].startswith(str(epoch))]:
            del world.staged[key]

    def writer(self, task: TaskId) -> Writer:
        """Return a writer that stages under the task's name."""
        return _FakeWriter(WORLDS[self.config.world], self._me, str(task))

    def commit(self, epoch: EpochId, receipts: Sequence[Receipt]) -> None:
        """Publish, once."""
        del epoch
        world = WORLDS[self.config.world]
        for receipt in receipts:
            world.step()
            key = (self._me, receipt.data["name"])
            if key in world.staged:
                world.published[key] = world.staged.pop(key)
            elif key not in world.published:
                raise StageLostError(f"{key} has disappeared")

    @property
    def _me(self) -> str:
        return self.context.name


class _FakeWriter(Writer):
    def __init__(self, world: World, sink: str, task: str) -> None:
        self._world, self._key, self._rows = world, (sink, task), list[Any]()
        self._refused: list[Refused] = []

    def write(self, encoded: pa.RecordBatch) -> None:
        self._world.step()
        if self._world.write_errors:
            raise self._world.write_errors.pop(0)
        refuses = self._world.refuses.get(self._key[0])
        if refuses:
            bad = pc.is_in(encoded.column("name").cast(pa.string()), pa.array(sorted(refuses)))
            if pc.any(bad).as_py():
                rows = encoded.filter(bad)
                self._refused.append(Refused(rows, "not_wanted", "the world does not want it"))
            encoded = encoded.filter(pc.invert(bad))
        self._rows += [tuple(row.values()) for row in encoded.to_pylist()]

    def refused(self) -> Sequence[Refused]:
        """Return the rows that the world refuses."""
        return self._refused

    def finish(self) -> Receipt:
        self._world.step()
        self._world.staged[self._key] = self._rows
        return Receipt(len(self._rows), data={"name": self._key[1]}, outputs=(self._key[1],))

    def abort(self) -> None:
        self._world.staged.pop(self._key, None)


def as_it_is(batch: pa.RecordBatch) -> pa.RecordBatch:
    """Return the batch: a function for the enricher `python`."""
    return batch


@hookimpl
def ktrans_components() -> list[Spec]:
    """List the fakes: pass this module as `Catalogue(extra={"fakes": fakes})`."""
    fakes: dict[Kind, tuple[str, str]] = {
        "source": ("FakeSource", "Objects in memory"),
        "decoder": ("FakeDecoder", "Lines of three words"),
        "enricher": ("FakeLoser", "Loses rows"),
        "sink": ("FakeSink", "Rows in memory"),
    }
    return [
        Spec(
            kind=kind,
            type="fake_loser" if kind == "enricher" else "fake",
            build=f"{__name__}:{name}",
            config=f"{__name__}:{name}Config",
            summary=summary,
            delivery="exactly_once" if kind == "sink" else None,
        )
        for kind, (name, summary) in fakes.items()
    ]
