"""What the decoder tests share: decode some bytes, and see rows, rejects and counts."""

from __future__ import annotations

from dataclasses import dataclass, field

import pyarrow as pa
import pytest

from ktrans.api import BytesPayload, Context, Limits, Split
from ktrans.decoders.auto import AutoDecoder, AutoDecoderConfig
from ktrans.decoders.carriers.decoder import CarrierDecoder
from ktrans.decoders.flow_rule import added
from ktrans.decoders.logs import aws_tgw, aws_vpc
from ktrans.registry.catalogue import Catalogue

V2 = (
    "version account-id interface-id srcaddr dstaddr srcport dstport protocol packets bytes "
    "start end action log-status"
)
GOOD = "2 111122223333 eni-0a1 10.0.0.1 10.0.0.2 40000 443 6 10 900 1700000000 1700000060 ACCEPT OK"
BUILT = {
    "aws_vpc": (aws_vpc.LOG.decoder, aws_vpc.LOG.config),
    "aws_tgw": (aws_tgw.LOG.decoder, aws_tgw.LOG.config),
    "auto": (AutoDecoder, AutoDecoderConfig),
}


@dataclass
class Result:
    """All that came of a payload."""

    batches: list[pa.RecordBatch] = field(default_factory=list)
    rejected: list[pa.RecordBatch] = field(default_factory=list)
    records: int = 0
    skipped: int = 0
    foreign: dict[str, int] = field(default_factory=dict)
    unread: dict[str, int] = field(default_factory=dict)

    @property
    def table(self) -> pa.Table:
        return pa.Table.from_batches(self.batches)

    @property
    def rows(self) -> list[dict]:
        return self.table.to_pylist() if self.batches else []

    @property
    def rejects(self) -> list[dict]:
        return [row for batch in self.rejected for row in batch.to_pylist()]

    @property
    def reasons(self) -> dict[int, str]:
        return {row["source_pos"]: row["reason"] for row in self.rejects}

    @property
    def positions(self) -> list[int]:
        return [row["source_pos"] for row in self.rows]


class Payload(BytesPayload):
    """Bytes that can also be the later part of an object."""

    def __init__(self, uri, data, *, head=b"", first_line=1, final=True):
        super().__init__(Split(uri, uri), data, first_line=first_line)
        self.offset = len(head)
        self.whole = head + data
        self.final_attempt = final

    def head(self, size):
        return self.whole[:size]


def build(decoder="aws_vpc", columns=None, limits=None, **options):
    catalogue = Catalogue()
    context = Context(registry=catalogue, limits=limits or Limits())
    if decoder in BUILT:
        cls, config = BUILT[decoder]
        built = cls(config(**options), context)
    else:
        config = catalogue.config("decoder", {"type": decoder, **options})
        built = catalogue.build("decoder", config, context)
    built = CarrierDecoder(built)
    built.schema(columns)
    return built


def gather(decoder, blocks) -> Result:
    result = Result()
    for block in blocks:
        assert block.nbytes >= 0
        done = decoder.decode(block)
        rejected = 0 if done.rejects is None else done.rejects.num_rows
        assert done.records == done.batch.num_rows + rejected + done.skipped
        done.batch.validate(full=True)
        result.batches.append(done.batch)
        if done.rejects is not None:
            result.rejected.append(done.rejects)
        result.records += done.records
        result.skipped += done.skipped
        result.foreign = added(result.foreign, done.foreign)
        result.unread = added(result.unread, done.unread)
    return result


@pytest.fixture
def make():
    """Build a decoder."""
    return build


@pytest.fixture
def collect():
    """Decode blocks, checking that records = rows + rejects + skipped in each."""
    return gather


@pytest.fixture
def payload():
    """Make a payload."""
    return Payload


@pytest.fixture
def run():
    """Decode bytes (or lines) in one go."""

    def go(data, decoder="aws_vpc", columns=None, limits=None, uri="mem://o", **options):
        parts = {k: options.pop(k) for k in ("head", "first_line", "final") if k in options}
        if isinstance(data, list):
            data = "".join(f"{line}\n" for line in data)
        if isinstance(data, str):
            data = data.encode()
        built = build(decoder, columns, limits, **options)
        return gather(built, built.blocks(Payload(uri, data, **parts)))

    return go


@pytest.fixture
def v2():
    """The header of the default format."""
    return V2


@pytest.fixture
def good():
    """A record of the default format."""
    return GOOD


@pytest.fixture
def record():
    """Make records of the default format with some fields changed."""

    def go(**fields):
        values = dict(zip(V2.split(), GOOD.split(), strict=True))
        values |= {name.replace("_", "-"): str(value) for name, value in fields.items()}
        return " ".join(values.values())

    return go


@pytest.fixture
def seen():
    """A row without its nulls."""
    return lambda row: {name: value for name, value in row.items() if value is not None}
